// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Options of a Book. The zero value keeps no history and says nothing.
type Options struct {
	// OnChange is told of every change, one after the other; nil: nobody is. It may
	// look up leases and must not bring news.
	OnChange func(Event)
	// Log is told when a source is lost and when it is back; nil: nobody is.
	Log *zap.Logger
	// Now tells the time; nil: time.Now.
	Now func() time.Time
}

// Book is who holds what now, as far as its sources know. It is a [Sink]; make it
// by [NewBook].
type Book struct {
	opts Options

	// order is held while news is taken and told of, so that changes are told in
	// their order. It is locked before mu.
	order sync.Mutex

	mu       sync.RWMutex // protects the fields below and what is in them
	holdings map[string]*holdings
	states   map[string]*state
	readings uint32 // how many were begun
}

// mostLeases bounds the leases of one source.
const mostLeases = 16_000_000

// quiet is for how many seconds nothing is told of a lease that is only confirmed.
const quiet = 3600

// NewBook makes an empty Book.
func NewBook(opts Options) *Book {
	if opts.OnChange == nil {
		opts.OnChange = func(Event) {}
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Book{opts: opts, holdings: map[string]*holdings{}, states: map[string]*state{}}
}

// Lookup returns the lease that an address is in: that of the longest prefix, and
// among equal ones the one that began last. It is false when no source knows.
func (b *Book) Lookup(addr netip.Addr) (Lease, bool) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return Lease{}, false
	}
	now := seconds(b.opts.Now())
	b.mu.RLock()
	defer b.mu.RUnlock()
	var best Lease
	for source, h := range b.holdings {
		at, r := h.longest(addr, now)
		if r == nil {
			continue
		}
		if l := h.lease(at, r, source); !best.Prefix.IsValid() || better(l, best) {
			best = l
		}
	}
	return best, best.Prefix.IsValid()
}

// better reports whether a says more about an address than b.
func better(a, b Lease) bool {
	if a.Prefix.Bits() != b.Prefix.Bits() {
		return a.Prefix.Bits() > b.Prefix.Bits()
	}
	if !a.Start.Equal(b.Start) {
		return a.Start.After(b.Start)
	}
	return a.Source < b.Source
}

// longest returns the longest prefix that holds an address and is not over.
func (h *holdings) longest(addr netip.Addr, now uint32) (place, *record) {
	offset := 0
	if addr.Is4() {
		offset = 96
	}
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if h.lengths[bits+offset] == 0 {
			continue
		}
		prefix, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		at := placeOf(prefix)
		if r := h.get(at); r != nil && !r.over(now) {
			return at, r
		}
	}
	return place{}, nil
}

// Len returns how many leases there are.
func (b *Book) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := 0
	for _, h := range b.holdings {
		n += h.len()
	}
	return n
}

// Lease takes a piece of news.
func (b *Book) Lease(e Event) {
	b.order.Lock()
	defer b.order.Unlock()
	var changes []Event
	switch e.Kind {
	case Granted, Renewed:
		changes = b.hold(e.Lease, e.Time)
	case Released:
		changes = b.release(e.Lease, e.Time)
	case AllGone:
		changes = b.drop(e.Source, e.Time)
	}
	for _, c := range changes {
		b.opts.OnChange(c)
	}
}

// hold takes the news that a lease is held.
func (b *Book) hold(l Lease, at time.Time) []Event {
	l, ok := tidied(l)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.of(l.Source)
	if h.len() >= mostLeases && h.get(placeOf(l.Prefix)) == nil {
		name, _, _ := strings.Cut(l.Source, "/")
		s := b.state(name)
		s.bad++
		s.problems = remember(s.problems, tooMany(l.Source))
		return nil
	}
	return h.hold(l, at, seconds(b.opts.Now()))
}

// tooMany says that leases of a source are left out.
func tooMany(source string) Problem {
	return Problem{File: source, What: fmt.Sprintf("more than %d leases, the others are left out", mostLeases)}
}

// tidied returns a lease as it is kept, unless it has no prefix.
func tidied(l Lease) (Lease, bool) {
	if !l.Prefix.IsValid() {
		return l, false
	}
	if addr := l.Prefix.Addr(); addr.Is4In6() && l.Prefix.Bits() >= 96 {
		l.Prefix = netip.PrefixFrom(addr.Unmap(), l.Prefix.Bits()-96)
	}
	l.Prefix = l.Prefix.Masked()
	l.Holder, l.Hostname = clean(l.Holder), clean(l.Hostname)
	return l, true
}

// of returns the leases of a source; b.mu is locked for writing.
func (b *Book) of(source string) *holdings {
	h := b.holdings[source]
	if h == nil {
		h = newHoldings()
		b.holdings[strings.Clone(source)] = h
	}
	return h
}

// hold takes a lease and returns what has changed by it.
func (h *holdings) hold(l Lease, at time.Time, now uint32) []Event {
	key := placeOf(l.Prefix)
	r := h.get(key)
	if (&record{end: seconds(l.End)}).over(now) { // old news
		if r == nil || !h.heldBy(r, l) {
			return nil
		}
		return []Event{h.end(key, l.Source, l.End)}
	}
	if l.Start.IsZero() || l.Start.After(at) {
		l.Start = at
	}
	switch {
	case r == nil:
		return []Event{h.grant(key, l, at)}
	case !h.heldBy(r, l):
		over := h.end(key, l.Source, l.Start)
		return []Event{over, h.grant(key, l, at)}
	default:
		return h.renew(key, r, l, at)
	}
}

// grant adds a lease that is not there.
func (h *holdings) grant(key place, l Lease, at time.Time) Event {
	h.set(key, l).told = seconds(at)
	return Event{Kind: Granted, Lease: kept(l), Time: l.Start}
}

// renew confirms a lease. It goes on telling of the earliest start.
func (h *holdings) renew(key place, r *record, l Lease, at time.Time) []Event {
	if start := moment(r.start); start.Before(l.Start) {
		l.Start = start
	}
	told, worth := r.told, !h.named(r, l) || seconds(at) >= r.told+quiet
	r = h.set(key, l)
	h.tidy()
	if r.told = told; !worth {
		return nil
	}
	r.told = seconds(at)
	return []Event{{Kind: Renewed, Lease: h.lease(key, r, l.Source), Time: at}}
}

// end removes a lease that is there. It cannot end before it began, nor after its
// own end.
func (h *holdings) end(key place, source string, at time.Time) Event {
	l := h.lease(key, h.get(key), source)
	if !l.End.IsZero() && l.End.Before(at) {
		at = l.End
	}
	if at.Before(l.Start) {
		at = l.Start
	}
	h.unset(key)
	h.tidy()
	return Event{Kind: Released, Lease: l, Time: at}
}

// kept returns a lease that holds on to nothing of what was read.
func kept(l Lease) Lease {
	names := strings.Clone(l.Holder + l.Hostname)
	l.Holder, l.Hostname = names[:len(l.Holder)], names[len(l.Holder):]
	l.Start, l.End = moment(seconds(l.Start)), moment(seconds(l.End))
	l.Source = strings.Clone(l.Source)
	return l
}

// release takes the news that a lease is over. News of another holder's lease, or
// of another session's, is late and says nothing about this one.
func (b *Book) release(l Lease, at time.Time) []Event {
	l, ok := tidied(l)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.holdings[l.Source]
	if h == nil {
		return nil
	}
	key := placeOf(l.Prefix)
	r := h.get(key)
	if r == nil || !h.meant(r, l) {
		return nil
	}
	return []Event{h.end(key, l.Source, at)}
}

// drop takes the news that all leases of a source are over.
func (b *Book) drop(source string, at time.Time) []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.holdings, source)
	return []Event{{Kind: AllGone, Lease: Lease{Source: strings.Clone(source)}, Time: at}}
}

// expire ends what is over.
func (b *Book) expire() {
	b.order.Lock()
	defer b.order.Unlock()
	now := seconds(b.opts.Now())
	b.mu.RLock()
	sources := make([]string, 0, len(b.holdings))
	for source := range b.holdings {
		sources = append(sources, source)
	}
	b.mu.RUnlock()
	slices.Sort(sources)
	for _, source := range sources {
		for _, e := range b.expireOf(source, now) {
			b.opts.OnChange(e)
		}
	}
}

// expireOf ends what is over of one source.
func (b *Book) expireOf(source string, now uint32) (over []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.holdings[source]
	if h == nil {
		return nil
	}
	for key, r := range h.all() {
		if r.over(now) {
			l := h.lease(key, r, source)
			h.unset(key)
			over = append(over, Event{Kind: Released, Lease: l, Time: l.End})
		}
	}
	h.tidy()
	return over
}
