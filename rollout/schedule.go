// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"
)

// Mode is what a phase does with what it takes in.
type Mode string

// The modes of phases.
const (
	Refuse  Mode = "refuse"
	Monitor Mode = "monitor" // nothing is refused, what would be is counted
)

// All is the share of all subscribers.
const All = 10000

// Phase is a step of a rollout. Once begun, it stays.
type Phase struct {
	Name  string
	Start time.Time
	// Pools are those that it takes in. Empty: every dynamic pool.
	Pools []string
	// Destinations are the groups that it covers. Empty: every destination.
	Destinations []string
	// Share of the subscribers, in hundredths of a percent, 1 to [All]. Zero: [All].
	Share uint16
	// Mode is [Refuse] if empty.
	Mode Mode
}

// Brownout is a rehearsal: for a while, all subscribers of its pools are refused.
type Brownout struct {
	Name string
	// From is the first moment of it, To the first one after it.
	From, To time.Time
	// Pools that are not in any phase are refused anyway: naming them does nothing.
	// Empty: every pool that is in a phase.
	Pools []string
	// Destinations are the groups that it covers. Empty: every destination.
	Destinations []string
}

// End is a moment at which something else begins or ends, a relay or an exemption:
// a boundary like those of phases.
type End struct {
	Time time.Time
	What string // for people: "relay reseller-msa ends"
}

// Schedule is all that was announced. The zero value schedules nothing.
type Schedule struct {
	Phases    []Phase
	Brownouts []Brownout
	Ends      []End
}

// Active is a phase or a brownout that is in force for a pool.
type Active struct {
	Name string
	Mode Mode
	// Destinations are the groups it is limited to, and belong to the schedule.
	// Empty: every destination.
	Destinations []string
	// Share of the subscribers, in hundredths of a percent, 1 to [All].
	Share uint16
	// Since is when it began, Until when it ends. Until is zero for a phase.
	Since, Until time.Time
}

// Scheduled reports whether a dynamic pool is refused only as far as [Schedule.At]
// says: some phase takes it in, be it one to come. All others are refused
// everything, always, and a brownout changes nothing for them.
func (s *Schedule) Scheduled(pool string) bool {
	return slices.ContainsFunc(s.Phases, func(p Phase) bool { return names(p.Pools, pool) })
}

// At returns what is in force at t for a scheduled pool: the phases and then the
// brownouts, each in the order in which they began, those of one moment as they
// are listed. For other pools that is nothing.
func (s *Schedule) At(pool string, t time.Time) []Active {
	if !s.Scheduled(pool) {
		return nil
	}
	var phases, brownouts []Active
	begunPhases, onBrownouts := s.InForce(t)
	for _, p := range begunPhases {
		if names(p.Pools, pool) {
			phases = append(phases, p.active())
		}
	}
	for _, b := range onBrownouts {
		if names(b.Pools, pool) {
			brownouts = append(brownouts, b.active())
		}
	}
	begun := func(a, b Active) int { return a.Since.Compare(b.Since) }
	slices.SortStableFunc(phases, begun)
	slices.SortStableFunc(brownouts, begun)
	return append(phases, brownouts...)
}

// InForce returns the phases that have begun and the brownouts that go on at t, as they
// are listed.
func (s *Schedule) InForce(t time.Time) (phases []Phase, brownouts []Brownout) {
	for _, p := range s.Phases {
		if !t.Before(p.Start) {
			phases = append(phases, p)
		}
	}
	for _, b := range s.Brownouts {
		if !t.Before(b.From) && t.Before(b.To) {
			brownouts = append(brownouts, b)
		}
	}
	return phases, brownouts
}

func (p *Phase) active() Active {
	a := Active{Name: p.Name, Mode: p.Mode, Destinations: p.Destinations, Share: p.Share, Since: p.Start}
	if a.Mode == "" {
		a.Mode = Refuse
	}
	if a.Share == 0 {
		a.Share = All
	}
	return a
}

func (b *Brownout) active() Active {
	return Active{Name: b.Name, Mode: Refuse, Destinations: b.Destinations, Share: All, Since: b.From, Until: b.To}
}

// names reports whether a list of pools holds one. The empty list holds all.
func names(pools []string, pool string) bool {
	return len(pools) == 0 || slices.Contains(pools, pool)
}
