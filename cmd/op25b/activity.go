// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
	"op25b/config"
	"op25b/control"
	"op25b/report"
)

// This file answers what is asked about attempts. See [control.Gateway].

// Top says who tries most at the moment.
func (g *gateway) Top(_ context.Context, opts control.TopOptions) (control.Top, error) {
	s := g.tried.book.Top(opts.Most)
	top := control.Top{Time: time.Now(), Since: s.Since, Attempts: byOutcome(s.Attempts), Lost: g.attemptsLost()}
	for _, a := range s.Subscribers {
		top.Subscribers = append(top.Subscribers, control.ActiveSubscriber{
			Subscriber: a.Subscriber.String(), Pool: a.Pool, Attempts: byOutcome(a.Attempts),
			Destinations: a.Destinations, Estimated: a.Estimated, Last: a.Last,
		})
	}
	for _, d := range s.Destinations {
		top.Destinations = append(top.Destinations, control.ActiveDestination{
			Destination: d.Addr.String(), Port: d.Port, Attempts: d.Attempts, Subscribers: d.Subscribers,
		})
	}
	return top, nil
}

// Tail tells of attempts as they begin.
func (g *gateway) Tail(ctx context.Context, opts control.TailOptions, send func(control.TailEvent) error) error {
	w := g.tried.book.Watch(opts.Within)
	defer w.Close()
	for {
		e, err := w.Next(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, census.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		if err := send(control.TailEvent{
			Time: e.Time, Pool: e.Pool, Subscriber: e.Subscriber.String(), Source: e.Source, Destination: e.Destination, Port: e.Port,
			Outcome: e.Outcome.String(), Missed: e.Missed,
		}); err != nil {
			return err
		}
	}
}

// somewhere is a mail server that stands for all that are in no group: TEST-NET-3 (RFC
// 5737) and RFC 3849.
func somewhere(family netip.Addr, port uint16) netip.AddrPort {
	if family.Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, 25}), port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("2001:db8::25"), port)
}

// Subscriber says all there is to know of one.
func (g *gateway) Subscriber(ctx context.Context, opts control.SubscriberOptions) (control.Subscriber, error) {
	g.mu.Lock()
	policy, rules := g.policy, g.rules
	g.mu.Unlock()
	e, err := g.Explain(ctx, control.ExplainOptions{Source: opts.Address, Destination: somewhere(opts.Address, rules.cfg.Policy.Ports[0])})
	if err != nil {
		return control.Subscriber{}, err
	}
	found := control.Subscriber{Explanation: e}
	s, held := policy.Subscriber(opts.Address)
	if !held {
		return found, nil
	}
	now := time.Now()
	if r, tried := g.tried.book.Subscriber(s.Prefix); tried {
		found.Records = append(found.Records, r)
	}
	if g.history.journal != nil {
		const day = 24 * time.Hour
		for r, err := range g.history.journal.Records(ctx, now.Add(-time.Duration(opts.Days)*day), now, s.Prefix) {
			if err != nil {
				return control.Subscriber{}, fmt.Errorf("read the journal: %w", err)
			}
			found.Records = append(found.Records, r)
		}
	}
	slices.SortStableFunc(found.Records, func(a, b census.Record) int { return b.Hour.Compare(a.Hour) })
	if len(found.Records) > 0 {
		f := g.judge(rules).Find(found.Records)
		if len(e.Holders) > 0 {
			f.Holder = e.Holders[0].Holder
		}
		found.Finding = &f
	}
	return found, nil
}

// judge knows the providers that the operator has named, if any.
func (g *gateway) judge(rules *rulebook) *report.Judge {
	j := &report.Judge{Location: time.Local}
	if providers := rules.cfg.Attempts.Providers; len(providers) > 0 {
		j.Known = func(p netip.Prefix) bool { return holds(providers, p) }
	}
	return j
}

// Report makes a report of what the journal has, and of the hour that goes on.
func (g *gateway) Report(ctx context.Context, opts control.ReportOptions) (report.Report, error) {
	g.mu.Lock()
	rules, counted := g.rules, g.counted()
	g.mu.Unlock()
	in := report.Input{
		From: opts.From.Local(), To: opts.To.Local(), Made: time.Now(), Judge: g.judge(rules),
		Records: g.records(ctx, opts.From, opts.To),
		Notes:   g.notes(rules.cfg, opts.From, &counted),
		Holder:  func(subscriber netip.Prefix) string { return g.history.holder(ctx, subscriber, opts.To) },
	}
	now := g.clock.Now()
	rules.reportPhases(&in, now)
	rules.reportExemptions(&in, now)
	r, err := report.Build(in)
	if err != nil {
		return report.Report{}, fmt.Errorf("make a report: %w", err)
	}
	return *r, nil
}

// records are those of the journal, and those of the hour that goes on.
func (g *gateway) records(ctx context.Context, from, to time.Time) func(yield func(census.Record, error) bool) {
	return func(yield func(census.Record, error) bool) {
		if g.history.journal != nil {
			for r, err := range g.history.journal.Records(ctx, from, to, netip.Prefix{}) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
		for _, r := range redactRecords(g.tried.book.Current(), g.history.privacy) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// notes are what limits the truth of a report.
func (g *gateway) notes(cfg *config.Config, from time.Time, counted *tally) []string {
	var notes []string
	if cfg.Forwarding.ReturnPath == config.ReturnPathKernel {
		notes = append(notes, "What comes back from the internet does not pass here (forwarding.return_path: kernel): triangular spam cannot be seen.")
	}
	if g.history.journal == nil {
		notes = append(notes, "There is no journal (journal.path): this is the present hour alone.")
	} else if health := g.history.journal.Health(); health.Err != nil {
		notes = append(notes, fmt.Sprintf("The journal cannot be written at the moment: %v.", health.Err))
	}
	if lost := counted.attemptsLost; lost > 0 {
		notes = append(notes, fmt.Sprintf("%d packets since %s were too many to be counted: the figures are too low.", lost, since(g.started)))
	}
	if n := g.tried.book.Health().Overflowed; n > 0 {
		notes = append(notes, fmt.Sprintf("%d attempts since %s are missing: there were more subscribers in an hour than attempts.subscribers has places.", n, since(g.started)))
	}
	if counted.shed > 0 {
		notes = append(notes, fmt.Sprintf("The kernel has dropped %d packets of floods since %s; they are in no figure.", counted.shed, since(g.started)))
	}
	if g.started.After(from) && g.history.journal == nil {
		notes = append(notes, "Nothing from before "+since(g.started)+" is known.")
	}
	return notes
}

func since(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// Calendar says what is planned and what was.
func (g *gateway) Calendar(context.Context) (control.Calendar, error) {
	now := g.clock.Now()
	g.mu.Lock()
	rules := g.rules
	g.mu.Unlock()
	c := control.Calendar{Now: now}
	for _, e := range rules.schedule.Events() {
		c.Events = append(c.Events, control.CalendarEvent{Time: e.Time, What: e.What, Past: !e.Time.After(now)})
	}
	return c, nil
}

// attemptsLost is how many packets nobody could look at in time. It is asked for every
// second, and leaves out what else is counted: that asks netfilter.
func (g *gateway) attemptsLost() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	lost := g.past.attemptsLost
	if g.data != nil {
		_, _, now := g.data.router.AttemptsWaiting()
		lost += now
	}
	return lost
}

func byOutcome(counts [census.NumOutcomes]uint64) map[string]uint64 {
	all := make(map[string]uint64, len(counts))
	for o, n := range counts {
		all[census.Outcome(o).String()] = n //nolint:gosec // NumOutcomes of them
	}
	return all
}
