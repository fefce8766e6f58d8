// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"sync"
	"time"
)

// lasting is how long an answer is given again instead of asking anew.
const lasting = time.Second

// recent remembers what was taken, so that clients together ask no more often than
// one of them may. Who comes while it is being taken waits for it.
type recent[T any] struct {
	take func() T
	now  func() time.Time

	mu    sync.Mutex // protects what follows
	until time.Time
	value T
}

// get returns what is at most a second old. Callers share it, and only read it.
func (r *recent[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); !now.Before(r.until) {
		r.value = r.take()
		r.until = r.now().Add(lasting)
	}
	return r.value
}

// paced returns a function that gathers once a second at most. promhttp's own way to
// share a gathering keeps it for as long as somebody reads slowly.
func paced[L ~[]E, E any](gather func() (L, error), now func() time.Time) func() (L, error) {
	type gathered struct {
		list L
		err  error
	}
	last := &recent[gathered]{now: now, take: func() gathered {
		list, err := gather()
		return gathered{list, err}
	}}
	return func() (L, error) {
		g := last.get()
		return slices.Clone(g.list), g.err
	}
}
