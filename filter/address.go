// SPDX-License-Identifier: Apache-2.0

package filter

import "net/netip"

// martian reports whether a is no unicast address that a router forwards from or
// to (RFC 1812, section 5.3.7; RFC 4291, section 2.5; RFC 3927, section 2.7). An
// address that is merely private is no martian: pools may hold it.
func martian(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return b[0] == 0 || b[0] == 127 || (b[0] >= 224 && b[0] < 240) ||
			(b[0] == 169 && b[1] == 254) || b == [4]byte{255, 255, 255, 255}
	}
	// These mean the same at either end.
	return a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4In6() || a.IsLoopback() || a.IsUnspecified()
}

// reserved reports whether a is in 240.0.0.0/4, which RFC 1112, section 4, keeps
// for the future. Routers of the Internet are numbered so, and what they say of a
// path comes from there; no subscriber is.
func reserved(a netip.Addr) bool { return a.Is4() && a.As4()[0] >= 240 }
