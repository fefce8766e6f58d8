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
	floor4 = 80  // octets: 20 of AH and the largest TCP header, 60
	floor6 = 512 // octets: extension headers and a TCP header
)

// checkFragment applies the two conditions to a packet that walk has been
// through. It returns ReasonUnset for a first fragment (or a whole packet)
// whose header can be trusted, ReasonLaterFragment for one that is harmless,
// or why it is dropped.
func (p *packet) checkFragment() Reason {
	if !p.fragmented {
		return ReasonUnset
	}
	length := len(p.b) - p.fragStart
	if p.more && (length <= 0 || length%8 != 0) {
		return ReasonBadFragment
	}
	if p.fragOffset+length > 65535 || (p.fragOffset > 0 && length <= 0) {
		return ReasonBadFragment
	}
	if p.fragOffset >= p.floor() {
		return ReasonLaterFragment
	}
	if p.fragOffset > 0 {
		return ReasonOverlappingFragment
	}
	if p.l4-p.fragStart+header.TCPMinimumSize > p.floor() {
		return ReasonChainTooLong
	}
	return ReasonUnset
}

// floor is where later fragments may begin, in octets of the fragmentable part.
func (p *packet) floor() int {
	if p.version == header.IPv6Version {
		return floor6
	}
	return floor4
}
