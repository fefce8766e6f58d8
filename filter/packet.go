// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// packet is a view of an IP packet: offsets into the caller's bytes. It keeps
// no slice beyond the call to Decide.
type packet struct {
	b   []byte // cut to the length that the IP header gives
	src address
	dst address

	version uint8
	proto   uint8 // the next header behind those already walked
	l4      int   // where proto's header begins

	// routed: a routing header has more to visit, so that dst is not where the
	// packet ends (RFC 8200, section 4.4).
	routed bool

	// inside: what a tunnel carries. cut: the outer packet is a first fragment, so
	// that the rest of this one is elsewhere.
	inside, cut bool

	fragmented bool // a fragment header, or an IPv4 offset or MF
	more       bool // MF
	fragOffset int  // octets
	fragStart  int  // where the fragmentable part begins

	// read: a whole TCP header was, and no other fragment can rewrite it.
	read bool

	// rule that decided about the packet; nil: none. For Explain.
	rule *rule
}

// parse reads the fixed header and, for IPv4, the options and the fragment
// fields. It returns ReasonUnset, or why the packet is dropped whatever the
// policy says.
func (p *packet) parse(b []byte) Reason {
	if len(b) == 0 {
		return ReasonMalformed
	}
	switch b[0] >> 4 {
	case header.IPv4Version:
		return p.parse4(b)
	case header.IPv6Version:
		return p.parse6(b)
	default:
		return ReasonMalformed
	}
}

func (p *packet) parse4(b []byte) Reason {
	if len(b) < header.IPv4MinimumSize {
		return ReasonMalformed
	}
	ihl := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if p.cut {
		total = min(total, len(b))
	}
	if ihl < header.IPv4MinimumSize || total < ihl || total > len(b) {
		return ReasonMalformed
	}
	if ihl > header.IPv4MinimumSize {
		if r := checkOptions4(b[header.IPv4MinimumSize:ihl]); r != ReasonUnset {
			return r
		}
	}
	p.b = b[:total]
	p.version = header.IPv4Version
	p.src = address4([4]byte(b[12:16]))
	p.dst = address4([4]byte(b[16:20]))
	p.proto = b[9]
	p.l4, p.fragStart = ihl, ihl
	frag := binary.BigEndian.Uint16(b[6:])
	p.more = frag&0x2000 != 0
	p.fragOffset = int(frag&0x1fff) * 8
	p.fragmented = p.more || p.fragOffset > 0
	return ReasonUnset
}

// checkOptions4 looks for source routes (RFC 7126, sections 4.3 and 4.4) and
// for lengths that do not add up (RFC 791, section 3.1).
func checkOptions4(opts []byte) Reason {
	for len(opts) > 0 {
		switch opts[0] {
		case 0: // end of option list
			return ReasonUnset
		case 1: // no operation
			opts = opts[1:]
			continue
		case 131, 137: // loose and strict source route
			return ReasonSourceRoute
		}
		if len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
			return ReasonMalformed
		}
		opts = opts[opts[1]:]
	}
	return ReasonUnset
}

func (p *packet) parse6(b []byte) Reason {
	if len(b) < header.IPv6MinimumSize {
		return ReasonMalformed
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	if p.cut {
		payload = min(payload, len(b)-header.IPv6MinimumSize)
	}
	if header.IPv6MinimumSize+payload > len(b) {
		return ReasonMalformed
	}
	// A payload length of zero is a jumbogram (RFC 2675), which no link here
	// can carry, or a packet of nothing but its header.
	if payload == 0 && b[6] != ipv6NoNextHeader {
		return ReasonMalformed
	}
	p.b = b[:header.IPv6MinimumSize+payload]
	p.version = header.IPv6Version
	p.src = address6([16]byte(b[8:24]))
	p.dst = address6([16]byte(b[24:40]))
	p.proto = b[6]
	p.l4, p.fragStart = header.IPv6MinimumSize, header.IPv6MinimumSize
	return ReasonUnset
}

// tcp returns the bytes from the TCP header on. It holds only once walk has
// found that proto is TCP.
func (p *packet) tcp() header.TCP { return header.TCP(p.b[p.l4:]) }
