// SPDX-License-Identifier: Apache-2.0

package census

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
)

// ErrClosed says that a Watcher or its Book is closed: no attempt will come.
var ErrClosed = fmt.Errorf("nobody watches attempts any more: %w", os.ErrClosed)

// Event is an attempt, told when it begins.
type Event struct {
	Attempt
	// Missed counts attempts right before this one that the reader was too slow for.
	Missed uint64
}

// mostWaiting is how many attempts wait for a reader: 180 KiB.
const mostWaiting = 1024

// Watcher tells of attempts as they begin.
type Watcher struct {
	book   *Book
	within netip.Prefix
	events chan Event
	// Of the book's lock: nobody sends when ended.
	missed uint64
	ended  bool
}

// Watch begins to tell of the attempts of subscribers in a prefix. If that is less
// than what a subscriber has, as one address of an IPv6 prefix, it tells of those
// whose source is in it. Zero: of all. The caller closes the Watcher; that of a closed
// book is closed.
func (b *Book) Watch(within netip.Prefix) *Watcher {
	w := &Watcher{book: b, within: within, events: make(chan Event, mostWaiting)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		w.end()
		return w
	}
	b.watchers = append(b.watchers, w)
	return w
}

// Next returns the next attempt, waiting for it. The error is the context's, or
// [ErrClosed] when those from before have been returned. Several goroutines can call it;
// each attempt goes to one.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	select {
	case e, ok := <-w.events:
		if !ok {
			return Event{}, ErrClosed
		}
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// Close ends the telling and wakes whoever waits in Next. It is safe to call it twice.
func (w *Watcher) Close() {
	b := w.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers = slices.DeleteFunc(b.watchers, func(o *Watcher) bool { return o == w })
	w.end()
}

// end is called with the book's lock held.
func (w *Watcher) end() {
	if !w.ended {
		w.ended = true
		close(w.events)
	}
}

// offer is called with the book's lock held, and does not wait.
func (w *Watcher) offer(a *Attempt) {
	if !w.wants(a) {
		return
	}
	select {
	case w.events <- Event{*a, w.missed}:
		w.missed = 0
	default:
		w.missed++
	}
}

func (w *Watcher) wants(a *Attempt) bool {
	p := w.within
	return !p.IsValid() || p.Contains(a.Source) ||
		p.Bits() <= a.Subscriber.Bits() && p.Contains(a.Subscriber.Addr())
}
