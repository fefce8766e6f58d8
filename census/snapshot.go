// SPDX-License-Identifier: Apache-2.0

package census

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Snapshot is who has tried most in the current hour, and who was tried.
type Snapshot struct {
	// Since is when counting began: the hour, or later, when the book began or the
	// clock was set. Zero: there was neither packet nor Tick.
	Since time.Time
	// Subscribers and Destinations are those with the most attempts, the most first.
	Subscribers  []Active
	Destinations []ActiveDestination
	// Attempts are all of the hour, by outcome, those without room included.
	Attempts [NumOutcomes]uint64
}

// Active is a subscriber who tries.
type Active struct {
	Subscriber netip.Prefix
	Pool       string
	Attempts   [NumOutcomes]uint64
	// Destinations is as in [Record].
	Destinations uint64
	Estimated    bool
	// Last is when the last packet came.
	Last time.Time
}

// ActiveDestination is who is tried. The table that it is from has 65,536 entries:
// whoever gets more than so small a part of all attempts is in it. Both counts are
// since it came in, and so never too high but for the estimate.
type ActiveDestination struct {
	Addr     netip.Addr
	Port     uint16
	Attempts uint64
	// Subscribers are exact up to 64, and then within some 4 percent.
	Subscribers uint64
}

// Current returns the records of the current hour, sorted by subscriber, for a report
// that reaches to now. They are copies. Packets are counted in between: each record is
// whole, yet one may be some milliseconds older than another.
func (b *Book) Current() []Record {
	h := b.current()
	if h == nil {
		return []Record{}
	}
	return b.records(h)
}

// Subscriber returns the current hour's record of a subscriber, with the prefix that
// attempts have. False: there was nothing of it.
func (b *Book) Subscriber(p netip.Prefix) (Record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hour == nil {
		return Record{}, false
	}
	s, ok := b.hour.subscribers[p]
	if !ok {
		return Record{}, false
	}
	return s.record(b.hour.time()), true
}

func (b *Book) current() *hour {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hour
}

// Top returns the subscribers and destinations with the most attempts in the current
// hour, most of each at most. Packets are counted in between, as for Current.
func (b *Book) Top(most int) Snapshot {
	h := b.current()
	if h == nil {
		return Snapshot{Subscribers: []Active{}, Destinations: []ActiveDestination{}}
	}
	s := Snapshot{
		Since:        time.Unix(0, h.since).UTC(),
		Subscribers:  b.topSubscribers(h, most),
		Destinations: b.topDestinations(h, most),
	}
	b.mu.Lock()
	s.Attempts = h.attempts
	b.mu.Unlock()
	return s
}

// scan is how many are looked at under one lock when only counters are compared.
const scan = 2048

func (b *Book) topSubscribers(h *hour, most int) []Active {
	type candidate struct {
		total uint64
		*subscriber
	}
	top := newBest(most, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.total, a.total), a.prefix.Compare(b.prefix))
	})
	b.inChunks(scan, func() int { return len(h.order) }, nil, func(i int) {
		if n := total(h.order[i].attempts); n > 0 {
			top.add(candidate{n, h.order[i]})
		}
	})
	kept := top.sorted()
	active := make([]Active, 0, len(kept))
	b.inChunks(chunk, func() int { return len(kept) }, nil, func(i int) {
		s := kept[i].subscriber
		a := Active{Subscriber: s.prefix, Pool: s.pool, Attempts: s.attempts, Last: time.Unix(0, s.last).UTC()}
		a.Destinations, a.Estimated = s.destinations()
		active = append(active, a)
	})
	slices.SortStableFunc(active, func(a, b Active) int { return cmp.Compare(total(b.Attempts), total(a.Attempts)) })
	return active
}

func (b *Book) topDestinations(h *hour, most int) []ActiveDestination {
	type candidate struct {
		key, attempts uint64
		addr          netip.Addr
		port          uint16
	}
	top := newBest(most, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.attempts, a.attempts), a.addr.Compare(b.addr), cmp.Compare(a.port, b.port))
	})
	table := &h.network.targets
	b.inChunks(scan, func() int { return len(table.entries) }, nil, func(i int) {
		e := &table.entries[i]
		top.add(candidate{e.key, e.value.attempts, e.value.addr, e.value.port})
	})
	kept := top.sorted()
	active := make([]ActiveDestination, 0, len(kept))
	b.inChunks(chunk, func() int { return len(kept) }, nil, func(i int) {
		c := &kept[i]
		a := ActiveDestination{Addr: c.addr, Port: c.port, Attempts: c.attempts}
		// It may have been replaced since it was looked at: then what it had stays,
		// and at least one was there.
		a.Subscribers = 1
		if e := table.find(c.key); e != nil {
			a.Attempts, a.Subscribers = e.value.attempts, e.value.by.count()
		}
		active = append(active, a)
	})
	slices.SortStableFunc(active, func(a, b ActiveDestination) int { return cmp.Compare(b.Attempts, a.Attempts) })
	return active
}

func total(attempts [NumOutcomes]uint64) (n uint64) {
	for _, a := range attempts {
		n += a
	}
	return n
}
