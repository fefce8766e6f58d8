// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"math"
)

// Diff is what another policy changes, in prefixes as they are written: each is
// counted once. A prefix that stays may be decided by a longer one all the same.
type Diff struct {
	// BecomeDynamic and BecomeStatic are in both policies.
	BecomeDynamic, BecomeStatic int
	// Answered are dynamic in both and get another response.
	Answered                      int
	AddedDynamic, AddedStatic     int
	RemovedDynamic, RemovedStatic int
	// AddedRelays and RemovedRelays are prefixes of relays.
	AddedRelays, RemovedRelays int
	// AddedPorts and RemovedPorts are blocked ports.
	AddedPorts, RemovedPorts []uint16
}

// DiffPolicies tells what next changes.
func DiffPolicies(old, next *Policy) Diff {
	var d Diff
	merge(old.pools.prefixes, next.pools.prefixes, func(before, after *entry) {
		switch {
		case before == nil:
			*pick(next.static(after), &d.AddedStatic, &d.AddedDynamic)++
		case after == nil:
			*pick(old.static(before), &d.RemovedStatic, &d.RemovedDynamic)++
		case old.static(before) && !next.static(after):
			d.BecomeDynamic++
		case !old.static(before) && next.static(after):
			d.BecomeStatic++
		case old.classes[before.id] != next.classes[after.id]:
			d.Answered++
		}
	})
	merge(old.relays.prefixes, next.relays.prefixes, func(before, after *entry) {
		switch {
		case before == nil:
			d.AddedRelays++
		case after == nil:
			d.RemovedRelays++
		}
	})
	for port := range math.MaxUint16 + 1 {
		p := uint16(port) //nolint:gosec // in range
		switch {
		case next.ports.has(p) && !old.ports.has(p):
			d.AddedPorts = append(d.AddedPorts, p)
		case old.ports.has(p) && !next.ports.has(p):
			d.RemovedPorts = append(d.RemovedPorts, p)
		}
	}
	return d
}

func (p *Policy) static(e *entry) bool { return p.classes[e.id] == classStatic }

func pick(first bool, a, b *int) *int {
	if first {
		return a
	}
	return b
}

// merge calls f for every prefix of two sorted lists, with nil for the one that
// lacks it.
func merge(old, next []entry, f func(before, after *entry)) {
	for len(old) > 0 || len(next) > 0 {
		var order int
		switch {
		case len(next) == 0:
			order = -1
		case len(old) == 0:
			order = 1
		default:
			order = compareEntries(old[0], next[0])
		}
		var before, after *entry
		if order <= 0 {
			before, old = &old[0], old[1:]
		}
		if order >= 0 {
			after, next = &next[0], next[1:]
		}
		f(before, after)
	}
}

// compareEntries sorts prefixes so that one comes right behind those that hold it,
// the longest last.
func compareEntries(a, b entry) int {
	return cmp.Or(
		cmp.Compare(addressOf(a.prefix.Addr()).family, addressOf(b.prefix.Addr()).family),
		a.prefix.Addr().Compare(b.prefix.Addr()),
		cmp.Compare(a.prefix.Bits(), b.prefix.Bits()),
	)
}

// Size is what a policy holds.
type Size struct {
	Prefixes, DynamicPrefixes int
	// IPv4 counts the addresses that are refused blocked ports, IPv6 their /64
	// networks.
	IPv4, IPv6 float64
}

// Size counts.
func (p *Policy) Size() Size {
	s := Size{Prefixes: len(p.pools.prefixes)}
	for i := range p.pools.prefixes {
		if !p.static(&p.pools.prefixes[i]) {
			s.DynamicPrefixes++
		}
	}
	for f, total := range map[family]*float64{family4: &s.IPv4, family6: &s.IPv6} {
		p.pools.families[f].each(func(r span, last key) {
			if r.prefix != none && p.classes[r.id] != classStatic {
				*total += float64(last.hi-r.from.hi) + (float64(last.lo)-float64(r.from.lo)+1)/(1<<64)
			}
		})
	}
	s.IPv4 /= 1 << 32
	return s
}
