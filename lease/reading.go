// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"strings"
	"time"
)

// reading is a Reading into a Book. What differs from the Book waits in news until
// the commit; what does not is only marked.
type reading struct {
	book    *Book
	source  string
	number  uint32
	now     uint32 // when it began
	last    uint32 // the number of the entry of the Book that it named last
	news    *holdings
	bad     uint64
	problem []Problem
}

// Read begins a reading of all that a source knows.
func (b *Book) Read(source string) Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readings++
	return &reading{book: b, source: strings.Clone(source), number: b.readings, now: seconds(b.opts.Now()), news: newHoldings()}
}

// Hold says that a lease is held.
func (r *reading) Hold(l Lease) {
	l, ok := tidied(l)
	if !ok {
		return
	}
	l.Source = r.source
	key := placeOf(l.Prefix)
	b := r.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if (&record{end: seconds(l.End)}).over(r.now) {
		r.gone(key)
		return
	}
	if h := b.holdings[r.source]; h != nil {
		have, number := h.getAfter(r.last, key)
		r.last = number
		if have != nil {
			have.reading = r.number
			if have.end == seconds(l.End) && h.named(have, l) {
				r.forget(key)
				return
			}
		}
	}
	if r.news.len() >= mostLeases && r.news.get(key) == nil {
		r.Bad(tooMany(r.source))
		return
	}
	r.news.set(key, l)
}

// Gone says that a prefix is held by nobody.
func (r *reading) Gone(p netip.Prefix) {
	l, ok := tidied(Lease{Prefix: p})
	if !ok {
		return
	}
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	r.gone(placeOf(l.Prefix))
}

func (r *reading) gone(key place) {
	if h := r.book.holdings[r.source]; h != nil {
		if have := h.get(key); have != nil {
			have.reading = 0
		}
	}
	r.forget(key)
}

// forget drops what waits for a prefix.
func (r *reading) forget(key place) {
	if r.news.len() > 0 && r.news.get(key) != nil {
		r.news.unset(key)
		r.news.tidy()
	}
}

// Bad says that something could not be understood.
func (r *reading) Bad(p Problem) {
	r.bad++
	r.problem = remember(r.problem, p)
}

// Commit makes the Book say what was read.
func (r *reading) Commit(at time.Time) {
	b := r.book
	b.order.Lock()
	defer b.order.Unlock()
	b.mu.Lock()
	s := b.state(r.source)
	s.bad, s.problems = r.bad, r.problem
	h := b.of(r.source)
	first := h.len() == 0
	if first {
		b.adopt(r.source, r.news, at)
	}
	b.mu.Unlock()
	if first {
		r.tellAll()
		return
	}
	r.releaseUnnamed(h, at)
	r.holdNews(h, at)
}

// adopt takes the leases of a source that had none as they are: moving a million
// one by one would need the room of two.
func (b *Book) adopt(source string, news *holdings, at time.Time) {
	b.holdings[source] = news
	for _, rec := range news.all() {
		if rec.start == 0 || rec.start > seconds(at) {
			rec.start = seconds(at)
		}
		rec.told = seconds(at)
	}
}

// batch is how many changes are made before others may look something up.
const batch = 1024

// tellAll tells of every lease as a new one.
func (r *reading) tellAll() {
	r.inBatches(r.news, func(key place, rec *record) []Event {
		l := r.news.lease(key, rec, r.source)
		return []Event{{Kind: Granted, Lease: l, Time: l.Start}}
	})
}

// releaseUnnamed releases what the reading did not name, and tells of what it has
// confirmed.
func (r *reading) releaseUnnamed(h *holdings, at time.Time) {
	now := seconds(at)
	r.inBatches(h, func(key place, rec *record) []Event {
		switch {
		case rec.reading != r.number:
			return []Event{h.end(key, r.source, at)}
		case now >= rec.told+quiet && r.news.get(key) == nil:
			rec.told = now
			return []Event{{Kind: Renewed, Lease: h.lease(key, rec, r.source), Time: at}}
		default:
			return nil
		}
	})
}

// holdNews takes what is new or different.
func (r *reading) holdNews(h *holdings, at time.Time) {
	now := seconds(r.book.opts.Now())
	r.inBatches(r.news, func(key place, rec *record) []Event {
		changes := h.hold(r.news.lease(key, rec, r.source), at, now)
		if have := h.get(key); have != nil {
			have.reading = r.number
		}
		return changes
	})
}

// inBatches goes over the entries of a table with the Book locked for writing, and
// tells of what change returns with the lock released. Only order keeps others
// from changing the table meanwhile.
func (r *reading) inBatches(over *holdings, change func(place, *record) []Event) {
	b := r.book
	var changes []Event
	tell := func() {
		b.mu.Unlock()
		for _, c := range changes {
			b.opts.OnChange(c)
		}
		clear(changes)
		changes = changes[:0]
		b.mu.Lock()
	}
	b.mu.Lock()
	for key, rec := range over.all() {
		changes = append(changes, change(key, rec)...)
		if len(changes) >= batch {
			tell()
		}
	}
	tell()
	b.mu.Unlock()
}
