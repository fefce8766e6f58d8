// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"
)

// Event is a line of the calendar.
type Event struct {
	Time time.Time
	What string // for people: "phase trial begins"
	// Pools are those that it is about, and belong to the schedule. Empty: every
	// pool, or something that is no phase or brownout.
	Pools []string
}

// Events returns the whole calendar by time. What happens at one moment is in the
// order phases, brownouts, ends, each as listed.
func (s *Schedule) Events() []Event {
	var events []Event
	for _, p := range s.Phases {
		events = append(events, Event{p.Start, "phase " + p.Name + " begins", p.Pools})
	}
	for _, b := range s.Brownouts {
		events = append(events,
			Event{b.From, "brownout " + b.Name + " begins", b.Pools},
			Event{b.To, "brownout " + b.Name + " ends", b.Pools})
	}
	for _, e := range s.Ends {
		events = append(events, Event{e.Time, e.What, nil})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return events
}

// Next returns the first boundary after t, and false if there is none.
func (s *Schedule) Next(t time.Time) (time.Time, bool) {
	for _, e := range s.Events() {
		if e.Time.After(t) {
			return e.Time, true
		}
	}
	return time.Time{}, false
}

// Boundaries returns the boundaries after last that are not after now, in order and
// each once.
func (s *Schedule) Boundaries(last, now time.Time) []time.Time {
	var times []time.Time
	for _, e := range s.Between(last, now) {
		times = append(times, e.Time)
	}
	return slices.CompactFunc(times, time.Time.Equal)
}

// Between returns the part of the calendar that is after last and not after now.
func (s *Schedule) Between(last, now time.Time) []Event {
	return slices.DeleteFunc(s.Events(), func(e Event) bool { return !e.Time.After(last) || e.Time.After(now) })
}
