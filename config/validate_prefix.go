// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
)

// block is a range of addresses that are nobody's.
type block struct {
	prefix netip.Prefix
	use    string
}

func (b block) String() string { return b.prefix.String() + " (" + b.use + ")" }

// reservedBlocks are those of RFC 6890 that can be neither source nor
// destination of what a router forwards. Private, shared and documentation
// addresses are not among them: subscribers and labs do have those.
func reservedBlocks() []block {
	return []block{
		{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
		{netip.MustParsePrefix("::/128"), "unspecified"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
	}
}

func (v *validator) reserved(p netip.Prefix) (block, bool) {
	for _, b := range v.blocks {
		if b.prefix.Overlaps(p) {
			return b, true
		}
	}
	return block{}, false
}

// prefixes checks those of one pool or relay. Places holds the prefixes of all
// its siblings: longer and shorter ones may overlap, equal ones contradict.
// Everything says what a prefix of length 0 would do.
func (v *validator) prefixes(places map[netip.Prefix]string, path string, prefixes []netip.Prefix, everything string) {
	if len(prefixes) == 0 {
		v.report(path, "has no prefix", "write at least one, as in [192.0.2.0/24]")
	}
	for i, p := range prefixes {
		if p.IsValid() { // else decoding said so
			v.prefix(places, fmt.Sprintf("%s[%d]", path, i), p, everything)
		}
	}
}

func (v *validator) prefix(places map[netip.Prefix]string, path string, p netip.Prefix, everything string) {
	b, reserved := v.reserved(p)
	switch {
	case p.Bits() == 0:
		v.report(path, p.String()+" is the whole address family: "+everything, "write the prefixes that are meant")
	case p.Addr().Is4In6():
		v.report(path, p.String()+" is IPv4 written as IPv6", "write "+unmapped(p))
	case reserved:
		v.report(path, p.String()+" overlaps "+b.String(), "write unicast prefixes only")
	case p != p.Masked():
		v.report(path, p.String()+" has bits set after its length", "write "+p.Masked().String())
	default:
		seen(v, places, p, path, p.String())
	}
}

// unmapped returns what an IPv4-mapped IPv6 prefix stands for (RFC 4291
// section 2.5.5.2).
func unmapped(p netip.Prefix) string {
	if p.Bits() < 96 {
		return "the IPv4 prefix that is meant"
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked().String()
}
