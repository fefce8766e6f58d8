// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// dice makes random packets.
type dice struct{ *rand.Rand }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, from []T) T { return from[d.IntN(len(from))] }

// packet returns a packet that often gets far into Decide: most are built
// around a SYN to a blocked port, and spoilt by a few percent of everything.
func (d dice) packet(dir filter.Direction) []byte {
	p := d.transport(d.ends(d.chance(50), dir))
	if d.chance(40) {
		p = p.Chain(d.chain()...)
	}
	if d.chance(8) {
		p = p.IPOptions(d.options()...)
	}
	p = d.lie(p)
	if d.chance(10) {
		p = d.encapsulate(p, dir)
	}
	b := p.Bytes()
	if d.chance(30) {
		b = d.piece(p)
	}
	if d.chance(25) {
		b = d.spoil(b)
	}
	return b
}

// ends picks two interesting addresses of a family.
func (d dice) ends(v4 bool, dir filter.Direction) (from, to string) {
	subscribers := []string{"2001:db8:a::2", "2001:db8:a:65::2", "2001:db8:a:65:8000::2", "2001:db8:a:66::2", "2001:db8:a:66::9"}
	others := []string{"2001:db8:ffff::25", "2001:db8:25::25", "2001:db8:26::9", "2001:db8:a::1", "64:ff9b::1", "2001:db8:fffe::25"}
	odd := []string{"::", "::1", "ff02::1", "fe80::1", "::ffff:100.64.0.2", "2001:db8:b::1", "fd00::1", d.address(16)}
	if v4 {
		subscribers = []string{"100.64.0.2", "100.65.0.2", "100.65.0.200", "100.66.0.2", "100.66.0.9"}
		others = []string{"203.0.113.25", "192.0.2.25", "198.51.100.3", "100.64.0.1", "192.0.2.1", "203.0.113.100", "203.0.113.200"}
		odd = []string{"0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "169.254.0.1", "100.63.0.1", d.address(4)}
	}
	end := func(usual []string) string {
		switch {
		case d.chance(4):
			return pick(d, odd)
		case d.chance(60):
			return usual[0]
		default:
			return pick(d, usual)
		}
	}
	subscriber, other := end(subscribers), end(others)
	if d.chance(1) {
		other = subscriber
	}
	if dir == filter.Inbound {
		return other, subscriber
	}
	return subscriber, other
}

// encapsulate puts a packet, or a piece of it, into another.
func (d dice) encapsulate(p filtertest.Packet, dir filter.Direction) filtertest.Packet {
	inner := p.Bytes()
	if d.chance(15) {
		inner = d.piece(p)
	}
	if d.chance(15) {
		inner = d.spoil(inner)
	}
	proto, head := pick(d, []uint8{4, 41, 47}), ""
	if proto == 47 {
		head = pick(d, []string{
			"\x00\x00\x08\x00", "\x00\x00\x86\xdd", "\x00\x00\x65\x58", "\x00\x01\x08\x00", "\x00\x00\x88\x3e",
			"\x00\x00\x88\x3e\x00\x00\x00\x00", "\x10\x00\x88\x3esequ", "\x20\x00\x08\x00keys", "\xb0\x00\x08\x00sum.keyssequ", "\x40\x00\x08\x00sum.",
			"\x00\x00\x08",
		})
	}
	from, to := d.ends(d.chance(50), dir)
	outer := filtertest.IP(proto, from, to).Data(head + string(inner))
	if d.chance(20) {
		outer = outer.Chain(d.chain()...)
	}
	return outer
}

func (d dice) address(octets int) string {
	b := make([]byte, octets)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// transport makes a packet without frills.
func (d dice) transport(from, to string) filtertest.Packet {
	port := func(address string) string {
		n := pick(d, []uint16{25, 25, 25, 2525, 26, 80, 587, 0, uint16(d.Uint32())})
		return netip.AddrPortFrom(netip.MustParseAddr(address), n).String()
	}
	from, to = port(from), port(to)
	switch d.IntN(20) {
	case 0:
		return filtertest.UDP(from, to).Data(d.data())
	case 1:
		return filtertest.ICMP(from, to)
	case 2:
		return filtertest.SCTP(from, to)
	case 3:
		return filtertest.IP(pick(d, []uint8{0, 4, 41, 43, 44, 47, 50, 51, 59, 60, 135, 200, 253}), from, to).Data(d.data())
	case 4:
		return filtertest.IP(6, from, to).Data(d.data()) // a segment of noise, mostly too short
	}
	p := filtertest.TCP(from, to).Data(d.data())
	if d.chance(50) {
		p = p.Flags(filtertest.Flags(d.Uint32()) & 0xfff)
	}
	if d.chance(20) {
		p = p.Options(make([]byte, d.IntN(41))...)
	}
	return p
}

func (d dice) data() string {
	b := make([]byte, pick(d, []int{0, 0, 0, 1, 4, 12, 19, 40, 600}))
	for i := range b[:min(len(b), 40)] { // noise where headers may be looked for
		b[i] = byte(d.Uint32())
	}
	return string(b)
}

// chain returns extension headers, now and then more than are allowed.
func (d dice) chain() []filtertest.Header {
	n := 1 + d.IntN(3)
	if d.chance(6) {
		n = 14 + d.IntN(5)
	}
	var headers []filtertest.Header
	for i := range n {
		headers = append(headers, d.extension(i))
	}
	return headers
}

func (d dice) extension(position int) filtertest.Header {
	if position == 0 && d.chance(25) {
		return filtertest.HopByHop(8)
	}
	switch d.IntN(12) {
	case 0:
		return filtertest.AH(pick(d, []int{12, 24, 60, 64, 84, 1028}))
	case 1:
		return filtertest.Mobility(8)
	case 2:
		return filtertest.HIP(8)
	case 3:
		return filtertest.Shim6(16)
	case 4:
		kind, left := pick(d, []uint8{0, 2, 4, 253}), uint8(0)
		if d.chance(30) {
			left = 1
		}
		return filtertest.Routing(kind, left, "2001:db8::1")
	case 5:
		return filtertest.Fragment(7, d.offset(), d.chance(50))
	case 6:
		return filtertest.HopByHop(8)
	default:
		return filtertest.DestOpts(pick(d, []int{8, 8, 8, 16, 24, 480, 488, 496, 504, 512, 520}))
	}
}

// offset is one at which something changes, in octets.
func (d dice) offset() int {
	return pick(d, []int{0, 0, 0, 0, 8, 72, 80, 504, 512, 1448, 65528, 8 * d.IntN(8192)})
}

// piece returns one fragment of p.
func (d dice) piece(p filtertest.Packet) []byte {
	payload := p.Fragmentable()
	cuts := []int{len(payload), len(payload), 0, 7, 8, 16, 20, 24, 40, 88, 512, 520}
	n := min(pick(d, cuts), len(payload))
	if d.chance(80) {
		n &^= 7
	}
	offset := 0
	if d.chance(40) {
		offset = d.offset()
	}
	return p.Piece(offset, d.chance(70), payload[:n])
}

func (d dice) options() []byte {
	options := pick(d, [][]byte{
		{1}, {0, 131, 3, 4}, {148, 4, 0, 0}, {7, 3, 4}, {131, 7, 4, 198, 51, 100, 1}, {137, 3, 4},
		{1, 1, 1, 131}, {148, 0}, {148, 1}, {148, 5, 0, 0}, {1, 1, 1, 148}, {158, 2}, bytes.Repeat([]byte{1}, 40),
		[]byte(d.data()),
	})
	return options[:min(len(options), 40)]
}

// lie makes one field in a few say what is not so.
func (d dice) lie(p filtertest.Packet) filtertest.Packet {
	switch d.IntN(40) {
	case 0:
		return p.Length(len(p.Bytes()) + d.IntN(5) - 2)
	case 1:
		return p.Length(d.IntN(80))
	case 2:
		return p.IHL(d.IntN(16))
	case 3:
		return p.DataOffset(d.IntN(16))
	case 4:
		return p.Checksum(filtertest.Bad)
	case 5:
		return p.Checksum(filtertest.Partial)
	case 6:
		return p.IPChecksum(filtertest.Bad)
	case 7:
		return p.Trailing([]byte(d.data())...)
	default:
		return p
	}
}

// spoil changes a few bytes where the headers are, or cuts the packet short.
func (d dice) spoil(b []byte) []byte {
	if d.chance(20) {
		return b[:d.IntN(len(b)+1)]
	}
	for range 1 + d.IntN(3) {
		if len(b) > 0 {
			b[d.IntN(min(len(b), 100))] ^= 1 << d.IntN(8)
		}
	}
	return b
}
