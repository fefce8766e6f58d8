// SPDX-License-Identifier: Apache-2.0

package journal

import "net/netip"

// shelf is what one source tells about prefixes of one family and length.
type shelf struct {
	source string
	ipv6   bool
	bits   int
}

func shelfOf(source string, p netip.Prefix) shelf {
	return shelf{source, p.Addr().Is6(), p.Bits()}
}

// holds reports whether prefixes of addr's family are on the shelf.
func (s shelf) holds(addr netip.Addr) bool { return s.ipv6 == addr.Is6() }

// first is what a valid prefix is found by on its shelf: as many octets of its
// first address as its length covers. It is never empty: SQLite's driver does not
// always tell that from NULL.
func first(p netip.Prefix) []byte {
	return p.Masked().Addr().AsSlice()[:max(1, (p.Bits()+7)/8)]
}

// plain returns IPv4 that was written as IPv6 as IPv4, and drops a zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// plainPrefix is plain for prefixes, and clears the bits after the length.
func plainPrefix(p netip.Prefix) netip.Prefix {
	const mapped = 128 - 32
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked()
}
