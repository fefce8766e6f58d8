// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"net/netip"

	"op25b/config/input"
)

// ParsePrefix reads an address, which stands for itself alone, or a prefix. The
// error says what to write instead.
func ParsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return netip.Prefix{}, &mistake{input.Quote(text) + " is neither an IP address nor a prefix", "write one such as 192.0.2.1, 192.0.2.0/28 or 2001:db8:a::/56"}
	}
	if m := checkPrefix(prefix); m != nil {
		return netip.Prefix{}, m
	}
	return prefix, nil
}

// checkPrefix says what is wrong with one that could be read. Nil: nothing.
func checkPrefix(p netip.Prefix) *mistake {
	const mapped = 96 // RFC 4291 section 2.5.5.2
	switch {
	case !p.IsValid():
		return &mistake{"is no prefix", "write one such as 192.0.2.1/32"}
	case p.Bits() == 0:
		return &mistake{p.String() + " is the whole address family: nobody would be refused anything", "write the prefixes that are meant"}
	case p.Addr().Is4In6() && p.Bits() > mapped:
		return &mistake{p.String() + " is IPv4 written as IPv6", "write " + netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped).Masked().String()}
	case p.Addr().Is4In6():
		return &mistake{p.String() + " is IPv4 written as IPv6", "write the IPv4 prefix that is meant"}
	case p != p.Masked():
		return &mistake{p.String() + " has bits set after its length", "write " + p.Masked().String()}
	}
	return nil
}
