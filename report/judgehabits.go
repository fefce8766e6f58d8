// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
)

// habits are what features are measured on: the hours with attempts that are or would be
// refused, and what was counted of those attempts.
type habits struct {
	hours    []census.Record
	local    []time.Time // their beginnings, where the subscriber lives
	days     int         // different ones, there
	attempts uint64
	// destinations has one number for each hour.
	destinations []uint64
	// named are the attempts to each destination that has a name, and namedTotal those to
	// all of them. Empty: privacy leaves no destinations.
	named      map[netip.Prefix]uint64
	namedTotal uint64
	known      func(netip.Prefix) bool
}

func (j *Judge) observe(hours []census.Record) *habits {
	zone := j.Location
	if zone == nil {
		zone = time.UTC
	}
	h := &habits{
		named: map[netip.Prefix]uint64{}, known: j.Known,
		hours: make([]census.Record, 0, len(hours)), local: make([]time.Time, 0, len(hours)), destinations: make([]uint64, 0, len(hours)),
	}
	days := map[int]bool{}
	for i := range hours {
		r := &hours[i]
		if r.Blocked() == 0 {
			continue
		}
		t := r.Hour.In(zone)
		days[t.Year()*1000+t.YearDay()] = true
		h.hours = append(h.hours, *r)
		h.local = append(h.local, t)
		h.attempts += r.Blocked()
		h.destinations = append(h.destinations, blockedDestinations(r))
		for _, d := range r.Top {
			if isBlocked(d.Outcome) {
				h.named[d.Prefix] += d.Attempts
				h.namedTotal += d.Attempts
			}
		}
	}
	h.days = len(days)
	return h
}

func isBlocked(o census.Outcome) bool { return o != census.Exempt && o != census.Relayed }

// blockedDestinations leaves out those that the subscriber may reach, as far as they are
// named: relays and what it is exempt for are few.
func blockedDestinations(r *census.Record) uint64 {
	n := r.Destinations
	for _, d := range r.Top {
		if !isBlocked(d.Outcome) && n > 1 {
			n--
		}
	}
	return max(n, 1)
}

// certainty is what weights are multiplied by: near 1 unless there are few attempts.
func (h *habits) certainty() float64 {
	return float64(h.attempts) / (float64(h.attempts) + fewAttempts)
}

// mostDestinations is the largest number of destinations in an hour.
func mostDestinations(h *habits) (float64, bool) { return float64(slices.Max(h.destinations)), true }

// usualDestinations is the median over the hours.
func usualDestinations(h *habits) (float64, bool) {
	sorted := slices.Sorted(slices.Values(h.destinations))
	return float64(sorted[len(sorted)/2]), true
}

// mostAttempts is the largest number of attempts in an hour.
func mostAttempts(h *habits) (float64, bool) {
	var most uint64
	for i := range h.hours {
		most = max(most, h.hours[i].Blocked())
	}
	return float64(most), true
}

// fewToRepeat are so few attempts in an hour that repeating none of them says nothing.
const fewToRepeat = 10

// perDestination is how often a destination is tried in an hour, on average.
func perDestination(h *habits) (float64, bool) {
	if most, _ := mostAttempts(h); most < fewToRepeat {
		return 0, false
	}
	var sum uint64
	for _, n := range h.destinations {
		sum += n
	}
	return float64(h.attempts) / float64(sum), true
}

// newShare is how many of an hour's destinations no earlier hour had. The first hour has
// nothing before it, and counts not.
func newShare(h *habits) (float64, bool) {
	before := map[netip.Prefix]bool{}
	var all, fresh float64
	for i := range h.hours {
		for _, d := range h.hours[i].Top {
			if i > 0 && !before[d.Prefix] {
				fresh++
			}
		}
		for _, d := range h.hours[i].Top {
			before[d.Prefix] = true
		}
		if i > 0 {
			all += float64(len(h.hours[i].Top))
		}
	}
	if all == 0 {
		return 0, false
	}
	return fresh / all, true
}

// knownShare is what known providers get of the attempts whose destinations are named.
func knownShare(h *habits) (float64, bool) {
	if h.known == nil || h.namedTotal == 0 {
		return 0, false
	}
	var to uint64
	for p, n := range h.named {
		if h.known(p) {
			to += n
		}
	}
	return float64(to) / float64(h.namedTotal), true
}

// providers is how many networks of known providers were tried: a /24 or /48 is one.
func (h *habits) providers() int {
	if h.known == nil {
		return 0
	}
	networks := map[netip.Prefix]bool{}
	for p := range h.named {
		if h.known(p) {
			length := 24
			if p.Addr().Is6() {
				length = 48
			}
			networks[netip.PrefixFrom(p.Addr(), min(length, p.Bits())).Masked()] = true
		}
	}
	return len(networks)
}

// hoursPerDay is in how many hours of a day there are attempts, on days with any.
func hoursPerDay(h *habits) (float64, bool) {
	return float64(len(h.hours)) / float64(h.days), true
}

// workShare is how many of the attempts are from Monday to Friday, in hours that begin
// between 7 and 19 o'clock.
func workShare(h *habits) (float64, bool) {
	var work uint64
	for i, t := range h.local {
		weekend := t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
		if !weekend && t.Hour() >= 7 && t.Hour() < 19 {
			work += h.hours[i].Blocked()
		}
	}
	return float64(work) / float64(h.attempts), true
}

// minutesPerHour is in how many minutes of an hour there are attempts.
func minutesPerHour(h *habits) (float64, bool) {
	var sum int
	for i := range h.hours {
		sum += bits.OnesCount64(h.hours[i].Minutes)
	}
	return float64(sum) / float64(len(h.hours)), true
}
