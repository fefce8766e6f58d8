// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Tunnels is a set of encapsulations whose inner packet is judged as well, one
// level deep. The zero value looks into none.
type Tunnels struct {
	// IPIP is IPv4 in anything (RFC 2003; RFC 2473).
	IPIP bool
	// SixInFour is IPv6 in anything (RFC 4213; RFC 2473).
	SixInFour bool
	// GRE is IPv4 or IPv6 in GRE (RFC 2784, RFC 2890).
	GRE bool
}

const (
	protoIPv4 = 4
	protoIPv6 = 41
	protoGRE  = 47
)

func (t Tunnels) holds(proto uint8) bool {
	switch proto {
	case protoIPv4:
		return t.IPIP
	case protoIPv6:
		return t.SixInFour
	case protoGRE:
		return t.GRE
	default:
		return false
	}
}

// looksInto reports whether what v carries is judged as well: one level deep.
func (p *Policy) looksInto(v *packet) bool { return p.tunnels.holds(v.proto) && !v.inside }

// decideTunnel judges a packet from a dynamic source that carries another. The
// inner source is not the subscriber's and is not looked at. An inner segment
// that would be refused is dropped without an answer: who sent it cannot be
// told.
//
// Fragments of the outer packet follow the method of fragment.go: the inner
// headers lie in the first, before the floor.
func (p *Policy) decideTunnel(outer *packet, pool uint16) Verdict {
	floor := outer.tunnelFloor()
	switch r := outer.checkFragment(floor); r {
	case ReasonUnset:
	case ReasonLaterFragment:
		return Verdict{Forward, r}
	default:
		return Verdict{Drop, r}
	}
	start, r := outer.inner()
	if r == ReasonNotTCP && !outer.reaches(start, floor) {
		return Verdict{Forward, r}
	}
	if r == ReasonTunnelUnreadable {
		return Verdict{Drop, r}
	}
	if outer.reaches(start, floor) {
		return Verdict{Drop, ReasonChainTooLong}
	}
	v := packet{cut: outer.more, inside: true}
	if r := v.parse(outer.b[start:]); r != ReasonUnset {
		return Verdict{Drop, ReasonTunnelUnreadable}
	}
	verdict := p.decideDynamic(&v, ChecksumTrusted, pool, classDrop)
	if outer.reaches(start+v.l4+header.TCPMinimumSize, floor) {
		return Verdict{Drop, ReasonChainTooLong}
	}
	if verdict.Reason == ReasonBlockedPort || verdict.Reason == ReasonEstablished {
		verdict.Reason = ReasonTunneledPort
	}
	return verdict
}

// tunnelFloor is the higher floor in both families, but for IPv4 behind AH: a
// later fragment says AH there, and is held to the floor of a TCP header.
func (p *packet) tunnelFloor() int {
	if p.version == header.IPv4Version && p.b[9] == protoAH {
		return floor4
	}
	return floor6
}

// greSize is the part of a GRE header that is always there, in octets.
const greSize = 4

// inner returns where the packet that p carries begins: with ReasonUnset an IP
// packet, with ReasonNotTCP something else, with ReasonTunnelUnreadable nobody
// knows what.
func (p *packet) inner() (start int, r Reason) {
	if p.proto != protoGRE {
		return p.l4, ReasonUnset
	}
	const (
		checksum, key    = 0x8000, 0x2000
		sequence         = 0x1000
		routing, version = 0x4000, 0x0007
		typeIPv4         = 0x0800
		typeIPv6         = 0x86dd
		typeWCCP         = 0x883e
	)
	gre := p.b[p.l4:]
	if len(gre) < greSize {
		return 0, ReasonTunnelUnreadable
	}
	flags, kind := binary.BigEndian.Uint16(gre), binary.BigEndian.Uint16(gre[2:])
	if flags&version != 0 || kind != typeIPv4 && kind != typeIPv6 && kind != typeWCCP {
		return p.l4 + greSize, ReasonNotTCP // PPTP and bridged frames carry no IP packet here
	}
	if flags&routing != 0 {
		return 0, ReasonTunnelUnreadable // RFC 2784, section 2.3, lets nobody take it
	}
	size := greSize
	for _, optional := range []uint16{checksum, key, sequence} {
		if flags&optional != 0 {
			size += 4
		}
	}
	// Linux takes WCCP for IPv4, behind four octets more in its version 2.
	if kind == typeWCCP && len(gre) > size && gre[size]>>4 != header.IPv4Version {
		size += 4
	}
	if len(gre) < size {
		return 0, ReasonTunnelUnreadable
	}
	return p.l4 + size, ReasonUnset
}
