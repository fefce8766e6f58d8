// SPDX-License-Identifier: Apache-2.0

package filter

// Transport finds what a packet carries behind IPv6 extension headers and AH,
// as Decide sees it: the protocol, and the octets from its header to the end
// that the IP header gives, a part of pkt. It reports false where nothing can be
// read: a malformed packet, a chain that does not end, a fragment behind the
// first.
func Transport(pkt []byte) (proto uint8, payload []byte, ok bool) {
	var v packet
	if v.parse(pkt) != ReasonUnset || v.walk() != ReasonUnset || v.fragOffset > 0 {
		return 0, nil, false
	}
	return v.proto, v.b[v.l4:], true
}
