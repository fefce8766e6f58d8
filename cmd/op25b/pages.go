// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"op25b/config"
	"op25b/console"
	"op25b/filter"
	"op25b/metrics"
	"op25b/selfcheck"
)

// server is what serves pages beside the packet path.
type server interface {
	Serve() error
	Close() error
}

// listenAgain is how often it is tried again to listen where that failed: a predecessor
// may still be there.
const listenAgain = time.Second

// open serves metrics and the console, where the configuration has them, until shut is
// called. Without them the gateway runs all the same: customers come first.
func (g *gateway) open() (shut func()) {
	cfg := g.rules.cfg
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serve := func(what string, listen func() (server, error)) {
		serving.Go(func() { keepServing(ctx, what, listen, g.log) })
	}
	if cfg.Control.Metrics != "" {
		serve("metrics and health", func() (server, error) {
			return metrics.Listen(metrics.Options{Address: cfg.Control.Metrics, Status: g.Status, Log: g.log.Named("metrics")})
		})
	}
	if cfg.Console.Listen != "" {
		serve("the console", func() (server, error) {
			return console.Listen(console.Options{
				Listen: cfg.Console.Listen, TokenFile: cfg.Console.TokenFile, Writable: cfg.Console.Access == config.AccessChange,
				Gateway: g, Log: g.log.Named("console"),
			})
		})
	}
	return func() {
		stop()
		serving.Wait()
	}
}

// keepServing listens and serves until ctx ends, and tries again where it cannot.
func keepServing(ctx context.Context, what string, listen func() (server, error), log *zap.Logger) {
	said := ""
	for ctx.Err() == nil {
		s, err := listen()
		if err != nil {
			if said != err.Error() { // once is enough
				log.Warn("this gateway does not serve "+what+", and tries again", zap.Error(err))
			}
			said = err.Error()
			select {
			case <-ctx.Done():
			case <-time.After(listenAgain):
			}
			continue
		}
		said = ""
		closed := context.AfterFunc(ctx, func() { _ = s.Close() })
		if err := s.Serve(); err != nil && ctx.Err() == nil {
			log.Warn("this gateway no longer serves "+what, zap.Error(err))
		}
		if closed() {
			_ = s.Close()
		}
	}
}

// servePage serves the subscribers' page on a data path's router, as long as that lives.
func (g *gateway) servePage(d *dataPath) {
	c := d.cfg.SelfCheck
	if len(c.Listen) == 0 {
		return
	}
	log := g.log.Named("self-check")
	if g.page == nil {
		g.page = selfcheck.New(selfcheck.Options{
			Line: g.line, Provider: c.Provider, Contact: c.Contact, Relays: c.Servers, Log: log,
		})
	}
	page := g.page
	for _, at := range c.Listen {
		l, err := d.router.Listen(at)
		if err != nil {
			log.Error("subscribers cannot look at their own line there", zap.Error(err))
			continue
		}
		d.listeners = append(d.listeners, l)
		go func() {
			if err := page.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
				log.Warn("subscribers cannot look at their own line there any more", zap.Stringer("listen", at), zap.Error(err))
			}
		}()
	}
}

// line says how it is with the line that has an address.
func (g *gateway) line(_ context.Context, addr netip.Addr) (selfcheck.Line, error) {
	addr = addr.Unmap().WithZone("")
	g.mu.Lock()
	rules, policy := g.rules, g.policy
	g.mu.Unlock()
	l := selfcheck.Line{
		Address: addr,
		Shared:  slices.ContainsFunc(rules.cfg.SelfCheck.Shared, func(p netip.Prefix) bool { return p.Contains(addr) }),
	}
	s, held := policy.Subscriber(addr)
	if !held {
		return l, nil
	}
	l.Known, l.Static, l.Exempt = true, s.Static, s.Exempt
	if s.Static {
		return l, nil
	}
	e, err := rules.about(addr, somewhere(addr, rules.cfg.Policy.Ports[0])).explain(g.clock.Now(), rules.texts)
	if err != nil {
		return selfcheck.Line{}, err
	}
	if rules.cfg.Texts.Directory != "" { // the page says the rest in its own words
		l.Texts = e.CustomerTexts
	}
	refused := func(action, reason string) bool {
		return reason == filter.ReasonBlockedPort.String() && action != filter.Monitored.String()
	}
	switch {
	case refused(e.Action, e.Reason):
		l.Blocked, l.Since = true, localTime(e.Since)
	case e.Next != nil && refused(e.Next.Action, e.Next.Reason):
		l.From = localTime(e.Next.Time)
	}
	return l, nil
}

// localTime is t as clocks here show it; zero stays zero.
func localTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Local()
}
