// SPDX-License-Identifier: Apache-2.0

package filtertest

import (
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Packet describes one IP packet. Only the constructors ([TCP], [UDP], [SCTP],
// [ICMP], [GRE], [IP]) make a useful one.
type Packet struct {
	src, dst  netip.AddrPort
	proto     uint8                 // of the transport
	transport func(p Packet) []byte // header and data

	ttl         uint8
	id          uint32
	ipOptions   []byte
	chain       []Header
	perFragment int // how many headers of chain precede a fragment header

	tcp  tcp
	data []byte
	tail []byte

	sum, ipSum  Sum
	length, ihl lie
}

// lie is a value to write in place of the true one.
type lie struct {
	told  bool
	value int
}

// or returns the lie, or truth if none is told.
func (l lie) or(truth int) int {
	if l.told {
		return l.value
	}
	return truth
}

func newPacket(proto uint8, src, dst string, transport func(Packet) []byte) Packet {
	p := Packet{
		src: endpoint(src), dst: endpoint(dst),
		proto: proto, transport: transport,
		ttl: 64, id: 0x2525,
	}
	if p.src.Addr().Is4() != p.dst.Addr().Is4() {
		panic(fmt.Sprintf("filtertest: %s and %s are of two families", src, dst))
	}
	return p
}

// endpoint parses "address:port" or a bare address, whose port is then zero.
func endpoint(s string) netip.AddrPort {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.MustParseAddrPort(s)
}

func (p Packet) is4() bool { return p.src.Addr().Is4() }

// Data sets what the transport carries.
func (p Packet) Data(data string) Packet {
	p.data = []byte(data)
	return p
}

// TTL sets the IPv4 time to live or the IPv6 hop limit.
func (p Packet) TTL(n uint8) Packet {
	p.ttl = n
	return p
}

// ID sets the identification, of which IPv4 has room for 16 bits. Fragments of
// one packet share it.
func (p Packet) ID(n uint32) Packet {
	p.id = n
	return p
}

// IPOptions sets the IPv4 options, padded with end-of-list to whole words.
func (p Packet) IPOptions(options ...byte) Packet {
	p.ipOptions = pad(options)
	return p
}

// Chain puts extension headers between the IP header and the transport: any for
// IPv6, [AH] for IPv4 too.
func (p Packet) Chain(headers ...Header) Packet {
	p.chain = slices.Clone(headers)
	return p
}

// Checksum sets how the transport checksum is written.
func (p Packet) Checksum(s Sum) Packet {
	p.sum = s
	return p
}

// IPChecksum sets how the IPv4 header checksum is written: [Good] or [Bad].
func (p Packet) IPChecksum(s Sum) Packet {
	p.ipSum = s
	return p
}

// Length writes n as the IPv4 total length or the IPv6 payload length, whatever
// the packet holds.
func (p Packet) Length(n int) Packet {
	p.length = lie{told: true, value: n}
	return p
}

// IHL writes n as the IPv4 header length in words, whatever the header holds.
func (p Packet) IHL(n int) Packet {
	p.ihl = lie{told: true, value: n}
	return p
}

// Trailing appends bytes that no length field counts.
func (p Packet) Trailing(tail ...byte) Packet {
	p.tail = slices.Clone(tail)
	return p
}

// Bytes returns the packet from the first octet of its IP header on, in memory
// of the caller's own.
func (p Packet) Bytes() []byte {
	proto, payload := link(p.chain, p.proto, p.transport(p))
	return append(p.wrap(proto, 0, false, payload), p.tail...)
}

// wrap puts p's IP header before payload. The fragment fields are IPv4's.
func (p Packet) wrap(proto uint8, offset int, more bool, payload []byte) []byte {
	if p.is4() {
		return p.wrap4(proto, offset, more, payload)
	}
	return p.wrap6(proto, payload)
}

func (p Packet) wrap4(proto uint8, offset int, more bool, payload []byte) []byte {
	size := header.IPv4MinimumSize + len(p.ipOptions)
	b := make([]byte, size+len(payload))
	var flags uint8
	if more {
		flags = header.IPv4FlagMoreFragments
	}
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{
		TotalLength:    uint16(p.length.or(len(b))), // may lie
		ID:             uint16(p.id),                // documented
		Flags:          flags,
		FragmentOffset: uint16(offset), // at most 65,528
		TTL:            p.ttl,
		Protocol:       proto,
		SrcAddr:        address(p.src.Addr()),
		DstAddr:        address(p.dst.Addr()),
	})
	copy(b[header.IPv4MinimumSize:], p.ipOptions)
	b[0] = header.IPv4Version<<4 | byte(p.ihl.or(size/4)&0xf)
	ip.SetChecksum(p.ipSum.of(0, b[:size]))
	copy(b[size:], payload)
	return b
}

func (p Packet) wrap6(proto uint8, payload []byte) []byte {
	b := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(payload))
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(p.length.or(len(payload))), // may lie
		HopLimit:      p.ttl,
		SrcAddr:       address(p.src.Addr()),
		DstAddr:       address(p.dst.Addr()),
	})
	b[header.IPv6NextHeaderOffset] = proto
	return append(b, payload...)
}

// pad fills options with zeros (end of list) to whole words.
func pad(options []byte) []byte {
	return append(slices.Clone(options), make([]byte, -len(options)&3)...)
}
