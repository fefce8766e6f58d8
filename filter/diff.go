// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"math"
	"slices"
)

// Diff is what another policy changes, in prefixes as they are written: each is
// counted once. A prefix that stays may be decided by a longer one all the same.
type Diff struct {
	// BecomeDynamic and BecomeStatic are in both policies.
	BecomeDynamic int `json:"become_dynamic"`
	BecomeStatic  int `json:"become_static"`
	// Answered are dynamic in both and get another response.
	Answered int `json:"answered"`
	// Rescheduled are dynamic in both and refused by other rules: on other
	// destinations, for another share, only monitored, or the reverse.
	Rescheduled    int `json:"rescheduled"`
	AddedDynamic   int `json:"added_dynamic"`
	AddedStatic    int `json:"added_static"`
	RemovedDynamic int `json:"removed_dynamic"`
	RemovedStatic  int `json:"removed_static"`
	AddedExempt    int `json:"added_exempt"`
	RemovedExempt  int `json:"removed_exempt"`
	// Refused and Freed are the addresses that blocked ports are closed to, or no
	// longer closed to, on every destination, from now on, whatever prefixes say so.
	Refused Amount `json:"refused"`
	Freed   Amount `json:"freed"`
	// AddedRelays and RemovedRelays are prefixes of relays. ChangedRelays are in both
	// policies, and for other pools.
	AddedRelays   int `json:"added_relays"`
	RemovedRelays int `json:"removed_relays"`
	ChangedRelays int `json:"changed_relays"`
	// AddedPorts and RemovedPorts are blocked ports.
	AddedPorts   []uint16 `json:"added_ports"`
	RemovedPorts []uint16 `json:"removed_ports"`
}

// DiffPolicies tells what next changes.
func DiffPolicies(old, next *Policy) Diff {
	var d Diff
	merge(old.written(), next.written(), func(before, after *entry) {
		switch {
		case before == nil:
			*pick(next.static(after), &d.AddedStatic, &d.AddedDynamic)++
		case after == nil:
			*pick(old.static(before), &d.RemovedStatic, &d.RemovedDynamic)++
		case old.static(before) && !next.static(after):
			d.BecomeDynamic++
		case !old.static(before) && next.static(after):
			d.BecomeStatic++
		case old.static(before):
		default:
			if old.classes[before.id] != next.classes[after.id] || old.notices[before.id] != next.notices[after.id] {
				d.Answered++
			}
			if !old.scopes[before.id].equal(&next.scopes[after.id]) {
				d.Rescheduled++
			}
		}
	})
	merge(old.exemptions, next.exemptions, func(before, after *entry) {
		switch {
		case before == nil:
			d.AddedExempt++
		case after == nil:
			d.RemovedExempt++
		}
	})
	d.Refused, d.Freed = compareAddresses(old, next)
	merge(old.relays.prefixes, next.relays.prefixes, func(before, after *entry) {
		switch {
		case before == nil:
			d.AddedRelays++
		case after == nil:
			d.RemovedRelays++
		case !slices.Equal(old.reachedBy(before), next.reachedBy(after)):
			d.ChangedRelays++
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

// written returns the pools' prefixes as the operator wrote them: without those that
// only exemptions have.
func (p *Policy) written() []entry {
	if len(p.exempted) == 0 {
		return p.pools.prefixes
	}
	var all []entry
	for _, e := range p.pools.prefixes {
		x, exempt := p.exempted[e.prefix]
		switch {
		case !exempt:
			all = append(all, e)
		case x.pool.prefix == e.prefix:
			all = append(all, x.pool)
		}
	}
	return all
}

// reachedBy returns the names of the pools that may reach a relay; none means all.
func (p *Policy) reachedBy(relay *entry) []string {
	var names []string
	for _, pool := range p.relayPools[relay.id] {
		names = append(names, p.poolNames[pool])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

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

// compareAddresses goes through the ranges of both policies side by side.
func compareAddresses(old, next *Policy) (refused, freed Amount) {
	for f := range old.pools.families {
		a, b := &old.pools.families[f], &next.pools.families[f]
		at, i, j, more := key{}, 0, 0, true
		for more {
			end := a.last(i)
			if other := b.last(j); other.less(end) {
				end = other
			}
			switch before, after := old.refuses(a.all[i]), next.refuses(b.all[j]); {
			case after && !before:
				refused.add(family(f), at, end)
			case before && !after:
				freed.add(family(f), at, end)
			}
			if a.last(i) == end {
				i++
			}
			if b.last(j) == end {
				j++
			}
			at, more = end.next()
		}
	}
	return refused, freed
}

// Amount is a number of addresses.
type Amount struct {
	IPv4 float64 `json:"ipv4_addresses"`
	IPv6 float64 `json:"ipv6_64_networks"`
}

// add adds a range.
func (n *Amount) add(f family, first, last key) {
	// Of upper halves; an address of IPv4 is in the topmost 32 bits of it.
	count := float64(last.hi-first.hi) + (float64(last.lo)-float64(first.lo)+1)/(1<<64)
	if f == family4 {
		n.IPv4 += count / (1 << 32)
		return
	}
	n.IPv6 += count
}

// Size is what a policy holds.
type Size struct {
	Prefixes, DynamicPrefixes int
	// Refused are the addresses that blocked ports are closed to, on every destination.
	Refused Amount
}

// Size counts.
func (p *Policy) Size() Size {
	written := p.written()
	s := Size{Prefixes: len(written)}
	for i := range written {
		if !p.static(&written[i]) {
			s.DynamicPrefixes++
		}
	}
	for f := range p.pools.families {
		p.pools.families[f].each(func(r span, last key) {
			if p.refuses(r) {
				s.Refused.add(family(f), r.from, last) //nolint:gosec // two of them
			}
		})
	}
	return s
}
