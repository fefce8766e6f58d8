// SPDX-License-Identifier: Apache-2.0

package filter

import "gvisor.dev/gvisor/pkg/tcpip/header"

// # Why fragments need no reassembly
//
// A receiver builds a segment from fragments that share source, destination,
// identification and, in IPv4, protocol. Two conditions on each fragment alone
// are enough to know its first 20 octets, ports and flags included:
//
//  1. A first fragment (offset zero) holds the whole chain of headers up to
//     TCP's, and that ends before the floor; a chain to another protocol ends
//     there too.
//  2. A later fragment begins at the floor or behind it.
//
// Then no later fragment can write into the header, whatever the receiver does
// with overlaps (the first wins, the last wins, BSD's mixture); each octet of
// the header comes from one first fragment, and that one was judged like an
// unfragmented packet. This is the method of RFC 1858, sections 3.2 and 4.2,
// with the two gaps closed that RFC 3128 describes: the floor is above any TCP
// header, and the test does not ask what the fragment claims to be.
//
// In IPv6 the next header of a later fragment is ignored by receivers (RFC 8200,
// section 4.5), so the floor holds for later fragments of every protocol, and
// it is higher, for the extension headers of the fragmentable part. The price
// is that a sender whose first fragment is shorter than 512 octets is not
// carried; RFC 8200, section 5, gives every link 1280, so no real one is.
const (
	floor4 = 80  // octets: the largest TCP header, 60, with room for AH
	floor6 = 512 // octets: extension headers and a TCP header
)

// checkFragment checks a packet that walk has been through. It returns
// ReasonUnset for a first fragment (or a whole packet), ReasonLaterFragment for a
// fragment behind the floor, which is harmless, or why it is dropped.
func (p *packet) checkFragment(floor int) Reason {
	length := len(p.b) - p.fragStart
	switch {
	case !p.fragmented:
		return ReasonUnset
	case p.badLength(length), p.fragOffset+length > 65535:
		return ReasonBadFragment
	case p.fragOffset >= floor:
		return ReasonLaterFragment
	case p.fragOffset > 0:
		return ReasonOverlappingFragment
	default:
		return ReasonUnset
	}
}

// checkTCPHeader checks that a whole TCP header can be read and trusted, whatever
// the other fragments say. It returns what checkFragment does, or why the header
// cannot be.
func (p *packet) checkTCPHeader() Reason {
	r := p.checkFragment(p.floor())
	switch {
	case r != ReasonUnset:
		return r
	case p.reaches(p.l4+header.TCPMinimumSize, p.floor()):
		return ReasonChainTooLong
	case len(p.b)-p.l4 >= header.TCPMinimumSize:
		p.read = true
		return ReasonUnset
	case p.more || p.cut:
		return ReasonTinyFragment
	default:
		return ReasonTruncatedTCP
	}
}

// badLength reports whether no fragment has so many octets: none, or not a
// multiple of eight with more to follow. Where the end is elsewhere, nothing can
// be said.
func (p *packet) badLength(length int) bool {
	if p.cut {
		return false
	}
	return p.more && length%8 != 0 || length == 0 && (p.more || p.fragOffset > 0)
}

// reaches reports whether headers that end at the given octet of a first fragment
// could be rewritten by a later one.
func (p *packet) reaches(end, floor int) bool { return p.fragmented && end-p.fragStart > floor }

// floor is where later fragments may begin, in octets of the fragmentable part.
func (p *packet) floor() int {
	if p.version == header.IPv6Version {
		return floor6
	}
	return floor4
}
