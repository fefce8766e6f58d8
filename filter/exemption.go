// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Exemption lets subscribers pass like those of a static pool, whatever pools hold
// them and however long those pools' prefixes are. What no pool holds stays in none.
type Exemption struct{ Prefix netip.Prefix }

// exempted is what an entry that is exempt stands for: Explain and Diff need it.
type exempted struct {
	pool      entry // that holds it
	exemption netip.Prefix
}

// exempt puts the exemptions in among the prefixes of pools, which are sorted and
// distinct, so that a lookup finds them like any pool: each that a pool's prefix
// holds becomes an entry, and the pools' prefixes within are exempt themselves.
func (p *Policy) exempt(pools []entry, exemptions []Exemption) ([]entry, error) {
	if len(exemptions) == 0 {
		return pools, nil
	}
	id := p.exemptID()
	var errs []error
	all := slices.Clone(pools)
	for _, e := range exemptions {
		if err := checkPrefix(e.Prefix); err != nil {
			errs = append(errs, fmt.Errorf("compile exemption: %w", err))
			continue
		}
		all = append(all, entry{e.Prefix, id})
	}
	// A pool's prefix comes before the same of an exemption, which is put in its place.
	slices.SortStableFunc(all, compareEntries)
	s := sweep{id: id, found: map[netip.Prefix]exempted{}, useful: map[netip.Prefix]bool{}}
	for _, e := range all {
		s.add(e)
	}
	p.exempted = s.found
	for _, e := range all {
		switch {
		case e.id != id:
		case !s.useful[e.prefix]:
			errs = append(errs, fmt.Errorf("compile exemption: %s is in no pool", e.prefix))
		default:
			p.exemptions = append(p.exemptions, e)
		}
	}
	p.exemptions = slices.Compact(p.exemptions) // twice the same is one
	return s.out, errors.Join(errs...)
}

// exemptID is the id of entries that are exempt: the one behind the pools'.
func (p *Policy) exemptID() uint16 { return uint16(len(p.poolNames)) } //nolint:gosec // bounded by limit

// sweep goes through prefixes that are sorted, and knows which of them hold the
// present one.
type sweep struct {
	id     uint16 // of exemptions
	open   []within
	out    []entry
	found  map[netip.Prefix]exempted
	useful map[netip.Prefix]bool // exemptions
}

// within is a prefix, with the longest of a pool's and of an exemption's that hold
// it, itself included; either may be missing.
type within struct {
	prefix netip.Prefix
	exempted
}

func (s *sweep) add(e entry) {
	for len(s.open) > 0 && !s.open[len(s.open)-1].prefix.Contains(e.prefix.Addr()) {
		s.open = s.open[:len(s.open)-1]
	}
	w := within{prefix: e.prefix}
	if len(s.open) > 0 {
		w.exempted = s.open[len(s.open)-1].exempted
	}
	if e.id == s.id {
		w.exemption = e.prefix
	} else {
		w.pool = e
	}
	s.open = append(s.open, w)
	switch {
	case !w.pool.prefix.IsValid(): // an exemption that no pool holds
		return
	case w.exemption.IsValid():
		e.id = s.id
		s.found[e.prefix] = w.exempted
		for _, around := range s.open {
			s.useful[around.exemption] = true
		}
	}
	if n := len(s.out); n > 0 && s.out[n-1].prefix == e.prefix {
		s.out = s.out[:n-1]
	}
	s.out = append(s.out, e)
}
