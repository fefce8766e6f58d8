// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"op25b/config"
	"op25b/filter"
	"op25b/stack"
	"op25b/tunnel"
)

// drain is how long the ports stay open after the kernel has been told to
// forward by itself, for what is still in their queues.
const drain = 50 * time.Millisecond

// gateway is everything that runs, wired up. It is built by openGateway, used
// by one goroutine, and taken apart by close.
type gateway struct {
	log        *zap.Logger
	cfg        *config.Config
	host       *tunnel.Host
	ports      [filter.NumDirections]*tunnel.Port // by the direction that enters there
	router     *stack.Router
	batch      bool // packets are read and written many at once
	generation int  // of the policy, from 1

	stop    context.CancelFunc
	running sync.WaitGroup
	failed  chan error
}

// openGateway sets everything up. Packets flow when it returns without an error;
// with one, nothing is left behind but what on_exit asks for.
func openGateway(cfg *config.Config, log *zap.Logger) (*gateway, error) {
	g := &gateway{log: log, cfg: cfg, generation: 1, failed: make(chan error, 2), stop: func() {}}
	if err := g.open(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *gateway) open() error {
	policy, err := filter.Compile(filterSpec(g.cfg))
	if err != nil {
		return err
	}
	plan, err := tunnelPlan(g.cfg)
	if err != nil {
		return err
	}
	if plan.IPv6 && dropsIPv6(g.cfg) {
		g.log.Warn("subscribers have IPv6, and source validation drops all of it, since no pool holds an IPv6 prefix",
			zap.String("fix", "add their IPv6 prefixes to policy.pools, or set forwarding.source_validation: off, "+
				"which leaves port 25 open over IPv6"))
	}
	host, err := tunnel.NewHost(plan, g.log.Named("host"))
	if err != nil {
		return err
	}
	if err := g.openPorts(host.MTU()); err != nil {
		return err
	}
	g.host = host
	if err := host.Up(); err != nil {
		return err
	}
	if err := g.probeOffload(); err != nil {
		return err
	}
	if err := g.probeBatch(); err != nil {
		return err
	}
	if err := g.makeRouter(policy); err != nil {
		return err
	}
	g.start()
	return host.Apply()
}

func (g *gateway) openPorts(mtu int) (err error) {
	names := [filter.NumDirections]string{filter.Outbound: g.cfg.Tunnel.Subscriber, filter.Inbound: g.cfg.Tunnel.Upstream}
	for d, name := range names {
		if g.ports[d], err = tunnel.OpenPort(portOptions(g.cfg, name, mtu)); err != nil {
			return err
		}
	}
	return nil
}

// probeOffload finds out which super-packets can pass, and says so when not all can.
// What one port hands out the other must take, and both are alike.
func (g *gateway) probeOffload() error {
	for _, p := range g.ports {
		if err := p.Probe(); err != nil {
			return err
		}
		granted, missing := p.Offload()
		if missing == "" {
			continue
		}
		if g.cfg.Tunnel.Offload == config.FeatureOn {
			return fmt.Errorf("tunnel.offload is on, but on %s %s: update the kernel, or set tunnel.offload: auto", p.Name(), missing)
		}
		g.log.Warn("offloads are reduced: large transfers cost more processor time",
			zap.String("port", p.Name()), zap.String("why", missing), zap.Stringer("in_force", granted))
	}
	return nil
}

// probeBatch finds out whether packets can be read and written many at once.
func (g *gateway) probeBatch() error {
	if g.cfg.Tunnel.IOUring == config.FeatureOff {
		return nil
	}
	why := tunnel.CanBatch()
	if why == nil {
		g.batch = true
		return nil
	}
	if g.cfg.Tunnel.IOUring == config.FeatureOn {
		return fmt.Errorf("tunnel.io_uring is on, but %w: it needs Linux 6.7, kernel.io_uring_disabled=0 and a seccomp filter "+
			"that allows io_uring; or set tunnel.io_uring: auto", why)
	}
	g.log.Info("packets are read and written one by one: small packets cost more processor time", zap.NamedError("why", why))
	return nil
}

func (g *gateway) makeRouter(policy *filter.Policy) error {
	lanes := laneOptions(g.cfg, g.batch)
	sub, err := errorAddresses(g.cfg, g.cfg.Interfaces.Subscriber...)
	if err != nil {
		return err
	}
	up, err := errorAddresses(g.cfg, g.cfg.Interfaces.Upstream)
	if err != nil {
		return err
	}
	g.router, err = stack.New(stack.Options{
		Subscriber: stackPort(g.ports[filter.Outbound], g.ports[filter.Inbound], lanes, sub),
		Upstream:   stackPort(g.ports[filter.Inbound], g.ports[filter.Outbound], lanes, up),
		Policy:     policy,
		Hop:        hop(g.cfg.Forwarding.Hop),
		Limits:     stack.Limits(g.cfg.Forwarding.Answers),
		Host:       g.cfg.Tunnel.Addresses,
		Log:        g.log.Named("router"),
	})
	return err
}

// spareProcessors is how many of Go's processors are left to everything that is
// no worker.
const spareProcessors = 2

// start runs the router until close.
func (g *gateway) start() {
	// A worker that comes back from a wait in the kernel needs one of Go's
	// processors. Where another worker has taken the last one, it waits for that
	// too, and every packet waits with it.
	if _, fixed := os.LookupEnv("GOMAXPROCS"); !fixed {
		workers := len(g.ports[filter.Outbound].Queues()) + len(g.ports[filter.Inbound].Queues())
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers+spareProcessors))
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	g.running.Go(func() {
		if err := g.router.Run(ctx); err != nil {
			g.failed <- err
		}
	})
}

// watch keeps the kernel as it should be until ctx ends.
func (g *gateway) watch(ctx context.Context) {
	g.running.Go(func() {
		if err := g.host.Watch(ctx); err != nil {
			g.failed <- err
		}
	})
}

// reload puts the policy of next in force, all of it or, with an error, nothing.
func (g *gateway) reload(next *config.Config) error {
	keys := g.cfg.RestartKeys(next)
	if g.cfg.Forwarding.Capture == config.CaptureSMTP && !slices.Equal(g.cfg.Policy.Ports, next.Policy.Ports) {
		keys = append(keys, "policy.ports") // there they are routing rules as well
	}
	if len(keys) > 0 {
		return fmt.Errorf("%s cannot change while op25b runs: put the old value back, or restart op25b", strings.Join(keys, ", "))
	}
	spec := filterSpec(next)
	policy, err := filter.Compile(spec)
	if err != nil {
		return err
	}
	guard, err := tunnelGuard(spec)
	if err != nil {
		return err
	}
	if err := g.host.SetGuard(guard); err != nil {
		return err
	}
	g.router.SetPolicy(policy)
	g.cfg = next
	g.generation++
	return nil
}

// close takes everything apart, in reverse: the kernel forwards by itself
// before the ports go.
func (g *gateway) close() error {
	var errs []error
	if g.host != nil {
		errs = append(errs, g.host.Undo())
		time.Sleep(drain)
	}
	g.stop()
	g.running.Wait()
	for _, p := range g.ports {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
