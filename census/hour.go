// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"slices"
	"time"
)

const (
	hourLength = int64(time.Hour)
	// setBack is how far the clock has to go back before the beginning of the hour for
	// it to be taken as set. Less are packets that waited while the hour began.
	setBack = int64(5 * time.Minute)
	// mostDone is how many hours that were handed on are remembered: some six weeks.
	mostDone = 1000
)

// hour is what was counted in one hour. The book's lock protects it, also when it is
// over.
type hour struct {
	start       int64 // nanoseconds since 1970
	since       int64 // when counting began
	exact       int   // entries of a subscriber
	subscribers map[netip.Prefix]*subscriber
	order       []*subscriber // as they came, only ever longer
	attempts    [NumOutcomes]uint64
	network     network

	targets  budget // entries beyond the first of each subscriber
	sketches budget
	peers    budget
}

// at returns a time in the hour for one that may be before it.
func (h *hour) at(now int64) int64 { return min(max(now, h.start), h.start+hourLength-1) }

func (h *hour) time() time.Time { return time.Unix(0, h.start).UTC() }

// hourOf returns the beginning of the hour of a time.
func hourOf(now int64) int64 {
	into := now % hourLength
	if into < 0 {
		into += hourLength
	}
	return now - into
}

// turn begins the hour of a time, if that is another than the current one and not
// over. A packet's time only turns forward, that of the caller's clock also back, if
// it was set: otherwise nothing would be handed on until the hour that came too early
// has come again. What was handed on is never opened again: what is still counted
// then is counted in the hour that is current.
func (b *Book) turn(now int64, clock bool) {
	start := hourOf(now)
	switch h := b.hour; {
	case h == nil:
		b.memories.turn()
		b.open(start, now)
	case start == h.start:
	case start < h.start && (!clock || h.start-now <= setBack):
	case slices.Contains(b.done, start):
	default:
		since := now
		if start == h.start+hourLength {
			since = start
		}
		if start > h.start {
			b.memories.turn()
		}
		b.shut()
		b.open(start, since)
	}
}

func (b *Book) open(start, since int64) {
	l := &b.limits
	b.hour = &hour{
		start: start, since: since, exact: b.options.Exact,
		subscribers: map[netip.Prefix]*subscriber{},
		network:     network{most: mostTargets, sketches: budget{most: mostTargets / 32}},
		targets:     budget{most: l.targets},
		sketches:    budget{most: l.sketches},
		peers:       budget{most: l.peers},
	}
}

// shut sets the current hour aside to be handed on.
func (b *Book) shut() {
	if b.hour == nil || len(b.hour.order) == 0 {
		return
	}
	b.over = append(b.over, b.hour)
	if len(b.done) == mostDone {
		b.done = slices.Delete(b.done, 0, 1)
	}
	b.done = append(b.done, b.hour.start)
}

// join makes a subscriber's part of the hour, who has none. Nil: there is no room
// within most.
func (h *hour) join(p netip.Prefix, pool string, hash uint64, most int) *subscriber {
	if len(h.order) >= most {
		return nil
	}
	s := &subscriber{prefix: p, pool: pool, hash: hash}
	h.subscribers[p] = s
	h.order = append(h.order, s)
	return s
}

// inChunks calls do for each of n things, holding the book's lock for some at a time
// so that packets are counted in between. n is asked for anew each time: things may
// come, and none goes. Before each chunk, prepare is called without the lock.
func (b *Book) inChunks(chunk int, n func() int, prepare func(), do func(i int)) {
	for i, more := 0, true; more; {
		if prepare != nil {
			prepare()
		}
		b.mu.Lock()
		end := min(i+chunk, n())
		for ; i < end; i++ {
			do(i)
		}
		more = i < n()
		b.mu.Unlock()
	}
}

// chunk is how many records are made under one lock. The worst, with a sketch and as
// many destinations as there can be, take less than 100 microseconds each, most two.
const chunk = 32

// records returns an hour's records, sorted by subscriber. Each is whole in itself;
// of an hour that goes on, they are not of the same moment.
func (b *Book) records(h *hour) []Record {
	records := []Record{}
	hour := h.time()
	room := func() { records = slices.Grow(records, chunk) }
	b.inChunks(chunk, func() int { return len(h.order) }, room, func(i int) {
		records = append(records, h.order[i].record(hour))
	})
	slices.SortFunc(records, func(a, b Record) int { return a.Subscriber.Compare(b.Subscriber) })
	return records
}
