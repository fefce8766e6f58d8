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

// prefixes checks those of one of the set's items. Everything says what a prefix of
// length 0 would do.
func (v *validator) prefixes(set *prefixSet, item int, everything string) {
	path := set.path(item)
	if len(set.items[item]) == 0 {
		v.noPrefix(path)
	}
	for i, p := range set.items[item] {
		if !p.IsValid() {
			continue // decoding said so
		}
		if what, fix := v.prefix(p, everything); what != "" {
			v.reportPrefix(path, i, what, fix)
			continue
		}
		if first, twice := set.add(item, i); twice {
			at := v.origin.prefixAt(set.path(first.item()), first.index())
			v.reportPrefix(path, i, p.String()+" is at "+at+" already", "keep one of the two")
		}
	}
}

// listedPrefixes checks a list that may be empty and stands in the configuration itself:
// each prefix once. Everything says what one of length 0 would do.
func (v *validator) listedPrefixes(path string, all []netip.Prefix, everything string) {
	places := map[netip.Prefix]string{}
	for i, p := range all {
		if !p.IsValid() {
			continue // decoding said so
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if what, fix := v.prefix(p, everything); what != "" {
			v.report(at, what, fix)
			continue
		}
		seen(v, places, p, at, p.String())
	}
}

// noPrefix reports that there are none, unless there would be but for a mistake.
func (v *validator) noPrefix(path string) {
	key := path + "_file" // beside prefixes
	switch l, listed := v.origin.lists[path]; {
	case !listed && !v.suspect(key):
		v.report(path, "has no prefix", "write at least one, as in [192.0.2.0/24]")
	case listed && len(l.found) == 0:
		v.report(key, "has no prefix", "write at least one into "+l.file+", as in 192.0.2.0/24")
	}
}

// reportPrefix reports the i-th prefix where it was written.
func (v *validator) reportPrefix(path string, i int, what, fix string) {
	if l, ok := v.origin.lists[path]; ok && i >= l.first {
		l.report(int(l.lines[i-l.first]), what, fix)
		return
	}
	v.report(fmt.Sprintf("%s[%d]", path, i), what, fix)
}

// prefix says what is wrong with one, by itself, and what to write.
func (v *validator) prefix(p netip.Prefix, everything string) (what, fix string) {
	b, reserved := v.reserved(p)
	switch {
	case p.Bits() == 0:
		return p.String() + " is the whole address family: " + everything, "write the prefixes that are meant"
	case p.Addr().Is4In6():
		return p.String() + " is IPv4 written as IPv6", "write " + unmapped(p)
	case reserved:
		return p.String() + " overlaps " + b.String(), "write unicast prefixes only"
	case p != p.Masked():
		return p.String() + " has bits set after its length", "write " + p.Masked().String()
	}
	return "", ""
}

// unmapped returns what an IPv4-mapped IPv6 prefix stands for (RFC 4291
// section 2.5.5.2).
func unmapped(p netip.Prefix) string {
	if p.Bits() < 96 {
		return "the IPv4 prefix that is meant"
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked().String()
}
