// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// SourceHealth is how a source is doing.
type SourceHealth struct {
	Source string
	// LastSuccess is when the source could last be asked; zero: never.
	LastSuccess time.Time
	// Age is how long ago that was; 0 if it never was.
	Age time.Duration
	// Err is why it cannot be asked now; nil: it can, or was not asked yet.
	Err error
	// LastErr is what was last wrong, even if it is over; nil: nothing ever was.
	LastErr error
	// LastErrTime is when that was.
	LastErrTime time.Time
	// Leases is how many leases it has.
	Leases int
	// BadLines is how many lines were skipped since the last reading of the whole, or
	// packets since the start.
	BadLines uint64
	// Problems are the last of them, mostProblems at most.
	Problems []Problem
}

// Degraded reports whether the source's answers may be out of date.
func (h SourceHealth) Degraded() bool { return h.Err != nil || h.LastSuccess.IsZero() }

// state is what a Book keeps of a source's health.
type state struct {
	success time.Time
	err     error // nil: it is well
	lastErr error
	errTime time.Time

	bad      uint64
	problems []Problem
}

// mostProblems is how many problems of a source are kept.
const mostProblems = 20

// Health returns how every source is doing, by name. A source is known from the
// first word about it.
func (b *Book) Health() []SourceHealth {
	now := b.opts.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]SourceHealth, 0, len(b.states))
	for name, s := range b.states {
		h := SourceHealth{
			Source: name, LastSuccess: s.success, Err: s.err, LastErr: s.lastErr, LastErrTime: s.errTime,
			Leases: b.countOf(name), BadLines: s.bad, Problems: slices.Clone(s.problems),
		}
		if !s.success.IsZero() {
			h.Age = max(0, now.Sub(s.success))
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(x, y SourceHealth) int { return strings.Compare(x.Source, y.Source) })
	return all
}

// countOf returns how many leases a source has, those of its access servers
// included.
func (b *Book) countOf(name string) int {
	n := 0
	for source, h := range b.holdings {
		if source == name || strings.HasPrefix(source, name+"/") {
			n += h.len()
		}
	}
	return n
}

// Asked takes the news whether a source could be asked.
func (b *Book) Asked(source string, at time.Time, err error) {
	b.mu.Lock()
	s := b.state(source)
	before, first := s.err, s.success.IsZero()
	s.err = err
	if err != nil {
		s.lastErr, s.errTime = err, at
	} else {
		s.success = at
	}
	leases := b.countOf(source)
	b.mu.Unlock()

	log := b.opts.Log.With(zap.String("source", source), zap.Int("leases", leases))
	switch {
	case err != nil && before == nil:
		log.Warn("lease source lost; what it said last stays", zap.Error(err))
	case err == nil && before != nil:
		log.Info("lease source is back")
	case err == nil && first:
		log.Info("lease source read")
	}
}

// Bad takes the news that something of a source made no sense.
func (b *Book) Bad(source string, p Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state(source)
	s.bad++
	s.problems = remember(s.problems, p)
}

// state returns what is kept of a source; b.mu is locked for writing.
func (b *Book) state(source string) *state {
	s := b.states[source]
	if s == nil {
		s = &state{}
		b.states[strings.Clone(source)] = s
	}
	return s
}

// remember adds a problem to the last ones. One without a line comes again and
// again, and must not push out the others.
func remember(last []Problem, p Problem) []Problem {
	if p.Line == 0 && slices.ContainsFunc(last, func(q Problem) bool { return q.File == p.File && q.What == p.What }) {
		return last
	}
	if len(last) == mostProblems {
		last = slices.Delete(last, 0, 1)
	}
	return append(last, p.keep())
}
