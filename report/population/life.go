// SPDX-License-Identifier: Apache-2.0

package population

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
)

// life is a subscriber's week as it is simulated, and what a census sees of it.
type life struct {
	rng     *rand.Rand
	start   time.Time // in UTC, a whole hour
	zone    *time.Location
	v6      bool
	outcome census.Outcome
	// dropped: it is refused by silence, so that SYNs are tried again.
	dropped bool
	// shift moves all that people do by hours: some work at night.
	shift int
	seen  [days * 24]*hour
	// blind are hours that are not observed, or in which the line is down.
	blind [days * 24]bool
}

// hour is what is counted of one.
type hour struct {
	attempts, packets, minutes uint64
	unsolicited                census.Unsolicited
	to                         map[netip.Addr]*census.Destination
}

// newLife draws what is common to all kinds: 6 in 10 are refused, a quarter is monitored,
// the rest is not in force; of those refused a fifth by silence. One in ten lives at
// another time of day. Of 2 in 10 the line is down for up to half a day, of 2 in 10 up to
// half of the hours are missing, and 15 in 100 are seen for a day or less.
func newLife(rng *rand.Rand, start time.Time, zone *time.Location) *life {
	l := &life{rng: rng, start: start, zone: zone, v6: rng.Float64() < 0.2}
	switch p := rng.Float64(); {
	case p < 0.6:
		l.outcome, l.dropped = census.Refused, rng.Float64() < 0.2
	case p < 0.85:
		l.outcome = census.Monitored
	default:
		l.outcome = census.NotInForce
	}
	if rng.Float64() < 0.1 {
		l.shift = rng.IntN(12)
	}
	if rng.Float64() < 0.2 {
		from, long := rng.IntN(len(l.blind)), 1+rng.IntN(12)
		for i := from; i < min(from+long, len(l.blind)); i++ {
			l.blind[i] = true
		}
	}
	switch p := rng.Float64(); {
	case p < 0.2:
		missing := rng.Float64() / 2
		for i := range l.blind {
			l.blind[i] = l.blind[i] || rng.Float64() < missing
		}
	case p < 0.35:
		from, long := rng.IntN(len(l.blind)), 4+rng.IntN(20)
		for i := range l.blind {
			l.blind[i] = i < from || i >= from+long
		}
	}
	return l
}

// at returns the moment of a day at an hour there, which may have a fraction.
func (l *life) at(day int, hours float64) time.Time {
	begin := l.start.In(l.zone)
	seconds := int(hours*3600) + l.shift*3600
	return time.Date(begin.Year(), begin.Month(), begin.Day()+day, 0, 0, seconds, 0, l.zone)
}

// weekend tells whether people rest on a day.
func (l *life) weekend(day int) bool {
	w := l.at(day, 12).Weekday()
	return w == time.Saturday || w == time.Sunday
}

// between draws from a range evenly on a logarithmic scale: figures of people spread so.
func (l *life) between(low, high float64) float64 {
	return low * math.Pow(high/low, l.rng.Float64())
}

// often draws how many of something there are in a time, on average.
func (l *life) often(average float64) (n int) {
	for left := average - l.rng.ExpFloat64(); left > 0; left -= l.rng.ExpFloat64() {
		n++
	}
	return n
}

// see returns the hour of a moment, and false if nothing is seen then.
func (l *life) see(t time.Time) (*hour, bool) {
	i := int(t.Sub(l.start) / time.Hour)
	if t.Before(l.start) || i >= len(l.seen) || l.blind[i] {
		return nil, false
	}
	if l.seen[i] == nil {
		l.seen[i] = &hour{to: map[netip.Addr]*census.Destination{}}
	}
	return l.seen[i], true
}

// try is an attempt of so many SYNs.
func (l *life) try(t time.Time, to netip.Addr, packets int) {
	h, ok := l.see(t)
	if !ok {
		return
	}
	t = t.UTC().Truncate(time.Second)
	h.attempts++
	h.packets += uint64(packets)
	h.minutes |= 1 << t.Minute()
	d := h.to[to]
	if d == nil {
		d = &census.Destination{Prefix: netip.PrefixFrom(to, to.BitLen()), Port: 25, Outcome: l.outcome, First: t, Last: t}
		h.to[to] = d
	}
	d.Attempts++
	d.Packets += uint64(packets)
	if t.Before(d.First) {
		d.First = t
	}
	if t.After(d.Last) {
		d.Last = t
	}
}

// records returns what the census hands on.
func (l *life) records(subscriber netip.Prefix) []census.Record {
	var all []census.Record
	for i, h := range l.seen {
		if h == nil {
			continue
		}
		r := census.Record{
			Hour: l.start.Add(time.Duration(i) * time.Hour), Subscriber: subscriber, Pool: "residential",
			Packets: h.packets, Minutes: h.minutes, Destinations: uint64(len(h.to)), Top: h.top(), Unsolicited: h.unsolicited,
		}
		r.Attempts[l.outcome] = h.attempts
		if len(h.to) > 256 {
			r.Estimated = true
			r.Destinations = uint64(float64(len(h.to)) * (1 + 0.02*l.rng.NormFloat64()))
		}
		all = append(all, r)
	}
	return all
}

func (h *hour) top() []census.Destination {
	all := make([]census.Destination, 0, len(h.to))
	for _, d := range h.to {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b census.Destination) int {
		if a.Attempts != b.Attempts {
			return int(b.Attempts) - int(a.Attempts)
		}
		return a.Prefix.Addr().Compare(b.Prefix.Addr())
	})
	return slices.Clip(all[:min(len(all), census.MostTop)])
}
