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
	packets  uint64
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
	h := &habits{named: map[netip.Prefix]uint64{}, known: j.Known}
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
		h.packets += blockedPackets(r)
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

// blockedPackets shares packets out by attempts: a record does not say which were whose.
func blockedPackets(r *census.Record) uint64 {
	if total := r.Total(); r.Blocked() < total {
		return uint64(float64(r.Packets) * float64(r.Blocked()) / float64(total))
	}
	return r.Packets
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

// perDestination is how often a destination is tried in an hour.
func perDestination(h *habits) (float64, bool) {
	var sum uint64
	for _, n := range h.destinations {
		sum += n
	}
	return float64(h.attempts) / float64(sum), true
}

// topShare is what the three that are tried most get of all attempts.
func topShare(h *habits) (float64, bool) {
	if h.namedTotal == 0 {
		return 0, false
	}
	var attempts []uint64
	for _, n := range h.named {
		attempts = append(attempts, n)
	}
	slices.Sort(attempts)
	var top uint64
	for _, n := range attempts[max(len(attempts)-3, 0):] {
		top += n
	}
	return min(float64(top)/float64(h.attempts), 1), true
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

// hoursPerDay is in how many hours of a day there are attempts, on days with any.
func hoursPerDay(h *habits) (float64, bool) {
	return float64(len(h.hours)) / float64(h.days), true
}

// nightShare is how many of the hours begin between 0 and 6 o'clock.
func nightShare(h *habits) (float64, bool) {
	var night float64
	for _, t := range h.local {
		if t.Hour() < 6 {
			night++
		}
	}
	return night / float64(len(h.hours)), true
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

// perAttempt is of how many SYNs attempts are made. It says nothing where connections go
// through, so those have to be few.
func perAttempt(h *habits) (float64, bool) {
	var refused uint64
	for i := range h.hours {
		refused += h.hours[i].Attempts[census.Refused]
	}
	if refused*2 < h.attempts {
		return 0, false
	}
	return float64(h.packets) / float64(h.attempts), true
}

// minutesPerHour is in how many minutes of an hour there are attempts.
func minutesPerHour(h *habits) (float64, bool) {
	var sum int
	for i := range h.hours {
		sum += bits.OnesCount64(h.hours[i].Minutes)
	}
	return float64(sum) / float64(len(h.hours)), true
}

// sameMinutes is how much the minutes of one hour are those of the hour before, from 0 to
// 1, beyond what chance would have. What is sent by the clock has much of that. Where
// most minutes have attempts, it says nothing.
func sameMinutes(h *habits) (float64, bool) {
	if busy, _ := minutesPerHour(h); busy > 20 || len(h.hours) < 3 {
		return 0, false
	}
	var sum float64
	for i := 1; i < len(h.hours); i++ {
		a, b := h.hours[i-1].Minutes, h.hours[i].Minutes
		sum += beyondChance(a, b)
	}
	return max(sum/float64(len(h.hours)-1), 0), true
}

// beyondChance is 1 for the same minutes, and 0 on average for independent ones.
func beyondChance(a, b uint64) float64 {
	m, n := bits.OnesCount64(a), bits.OnesCount64(b)
	fewer := float64(min(m, n))
	expected := float64(m) * float64(n) / 60
	if fewer <= expected {
		return 0
	}
	return (float64(bits.OnesCount64(a&b)) - expected) / (fewer - expected)
}
