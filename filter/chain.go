// SPDX-License-Identifier: Apache-2.0

package filter

import "encoding/binary"

// Next header values that the chain walk knows (IANA "Assigned Internet
// Protocol Numbers").
const (
	ipv6HopByHop     = 0
	protoTCP         = 6
	ipv6Routing      = 43
	ipv6Fragment     = 44
	protoESP         = 50
	protoAH          = 51
	ipv6NoNextHeader = 59
	ipv6DestOptions  = 60
	ipv6Mobility     = 135
	protoHIP         = 139
	protoShim6       = 140
)

// maxChain is how many extension headers a packet may carry. RFC 8200,
// section 4.1, names seven, each once but destination options; nobody needs
// more, and the walk must end.
const maxChain = 16

// walk moves proto and l4 past extension headers (RFC 8200, section 4) and
// past AH in both families, up to the transport header, to a header that hides
// what follows, or to a later fragment, behind which nothing can be read. It
// returns ReasonUnset, or why it could not get there.
//
// Truncation before the end of the chain is never taken for "not TCP", nor is
// a first fragment's chain that reaches behind the floor: a later fragment
// could rewrite its next headers (see fragment.go).
func (p *packet) walk() Reason {
	if r := p.follow(); r != ReasonUnset {
		return r
	}
	if p.fragmented && p.fragOffset == 0 && p.l4-p.fragStart > p.floor() {
		return ReasonChainTooLong
	}
	return ReasonUnset
}

// follow does the steps of walk.
func (p *packet) follow() Reason {
	for n := 0; n <= maxChain; n++ {
		if p.fragOffset > 0 {
			return ReasonUnset
		}
		var size int
		switch p.proto {
		case protoAH:
			if len(p.b) < p.l4+2 {
				return p.cutShort()
			}
			size = (int(p.b[p.l4+1]) + 2) * 4 // RFC 4302, section 2.2
		case ipv6HopByHop, ipv6Routing, ipv6DestOptions, ipv6Mobility, protoHIP, protoShim6:
			if p.version == 4 {
				return ReasonUnset
			}
			if p.proto == ipv6HopByHop && n > 0 {
				return ReasonChainOrder
			}
			if len(p.b) < p.l4+8 {
				return p.cutShort()
			}
			size = (int(p.b[p.l4+1]) + 1) * 8
			if p.proto == ipv6Routing && p.b[p.l4+3] > 0 {
				if p.b[p.l4+2] == 0 {
					return ReasonSourceRoute // RFC 5095
				}
				p.routed = true
			}
		case ipv6Fragment:
			if p.version == 4 {
				return ReasonUnset
			}
			if p.fragmented {
				return ReasonChainOrder
			}
			if len(p.b) < p.l4+8 {
				return ReasonChainTruncated
			}
			size = 8
			p.fragmentHeader()
		default:
			return ReasonUnset
		}
		if len(p.b) < p.l4+size {
			return p.cutShort()
		}
		p.proto = p.b[p.l4]
		p.l4 += size
	}
	return ReasonChainTooLong
}

// fragmentHeader reads the IPv6 fragment header at l4 (RFC 8200, section 4.5).
// An atomic fragment (RFC 6946: offset 0, nothing more) is a whole packet, but
// a second fragment header behind it is still out of order.
func (p *packet) fragmentHeader() {
	field := binary.BigEndian.Uint16(p.b[p.l4+2:])
	p.fragmented = true
	p.more = field&1 != 0
	p.fragOffset = int(field &^ 7)
	p.fragStart = p.l4 + 8
}

// cutShort names a chain that leaves the packet: in a first fragment the sender
// put the rest of the chain elsewhere (RFC 7112, section 5).
func (p *packet) cutShort() Reason {
	if p.more {
		return ReasonTinyFragment
	}
	return ReasonChainTruncated
}
