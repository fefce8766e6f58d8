// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/census"
	"op25b/config"
	"op25b/filter"
	"op25b/journal"
	"op25b/stack"
)

// takeEvery is how often attempts are taken from the packet path. Its rings have room
// for twenty times what is normal meanwhile.
const takeEvery = 100 * time.Millisecond

// counting makes a census of what the packet path sees.
type counting struct {
	book *census.Book
	stop context.CancelFunc
	over sync.WaitGroup

	taking sync.Mutex // one takes from a router at a time
}

// startCounting counts what the gateway's routers see until it is ended.
func startCounting(g *gateway) *counting {
	ctx, stop := context.WithCancel(context.Background())
	c := &counting{stop: stop, book: census.NewBook(census.Options{Subscribers: g.rules.cfg.Attempts.Subscribers, OnHour: g.history.keep})}
	c.over.Go(func() {
		tick := time.NewTicker(takeEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				g.mu.Lock()
				d, policy := g.data, g.policy
				g.mu.Unlock()
				if d != nil {
					c.take(d.router, policy, now)
				}
				c.book.Tick(now)
			case <-ctx.Done():
				return
			}
		}
	})
	if g.history.journal != nil {
		c.over.Go(func() { c.draft(ctx, g.history) })
	}
	return c
}

// draft has what is counted outlive this process, should it be killed within the hour.
// A large hour takes a while to copy: meanwhile attempts are taken as ever.
func (c *counting) draft(ctx context.Context, h *history) {
	tick := time.NewTicker(journal.DraftEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.journal.Draft(redactRecords(c.book.Current(), h.privacy))
		case <-ctx.Done():
			return
		}
	}
}

// end hands on what was counted.
func (c *counting) end() {
	c.stop()
	c.over.Wait()
	c.book.Close()
}

// take counts what a router has seen. The policy says whose it was.
func (c *counting) take(r *stack.Router, policy *filter.Policy, now time.Time) {
	c.taking.Lock()
	defer c.taking.Unlock()
	r.Attempts(func(a *stack.Attempt) {
		s, held := policy.Subscriber(a.Subscriber)
		switch {
		case !held: // it was in a pool when it was seen
		case a.Direction == filter.Inbound:
			c.book.AddReply(census.Reply{Time: now, Pool: s.Pool, Subscriber: s.Prefix, Peer: a.Peer, Kind: replyKind(a.Flags)})
		default:
			c.book.Add(census.Attempt{
				Time: now, Pool: s.Pool, Subscriber: s.Prefix, Source: a.Subscriber, Destination: a.Peer, Port: a.Port, Outcome: outcome(a.Verdict),
			})
		}
	})
}

func replyKind(f header.TCPFlags) census.ReplyKind {
	switch {
	case f.Contains(header.TCPFlagRst):
		return census.ReplyReset
	case f.Contains(header.TCPFlagSyn):
		return census.ReplySYNACK
	default:
		return census.ReplyData
	}
}

func outcome(v filter.Verdict) census.Outcome {
	switch {
	case v.Reason == filter.ReasonRelay:
		return census.Relayed
	case v.Reason == filter.ReasonExempt:
		return census.Exempt
	case v.Reason == filter.ReasonNotInForce:
		return census.NotInForce
	case v.Action == filter.Monitored:
		return census.Monitored
	default:
		return census.Refused
	}
}

// keep writes an hour of the census down, with as much of destinations as may be kept.
func (h *history) keep(_ time.Time, records []census.Record) {
	if h.journal == nil || len(records) == 0 {
		return
	}
	h.journal.AddRecords(redactRecords(records, h.privacy))
}

// redactRecords returns records with as much of destinations as may be kept. Those that
// become one are added up.
func redactRecords(records []census.Record, privacy config.JournalDestinations) []census.Record {
	if privacy == config.JournalDestinationsFull {
		return records
	}
	kept := slices.Clone(records)
	for i := range kept {
		kept[i].Top = census.ShortenTop(kept[i].Top, journal.Privacy(privacy).Redact)
	}
	return kept
}
