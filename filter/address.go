// SPDX-License-Identifier: Apache-2.0

package filter

import "net/netip"

// martianSource reports whether no packet that crosses a router may carry a as
// its source (RFC 1812, section 5.3.7; RFC 4291, section 2.5; RFC 3927, section
// 2.7). An address that is merely private is no martian: pools may hold it.
func martianSource(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return b[0] == 0 || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254)
	}
	return martian6(a)
}

// martianDestination reports whether a is no destination that a router forwards
// as unicast. 240.0.0.0/4 is reserved, not forbidden, and passes.
func martianDestination(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return b[0] == 0 || b[0] == 127 || (b[0] >= 224 && b[0] < 240) ||
			(b[0] == 169 && b[1] == 254) || b == [4]byte{255, 255, 255, 255}
	}
	return martian6(a)
}

// martian6 covers unspecified, loopback, multicast, link-local and IPv4-mapped
// addresses, which mean the same at either end.
func martian6(a netip.Addr) bool {
	return a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4In6() || a.IsLoopback() || a.IsUnspecified()
}
