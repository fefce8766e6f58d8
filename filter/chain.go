// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

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
	// Behind a later fragment's header nothing is followed, so that this is of a
	// first fragment.
	if p.reaches(p.l4, p.floor()) {
		return ReasonChainTooLong
	}
	return ReasonUnset
}

// follow steps from header to header.
func (p *packet) follow() Reason {
	for n := range maxChain + 1 {
		size, r := p.extension(n)
		if size == 0 {
			return r
		}
		if len(p.b) < p.l4+size {
			return p.cutShort()
		}
		p.proto = p.b[p.l4]
		p.l4 += size
	}
	return ReasonChainTooLong
}

// extension looks at the n-th header, counted from zero, and returns its size in
// octets; zero when the chain ends here, well or for the reason given.
func (p *packet) extension(n int) (size int, r Reason) {
	switch {
	case p.fragOffset > 0:
		return 0, ReasonUnset
	case p.proto == protoAH:
		if len(p.b) < p.l4+2 {
			return 0, p.cutShort()
		}
		return (int(p.b[p.l4+1]) + 2) * 4, ReasonUnset // RFC 4302, section 2.2
	case p.version == header.IPv4Version || !isExtension(p.proto):
		return 0, ReasonUnset
	case p.proto == ipv6HopByHop && n > 0, p.proto == ipv6Fragment && p.fragmented:
		return 0, ReasonChainOrder
	case len(p.b) < p.l4+8:
		return 0, p.cutShort()
	case p.proto == ipv6Fragment:
		p.fragmentHeader()
		return 8, ReasonUnset
	case p.proto == ipv6Routing && p.b[p.l4+3] > 0:
		if p.b[p.l4+2] == 0 {
			return 0, ReasonSourceRoute // RFC 5095
		}
		p.routed = true
	}
	return (int(p.b[p.l4+1]) + 1) * 8, ReasonUnset
}

// isExtension reports whether proto is an IPv6 header that others follow.
func isExtension(proto uint8) bool {
	switch proto {
	case ipv6HopByHop, ipv6Routing, ipv6Fragment, ipv6DestOptions, ipv6Mobility, protoHIP, protoShim6:
		return true
	default:
		return false
	}
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
	if p.more || p.cut {
		return ReasonTinyFragment
	}
	return ReasonChainTruncated
}
