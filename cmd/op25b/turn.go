// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"op25b/filter"
	"op25b/rollout"
)

// nearby is how long before a boundary the policy behind it is built, so that the
// boundary itself costs a pointer.
const nearby = 10 * time.Minute

// update builds everything that could fail of what is in force at a time.
func (r *rulebook) update(at time.Time) (*update, error) {
	policy, err := r.at(at)
	if err != nil {
		return nil, err
	}
	return &update{rules: r, at: at, policy: policy, size: policy.Size(), guard: tunnelGuard(r.cfg, policy)}, nil
}

// turn looks whether something of the rollout is due, or nearly, without keeping the
// caller waiting.
func (g *gateway) turn() {
	now := g.clock.Now()
	g.history.mark(g.clock.Mark())
	if wait, planned := g.untilNext(now); !planned || wait > nearby || !g.turning.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer g.turning.Store(false)
		g.changing.Lock()
		defer g.changing.Unlock()
		err := g.turnTo(now)
		g.mu.Lock()
		defer g.mu.Unlock()
		if err != nil && (g.behind == nil || g.behind.Error() != err.Error()) {
			g.log.Error("what is due of the rollout could not be put in force", zap.Error(err))
		}
		g.behind = err
	}()
}

// turnTo puts in force what has become due since the last time, all of it at once.
// g.changing is held.
func (g *gateway) turnTo(now time.Time) error {
	if g.next.IsZero() { // a reload has changed what was near
		return nil
	}
	rules, from := g.rules, g.effective
	due := rules.schedule.Boundaries(from, now)
	last := g.next
	if len(due) > 0 {
		last = due[len(due)-1]
	}
	if g.ahead == nil || g.ahead.rules != rules || !g.ahead.at.Equal(last) {
		u, err := rules.update(last)
		if err != nil {
			return err
		}
		g.ahead = u
	}
	if len(due) == 0 {
		return nil
	}
	return g.switchTo(g.ahead, from, now)
}

// switchTo puts in force what was built for a boundary.
func (g *gateway) switchTo(u *update, from, now time.Time) error {
	changes := changesOf(filter.DiffPolicies(g.policy, u.policy))
	if err := g.apply(u); err != nil {
		return err
	}
	g.ahead = nil
	what := happened(&u.rules.schedule, from, u.at)
	g.log.Info("the rollout goes on", zap.Strings("what", what), zap.Time("due", u.at), zap.Time("now", now),
		zap.Int("generation", g.generation), zap.Strings("changes", changes))
	g.remember(u, u.at, what)
	return nil
}

// acceptClock has the rollout go by the machine's clock, backwards too. What is in force
// then is for the reload that asks for it to say. g.changing is held.
func (g *gateway) acceptClock(ctx context.Context) {
	before := g.clock.Mark()
	now := g.clock.Reset()
	g.log.Warn("the rollout goes by the machine's clock, as it was told to", zap.Time("before", before), zap.Time("now", now))
	if g.history.journal == nil {
		return
	}
	if err := g.history.journal.ResetMark(ctx, now); err != nil {
		g.log.Warn("the journal does not know that the clock was accepted", zap.Error(err))
	}
}

// remember has the journal keep a policy that is in force from some time on.
// g.changing is held.
func (g *gateway) remember(u *update, from time.Time, changes []string) {
	if err := g.history.remember(u, g.generation, from, changes); err != nil {
		g.log.Warn("the journal does not have this generation", zap.Error(err))
	}
}

// happened says what a schedule has after from and up to to.
func happened(s *rollout.Schedule, from, to time.Time) []string {
	var what []string
	for _, e := range s.Between(from, to) {
		what = append(what, e.What)
	}
	return what
}

// untilNext is how long it takes from now to the next boundary, and false if there is
// none.
func (g *gateway) untilNext(now time.Time) (wait time.Duration, planned bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.next.Sub(now), !g.next.IsZero()
}
