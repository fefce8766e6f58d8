// SPDX-License-Identifier: Apache-2.0

package filter

import "go4.org/netipx"

// Refused returns the sources to which the blocked ports are closed, with
// longest-prefix matching resolved into ranges, for something that has no
// longest-prefix matching: the kernel's guard. With source validation it is
// every address but those of static pools, since a forged source is no reason
// to open a port. Who is exempt, or in a pool whose rules do not refuse everything at
// present, is left out: the guard must not refuse what the policy lets pass. The
// ranges are sorted, IPv4 first, and no two touch.
func (p *Policy) Refused() []netipx.IPRange {
	return p.pools.ranges(func(s span) bool {
		if s.prefix == none {
			return p.validateSource
		}
		return p.refuses(s)
	})
}

// Partly returns the sources to which blocked ports are closed in part: for some
// destinations, or for a share of the subscribers.
func (p *Policy) Partly() []netipx.IPRange {
	return p.pools.ranges(func(s span) bool {
		return s.prefix != none && !p.classes[s.id].passes() && p.scopes[s.id].partly()
	})
}

// refuses reports whether the addresses of s, in a pool, are refused the blocked
// ports of every destination.
func (p *Policy) refuses(s span) bool {
	return s.prefix != none && !p.classes[s.id].passes() && p.scopes[s.id].whole()
}

// RefusedWith returns those of Refused that get this response. Sources in no pool
// get none: they are with [RespondDrop]. [RespondNotice] is [RespondReset] here.
func (p *Policy) RefusedWith(r Response) []netipx.IPRange {
	class := Pool{Response: r}.class()
	return p.pools.ranges(func(s span) bool {
		if s.prefix == none {
			return p.validateSource && class == classDrop
		}
		return p.classes[s.id] == class && p.refuses(s)
	})
}

// Reachable returns the addresses of all relays, like Refused: of those that only
// some pools may reach too.
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
