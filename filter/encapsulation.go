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

// decideTunnel judges a packet from a dynamic source that carries another. The
// inner source is not the subscriber's and is not looked at. An inner segment
// that would be refused is dropped without an answer: who sent it cannot be
// told.
//
// Fragments of the outer packet follow the method of fragment.go, with the
// higher floor in both families: the inner headers lie in the first.
func (p *Policy) decideTunnel(outer *packet) Verdict {
	if outer.fragmented {
		switch {
		case outer.fragOffset >= floor6:
			return Verdict{Forward, ReasonLaterFragment}
		case outer.fragOffset > 0:
			return Verdict{Drop, ReasonOverlappingFragment}
		}
	}
	payload, ok := inner(outer)
	if !ok {
		return Verdict{Drop, ReasonTunnelUnreadable}
	}
	if payload == nil {
		return Verdict{Forward, ReasonNotTCP}
	}
	v := packet{cut: outer.more, inner: true}
	if r := v.parse(payload); r != ReasonUnset {
		return Verdict{Drop, ReasonTunnelUnreadable}
	}
	verdict := p.decideDynamic(&v, ChecksumTrusted, classDrop)
	if outer.more && len(outer.b)-len(payload)+v.l4+header.TCPMinimumSize-outer.fragStart > floor6 {
		return Verdict{Drop, ReasonChainTooLong}
	}
	if verdict.Reason == ReasonBlockedPort || verdict.Reason == ReasonEstablished {
		verdict.Reason = ReasonTunneledPort
	}
	return verdict
}

// inner returns the packet that outer carries: nil when it carries no IP
// packet, false when the encapsulation cannot be read.
func inner(outer *packet) (payload []byte, ok bool) {
	payload = outer.b[outer.l4:]
	if outer.proto != protoGRE {
		return payload, true
	}
	const (
		minimum          = 4
		checksum, key    = 0x8000, 0x2000
		sequence         = 0x1000
		routing, version = 0x4000, 0x0007
		typeIPv4         = 0x0800
		typeIPv6         = 0x86dd
	)
	if len(payload) < minimum {
		return nil, false
	}
	flags, kind := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	if flags&version != 0 || kind != typeIPv4 && kind != typeIPv6 {
		return nil, true // PPTP and bridged frames carry no IP packet here
	}
	if flags&routing != 0 {
		return nil, false // RFC 2784, section 2.3, lets nobody take it
	}
	size := minimum
	for _, optional := range []uint16{checksum, key, sequence} {
		if flags&optional != 0 {
			size += 4
		}
	}
	if len(payload) < size {
		return nil, false
	}
	return payload[size:], true
}
