// SPDX-License-Identifier: Apache-2.0

package filter

import "go4.org/netipx"

// Refused returns the sources to which the blocked ports are closed, with
// longest-prefix matching resolved into ranges, for something that has no
// longest-prefix matching: the kernel's guard. With source validation it is
// every address but those of static pools, since a forged source is no reason
// to open a port. The ranges are sorted, IPv4 first, and no two touch.
func (p *Policy) Refused() []netipx.IPRange {
	return p.pools.ranges(func(s span) bool {
		if s.prefix == none {
			return p.validateSource
		}
		return p.classes[s.id] != classStatic
	})
}

// RefusedWith returns those of Refused that get this response. Sources in no pool
// get none: they are with [RespondDrop].
func (p *Policy) RefusedWith(r Response) []netipx.IPRange {
	class := Pool{Response: r}.class()
	return p.pools.ranges(func(s span) bool {
		if s.prefix == none {
			return p.validateSource && class == classDrop
		}
		return p.classes[s.id] == class
	})
}

// Reachable returns the addresses of all relays, like Refused.
func (p *Policy) Reachable() []netipx.IPRange {
	return p.relays.ranges(func(s span) bool { return s.prefix != none })
}

// ranges returns the addresses of all spans that are wanted.
func (t *table) ranges(want func(s span) bool) []netipx.IPRange {
	var all []netipx.IPRange
	for f := range t.families {
		at := func(k key) address { return address{k, family(f)} } //nolint:gosec // two of them
		var first, end key
		open := false
		t.families[f].each(func(s span, last key) {
			if wanted := want(s); wanted != open {
				if open {
					all = append(all, netipx.IPRangeFrom(at(first).netip(), at(end).netip()))
				}
				first, open = s.from, wanted
			}
			end = last
		})
		if open {
			all = append(all, netipx.IPRangeFrom(at(first).netip(), at(end).netip()))
		}
	}
	return all
}
