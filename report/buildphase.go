// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math/bits"
	"net/netip"

	"op25b/census"
)

// reach is what one subscriber tried from one pool: all attempts that are or would be
// refused, and those whose destination is known.
type reach struct {
	blocked uint64
	named   uint64
	to      map[netip.Prefix]uint64
}

// takenIn counts the subscriber and the attempts in the phases that take them in. A
// record names only the destinations with the most attempts; the others are taken to be
// spread over phases as those are, which is exact for a phase that covers every
// destination.
func (b *builder) takenIn(subscriber netip.Prefix, records []census.Record) {
	if b.in.TakenIn == nil || len(b.report.Phases) == 0 {
		return
	}
	for pool, reached := range reaches(records) {
		if reached.named == 0 {
			reached.to[everywhere(subscriber)], reached.named = 1, 1
		}
		attempts := make([]uint64, len(b.report.Phases))
		for destination, n := range reached.to {
			for _, phase := range b.in.TakenIn(pool, subscriber, destination) {
				if phase >= 0 && phase < len(attempts) {
					attempts[phase] += n
				}
			}
		}
		for phase, n := range attempts {
			if n > 0 {
				b.inPhase(phase, share(reached.blocked, min(n, reached.named), reached.named))
			}
		}
	}
}

// reaches sums up a subscriber's records by pool.
func reaches(records []census.Record) map[string]*reach {
	found := map[string]*reach{}
	for i := range records {
		r := &records[i]
		if r.Blocked() == 0 {
			continue
		}
		at := found[r.Pool]
		if at == nil {
			at = &reach{to: map[netip.Prefix]uint64{}}
			found[r.Pool] = at
		}
		at.blocked += r.Blocked()
		for _, d := range r.Top {
			if d.Outcome <= census.NotInForce {
				at.to[d.Prefix] += d.Attempts
				at.named += d.Attempts
			}
		}
	}
	return found
}

// inPhase counts attempts of the subscriber that is being settled.
func (b *builder) inPhase(phase int, attempts uint64) {
	row := &b.report.Phases[phase]
	row.Attempts += attempts
	if b.phaseSeen[phase] != b.settled {
		b.phaseSeen[phase] = b.settled
		row.Subscribers++
	}
}

// everywhere is the widest prefix of a subscriber's family.
func everywhere(subscriber netip.Prefix) netip.Prefix {
	if subscriber.Addr().Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// share is whole*part/of, part being of's at most.
func share(whole, part, of uint64) uint64 {
	high, low := bits.Mul64(whole, part)
	quotient, _ := bits.Div64(high, low, of)
	return quotient
}
