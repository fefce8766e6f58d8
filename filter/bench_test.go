// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// BenchmarkDecide has a shape of traffic per line, and two sizes of policy. The
// sources are spread over the pools, as they are in life: lookups miss caches.
func BenchmarkDecide(b *testing.B) {
	for _, prefixes := range []int{1_000, 1_000_000} {
		spec := largeSpec(prefixes)
		policy := compile(b, spec)
		for _, s := range shapes() {
			packets := s.packets(spec)
			b.Run(fmt.Sprintf("prefixes=%d/%s", prefixes, s.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					policy.Decide(s.dir, packets[i], s.sum)
					if i++; i == len(packets) { // a division takes as long as a lookup
						i = 0
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpkt/s")
			})
		}
	}
}

// BenchmarkCompile is what a reload costs.
func BenchmarkCompile(b *testing.B) {
	for _, prefixes := range []int{1_000, 1_000_000} {
		spec := largeSpec(prefixes)
		b.Run(fmt.Sprintf("prefixes=%d", prefixes), func(b *testing.B) {
			for b.Loop() {
				compile(b, spec)
			}
		})
	}
}

// largeSpec has n prefixes, half of them per family, every eighth static: from /24
// to /32 and from /48 to /64, one behind the other, each as near as it can be.
func largeSpec(n int) filter.Spec {
	s := plain()
	s.BlockInboundSourcePort = true
	next4, next6 := uint64(10)<<24, uint64(0x20010c00)<<32 // digits
	for i := range n {
		pool := &s.Pools[0]
		if i%8 == 7 {
			pool = &s.Pools[1]
		}
		var prefix netip.Prefix
		if k := i / 2; i%2 == 0 {
			length := 24 + k%9
			next4 = align(next4, 32-length)
			prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(next4)))), length)
			next4 += 1 << (32 - length)
		} else {
			length := 48 + k%17
			next6 = align(next6, 64-length)
			prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, next6), 0))), length)
			next6 += 1 << (64 - length)
		}
		pool.Prefixes = append(pool.Prefixes, prefix)
	}
	return s
}

// align returns the next number from n on that ends in so many zero bits.
func align(n uint64, zeros int) uint64 { return (n + 1<<zeros - 1) >> zeros << zeros }

// trafficShape is a kind of packet to decide about.
type trafficShape struct {
	name  string
	dir   filter.Direction
	sum   filter.Checksum
	build func(subscriber4, subscriber6 string) filtertest.Packet
	piece func(filtertest.Packet) []byte // nil: the whole packet
}

func shapes() []trafficShape {
	const mail4, mail6, web4, web6 = "203.0.113.25:25", "[2001:db8:ffff::25]:25", "203.0.113.80:443", "[2001:db8:ffff::80]:443"
	payload := string(make([]byte, 1400))
	v4 := func(to string, f filtertest.Flags, data string) func(string, string) filtertest.Packet {
		return func(from, _ string) filtertest.Packet {
			return filtertest.TCP(from+":40000", to).Flags(f).Data(data)
		}
	}
	v6 := func(to string, f filtertest.Flags, data string) func(string, string) filtertest.Packet {
		return func(_, from string) filtertest.Packet {
			return filtertest.TCP("["+from+"]:40000", to).Flags(f).Data(data)
		}
	}
	later := func(p filtertest.Packet) []byte { return p.Piece(1480, false, make([]byte, 512)) }
	first := func(p filtertest.Packet) []byte { return p.Piece(0, true, p.Fragmentable()[:1400]) }
	return []trafficShape{
		{name: "syn-blocked-4", build: v4(mail4, filtertest.SYN, "")},
		{name: "syn-blocked-6", build: v6(mail6, filtertest.SYN, "")},
		{name: "syn-blocked-trusted-4", sum: filter.ChecksumTrusted, build: v4(mail4, filtertest.SYN, "")},
		{name: "syn-blocked-data-4", build: v4(mail4, filtertest.SYN, payload)},
		{name: "syn-relay-4", build: v4("192.0.2.25:25", filtertest.SYN, "")},
		{name: "established-mail-4", build: v4(mail4, filtertest.ACK, payload)},
		{name: "syn-web-4", build: v4(web4, filtertest.SYN, "")},
		{name: "data-web-4", build: v4(web4, filtertest.ACK, payload)},
		{name: "data-web-6", build: v6(web6, filtertest.ACK, payload)},
		{name: "super-packet-web-4", sum: filter.ChecksumTrusted, build: v4(web4, filtertest.ACK, string(make([]byte, 65000)))},
		{name: "udp-4", build: func(from, _ string) filtertest.Packet { return filtertest.UDP(from+":40000", web4).Data(payload) }},
		{name: "udp-6", build: func(_, from string) filtertest.Packet {
			return filtertest.UDP("["+from+"]:40000", web6).Data(payload)
		}},
		{name: "chain-syn-blocked-6", build: func(_, from string) filtertest.Packet {
			return filtertest.TCP("["+from+"]:40000", mail6).Chain(
				filtertest.HopByHop(8), filtertest.DestOpts(8), filtertest.Routing(4, 0), filtertest.AH(24))
		}},
		{name: "fragment-first-4", build: v4(web4, filtertest.ACK, payload), piece: first},
		{name: "fragment-first-6", build: v6(web6, filtertest.ACK, payload), piece: first},
		{name: "fragment-later-4", build: v4(web4, filtertest.ACK, payload), piece: later},
		{name: "fragment-later-6", build: v6(web6, filtertest.ACK, payload), piece: later},
		{name: "spoofed-4", build: func(string, string) filtertest.Packet {
			return filtertest.TCP("198.51.100.77:1", mail4)
		}},
		{name: "inbound-mail-4", dir: filter.Inbound, build: func(to, _ string) filtertest.Packet {
			return filtertest.TCP(mail4, to+":40000").Flags(filtertest.SYN | filtertest.ACK)
		}},
		{name: "inbound-web-6", dir: filter.Inbound, build: func(_, to string) filtertest.Packet {
			return filtertest.TCP(web6, "["+to+"]:40000").Flags(filtertest.ACK).Data(payload)
		}},
	}
}

// packets makes the shape for many dynamic subscribers.
func (s trafficShape) packets(spec filter.Spec) [][]byte {
	const (
		subscribers = 4096
		memory      = 64 << 20 // octets: fewer super-packets than that
	)
	d := dice{rand.New(rand.NewPCG(25, 25))} // reproducible
	pool := spec.Pools[0].Prefixes
	var packets [][]byte
	for size := 0; len(packets) < subscribers && size < memory; {
		a, b := pick(d, pool).Addr(), pick(d, pool).Addr()
		if !a.Is4() || !b.Is6() {
			continue
		}
		p := s.build(a.String(), b.String())
		pkt := p.Bytes()
		if s.piece != nil {
			pkt = s.piece(p)
		}
		packets, size = append(packets, pkt), size+len(pkt)
	}
	return packets
}
