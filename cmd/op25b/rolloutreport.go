// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"op25b/control"
	"op25b/exempt"
	"op25b/rollout"
)

// expiring is how long before its end an exemption is told of.
const expiring = 14 * 24 * time.Hour

// reportRollout says what of the rollout is in force and what comes next. g.mu is held.
func (g *gateway) reportRollout(p *control.PolicyStatus) {
	now, schedule := g.clock.Now(), &g.rules.schedule
	p.Effective = now
	phases, brownouts := schedule.InForce(g.effective)
	const percent = 100
	for _, phase := range phases {
		p.Active = append(p.Active, control.ActiveStatus{
			Name: phase.Name, Mode: string(phase.Mode), Pools: phase.Pools, Destinations: phase.Destinations,
			SharePercent: float64(phase.Share) / percent, Since: phase.Start,
		})
	}
	for _, b := range brownouts {
		p.Active = append(p.Active, control.ActiveStatus{
			Name: b.Name, Mode: string(rollout.Refuse), Pools: b.Pools, Destinations: b.Destinations,
			SharePercent: percent, Since: b.From, Until: b.To,
		})
	}
	if !g.next.IsZero() {
		p.Next = &control.NextStatus{Time: g.next, What: happened(schedule, g.effective, g.next)}
	}
	active := len(exempt.Active(g.rules.exemptions, now))
	p.Exemptions = control.ExemptionsStatus{
		Active: active, Expired: len(g.rules.exemptions) - active, Expiring: len(exempt.Expiring(g.rules.exemptions, now, expiring)),
	}
}

// report says how what is known of the past is kept.
func (h *history) report(s *control.Status) {
	for _, source := range h.book.Health() {
		name, _, _ := strings.Cut(source.Source, "/") // an access server has its own
		l := control.LeaseStatus{
			Name: source.Source, Kind: string(h.kinds[name]), Leases: source.Leases,
			LastSuccess: source.LastSuccess, BadLines: source.BadLines,
		}
		if source.Err != nil {
			l.Error = source.Err.Error()
		}
		s.Leases = append(s.Leases, l)
	}
	if h.journal == nil {
		return
	}
	health := h.journal.Health()
	s.Journal = &control.JournalStatus{Path: h.path, Size: health.Size, Waiting: health.Waiting, Lost: health.Lost}
	if health.Err != nil {
		s.Journal.Error = health.Err.Error()
	}
}

// rolloutProblems are what is wrong with the time, and with what is known of the past.
// g.mu is held.
func (g *gateway) rolloutProblems(say func(what, effect, fix string)) {
	if err := g.clock.Trouble(); err != nil {
		if t, ok := errors.AsType[*rollout.Trouble](err); ok {
			say(t.What, t.Effect, t.Fix)
		}
	}
	if g.behind != nil {
		say("what is due of the rollout is not in force: "+g.behind.Error(), "what was in force before still is", "see the log; it is tried again every second")
	}
	for _, source := range g.history.book.Health() {
		if source.Err != nil {
			say(fmt.Sprintf("the lease source %s cannot be asked: %v", source.Source, source.Err),
				"none: no verdict depends on it; but nobody knows who gets an address meanwhile", "see docs/leases.md")
		}
	}
	if j := g.history.journal; j != nil {
		if err := j.Health().Err; err != nil {
			say("the journal cannot be written: "+err.Error(), "none: packets flow; but the history has a gap", "make room, or see docs/journal.md")
		}
	}
}
