// SPDX-License-Identifier: Apache-2.0

package population

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
)

// days is how long a population is watched.
const days = 7

// Subscriber is one of a population. Its records are in the order of time.
type Subscriber struct {
	Kind    Kind
	Records []census.Record
}

// Options say which population to make.
type Options struct {
	// Seed is all that chance depends on.
	Seed uint64
	// Each is how many subscribers there are of each kind.
	Each int
	// Kinds are those to make. Nil: all.
	Kinds []Kind
	// Location is where they live. Their week may be one in which clocks change there.
	Location *time.Location
}

// Make simulates a week of a population, kind by kind. A subscriber of whom the census
// has seen nothing is simulated again, so that all have a record.
func Make(o Options) []Subscriber {
	// The weeks: an ordinary one, and two around the end and the start of summer time
	// in Europe.
	starts := [...]time.Time{
		time.Date(2026, time.September, 7, 0, 0, 0, 0, time.UTC),
		time.Date(2026, time.October, 22, 0, 0, 0, 0, time.UTC),
		time.Date(2027, time.March, 25, 0, 0, 0, 0, time.UTC),
	}
	start := starts[o.Seed%uint64(len(starts))]
	var made []Subscriber
	for i, k := range Kinds() {
		if o.Kinds != nil && !slices.Contains(o.Kinds, k) {
			continue
		}
		for j := range o.Each {
			rng := rand.New(rand.NewPCG(o.Seed, uint64(i)<<32|uint64(j)))
			made = append(made, Subscriber{k, simulate(k, rng, start, o.Location, i*o.Each+j)})
		}
	}
	return made
}

func simulate(k Kind, rng *rand.Rand, start time.Time, location *time.Location, number int) []census.Record {
	for {
		l := newLife(rng, start, location)
		l.live(k)
		if records := l.records(subscriber(number, l.v6)); len(records) > 0 {
			return records
		}
	}
}

// live has the subscriber do what its kind does.
func (l *life) live(k Kind) {
	switch k {
	case Home:
		l.home()
	case Appliance:
		l.appliance()
	case Office:
		l.office()
	case Newsletter:
		l.newsletter()
	case Snowshoe:
		l.snowshoe()
	case Burst:
		l.burst()
	case Template:
		l.template()
	case Scanner:
		l.scan()
	case Shared:
		l.shared()
	case Mimic:
		l.mimic()
	case Relay:
		l.relay()
	case Backscatter:
		l.backscatter()
	case Triangular:
		l.triangular()
	}
}

// subscriber is the address, or the delegated prefix, of the one with a number.
func subscriber(number int, v6 bool) netip.Prefix {
	if v6 {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0x25, byte(number >> 8), byte(number)}
		return netip.PrefixFrom(netip.AddrFrom16(a), 56)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(number >> 8), byte(number)}), 32)
}
