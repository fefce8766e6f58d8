// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"op25b/config"
	"op25b/exempt"
	"op25b/filter"
	"op25b/report"
)

// soon is how long before its end an exemption is in reports.
const soon = 30 * 24 * time.Hour

// reportPhases adds the pools, and the phases and brownouts with whom they take in.
func (r *rulebook) reportPhases(in *report.Input, now time.Time) {
	var scheduled []string
	for _, p := range r.cfg.Policy.Pools {
		if p.Assignment != config.AssignmentDynamic {
			continue
		}
		in.Pools = append(in.Pools, p.Name)
		if r.schedule.Scheduled(p.Name) {
			scheduled = append(scheduled, p.Name)
		}
	}
	groups := map[string][]netip.Prefix{}
	for _, d := range r.cfg.Policy.Destinations {
		groups[d.Name] = d.Prefixes
	}
	var takes []func(pool string, subscriber, destination netip.Prefix) bool
	add := func(row report.PhaseRow, pools, destinations []string, share uint16) {
		in.Phases = append(in.Phases, row)
		if len(pools) == 0 {
			pools = scheduled
		}
		takes = append(takes, func(pool string, subscriber, destination netip.Prefix) bool {
			return slices.Contains(pools, pool) && filter.Place(subscriber) < share && (len(destinations) == 0 ||
				slices.ContainsFunc(destinations, func(group string) bool { return holds(groups[group], destination) }))
		})
	}
	for _, p := range r.cfg.Policy.Rollout.Phases {
		add(report.PhaseRow{Phase: p.Name, Mode: string(p.Mode), State: stateAt(now, p.Start.Time, time.Time{}), Start: p.Start.Time},
			p.Pools, p.Destinations, uint16(p.Share))
	}
	for _, b := range r.cfg.Policy.Rollout.Brownouts {
		add(report.PhaseRow{Phase: b.Name, Mode: string(config.ModeRefuse), State: stateAt(now, b.From.Time, b.To.Time), Start: b.From.Time, End: b.To.Time},
			b.Pools, b.Destinations, filter.Everyone)
	}
	in.TakenIn = func(pool string, subscriber, destination netip.Prefix) (indices []int) {
		for i, take := range takes {
			if take(pool, subscriber, destination) {
				indices = append(indices, i)
			}
		}
		return indices
	}
}

// holds reports whether a destination, of which only a prefix may be known, is in a
// group.
func holds(group []netip.Prefix, destination netip.Prefix) bool {
	return slices.ContainsFunc(group, func(p netip.Prefix) bool {
		return p.Bits() <= destination.Bits() && p.Contains(destination.Addr())
	})
}

func stateAt(now, start, end time.Time) string {
	switch {
	case now.Before(start):
		return "planned"
	case !end.IsZero() && !now.Before(end):
		return "over"
	default:
		return "active"
	}
}

// reportExemptions adds those that end soon, and those that have ended.
func (r *rulebook) reportExemptions(in *report.Input, now time.Time) {
	var shown []exempt.Exemption
	for _, e := range r.exemptions {
		if e.Until.After(now.Add(soon)) {
			continue
		}
		shown = append(shown, e)
		in.Exemptions = append(in.Exemptions, report.Exemption{
			Prefix: e.Prefix.String(), Until: e.Until, Reason: e.Reason, Ticket: e.Ticket, By: e.By,
		})
	}
	in.ExemptionOf = func(subscriber netip.Prefix) int {
		return slices.IndexFunc(shown, func(e exempt.Exemption) bool { return e.Prefix.Overlaps(subscriber) })
	}
}

// holder is who had a subscriber's address last, before a time; empty if nobody knows.
func (h *history) holder(ctx context.Context, subscriber netip.Prefix, before time.Time) string {
	if l, held := h.book.Lookup(subscriber.Addr()); held && time.Since(before) < time.Hour {
		return l.Holder
	}
	if h.journal == nil {
		return ""
	}
	found, err := h.journal.HolderAt(ctx, subscriber.Addr(), before)
	if err != nil || len(found) == 0 { // its health tells
		return ""
	}
	return found[0].Holder
}
