// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"time"

	"op25b/control"
	"op25b/journal"
	"op25b/lease"
)

// archive is where the past is kept.
type archive interface {
	GenerationAt(ctx context.Context, t time.Time) (journal.Generation, bool, error)
	HolderAt(ctx context.Context, addr netip.Addr, t time.Time) ([]journal.Holding, error)
}

// knowledge is all that an explanation can be made of.
type knowledge struct {
	rules  *rulebook
	origin control.PolicyOrigin // of rules
	now    time.Time
	past   archive     // nil: there is none
	book   *lease.Book // nil: nobody knows who has an address now
}

// explain answers from the policy that was in force at the time, where that is known.
func (k *knowledge) explain(ctx context.Context, opts control.ExplainOptions) (*control.Explanation, error) {
	at := opts.At
	if at.IsZero() {
		at = k.now
	}
	rules, origin, known, err := k.policyAt(ctx, at)
	if err != nil {
		return nil, err
	}
	q := rules.about(opts.Source, opts.Destination)
	e, err := q.explain(at, k.rules.texts)
	if err != nil {
		return nil, err
	}
	e.Policy = origin
	if !known {
		e.Text += " Which policy was in force then is not known: this is what the one of today would have done."
	}
	if err := k.reachBack(ctx, q, e); err != nil {
		return nil, err
	}
	q.tell(e, k.rules.texts) // since when may be known better now
	e.Holders, err = k.holders(ctx, opts.Source, at)
	return e, err
}

// policyAt returns the rules of a time, and false if nobody knows them: those of today
// have to do then.
func (k *knowledge) policyAt(ctx context.Context, at time.Time) (*rulebook, control.PolicyOrigin, bool, error) {
	if at.After(k.now) || k.origin.Generation > 0 && !at.Before(k.origin.Since) {
		return k.rules, k.origin, true, nil
	}
	if k.past != nil {
		rules, origin, found, err := k.generationAt(ctx, at)
		if found || err != nil {
			return rules, origin, found, err
		}
	}
	// A file says nothing of when it was in force, and is taken by its word.
	return k.rules, k.origin, k.origin.Generation == 0 && k.past == nil, nil
}

func (k *knowledge) generationAt(ctx context.Context, at time.Time) (*rulebook, control.PolicyOrigin, bool, error) {
	g, found, err := k.past.GenerationAt(ctx, at)
	if !found || err != nil {
		return nil, control.PolicyOrigin{}, false, err
	}
	rules, err := rulebookOf(g.Document)
	return rules, control.PolicyOrigin{Source: "journal", Generation: g.Number, Since: g.Time}, true, err
}

// mostGenerations is how far back explain looks for the first one of a verdict.
const mostGenerations = 100

// reachBack finds out since when the verdict has been the same, where it is older than
// the generation that it comes from.
func (k *knowledge) reachBack(ctx context.Context, q *inquiry, e *control.Explanation) error {
	began := e.Policy.Since
	for range mostGenerations {
		if k.past == nil || began.IsZero() || !e.Since.Before(began) {
			return nil
		}
		before := began.Add(-time.Millisecond)
		rules, origin, found, err := k.generationAt(ctx, before)
		if err != nil {
			return err
		}
		e.Since = began
		if !found {
			return nil
		}
		earlier := rules.about(q.src, q.dst)
		x, err := earlier.at(before)
		if err != nil {
			return err
		}
		if x.Action.String() != e.Action || x.Reason.String() != e.Reason {
			return nil
		}
		if e.Since, err = earlier.since(before, x.Verdict); err != nil {
			return err
		}
		began = origin.Since
	}
	return nil
}

// holders are who had the address. What is in force now may not be written yet.
func (k *knowledge) holders(ctx context.Context, addr netip.Addr, at time.Time) ([]control.Holder, error) {
	var all []control.Holder
	if k.past != nil {
		found, err := k.past.HolderAt(ctx, addr, at)
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			all = append(all, control.Holder{
				Prefix: h.Prefix.String(), Holder: h.Holder, Hostname: h.Hostname, Source: h.Source,
				From: h.From, To: h.To, Age: max(0, at.Sub(h.Seen).Seconds()),
			})
		}
	}
	if k.book == nil || len(all) > 0 {
		return all, nil
	}
	l, held := k.book.Lookup(addr)
	if !held || at.Before(l.Start) || at.After(k.now) {
		return all, nil
	}
	return append(all, control.Holder{
		Prefix: l.Prefix.String(), Holder: l.Holder, Hostname: l.Hostname, Source: l.Source, From: l.Start,
	}), nil
}

// Explain says what happens to a connection, or happened. See [control.Gateway].
func (g *gateway) Explain(ctx context.Context, opts control.ExplainOptions) (control.Explanation, error) {
	k := knowledge{now: g.clock.Now(), book: g.history.book}
	g.mu.Lock()
	k.rules = g.rules
	k.origin = control.PolicyOrigin{Source: "gateway", File: g.path, Generation: g.generation, Since: g.loaded}
	g.mu.Unlock()
	if j := g.history.journal; j != nil {
		k.past = j
	}
	e, err := k.explain(ctx, opts)
	if err != nil {
		return control.Explanation{}, err
	}
	return *e, nil
}
