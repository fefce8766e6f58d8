// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
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

// dataPath is what packets flow through: the ports, the kernel around them, and the
// router in between. It is made by openDataPath, and ended by close or release. A
// gateway whose device is deleted makes another.
type dataPath struct {
	log    *zap.Logger
	cfg    *config.Config
	host   *tunnel.Host
	ports  [filter.NumDirections]*tunnel.Port // by the direction that enters there
	router *stack.Router
	batch  bool // packets are read and written many at once

	listeners []net.Listener // on the router's own addresses

	stop     context.CancelFunc // of the router
	running  sync.WaitGroup     // the router
	unwatch  context.CancelFunc
	watching sync.WaitGroup
	failed   chan error // why the router ended by itself
}

// openDataPath sets everything up. Packets flow when it returns without an error;
// with one, nothing is left behind but what on_exit asks for. kept has queues of
// interfaces that are there already, by name; with a predecessor packets flow in
// them, and settle is to be called once that has let go.
func openDataPath(cfg *config.Config, policy *filter.Policy, kept map[string][]*os.File, succeeds bool, log *zap.Logger) (*dataPath, error) {
	d := &dataPath{log: log, cfg: cfg, failed: make(chan error, 1), stop: func() {}, unwatch: func() {}}
	err := d.open(policy, kept)
	switch {
	case err == nil && !succeeds:
		err = d.settle(nil)
	case err != nil && succeeds:
		_, released := d.release()
		return nil, errors.Join(err, released)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *dataPath) open(policy *filter.Policy, kept map[string][]*os.File) error {
	plan := tunnelPlan(d.cfg, policy)
	if plan.IPv6 && dropsIPv6(d.cfg) {
		d.log.Warn("subscribers have IPv6, and source validation drops all of it, since no pool holds an IPv6 prefix",
			zap.String("fix", "add their IPv6 prefixes to policy.pools, or set forwarding.source_validation: off, "+
				"which leaves port 25 open over IPv6"))
	}
	host, err := tunnel.NewHost(plan, d.log.Named("host"))
	if err != nil {
		return err
	}
	if err := d.openPorts(host.MTU(), kept); err != nil {
		return err
	}
	d.host = host
	if err := d.up(); err != nil {
		return err
	}
	if err := d.probeOffload(); err != nil {
		return err
	}
	if err := d.probeBatch(); err != nil {
		return err
	}
	if err := d.makeRouter(policy); err != nil {
		return err
	}
	d.start()
	return host.Apply()
}

func (d *dataPath) openPorts(mtu int, kept map[string][]*os.File) (err error) {
	names := [filter.NumDirections]string{filter.Outbound: d.cfg.Tunnel.Subscriber, filter.Inbound: d.cfg.Tunnel.Upstream}
	for dir, name := range names {
		opts := portOptions(d.cfg, name, mtu)
		opts.Adopt = kept[name]
		if d.ports[dir], err = tunnel.OpenPort(opts); err != nil {
			return err
		}
	}
	return nil
}

// adopted reports whether both interfaces were there before.
func (d *dataPath) adopted() bool {
	return d.ports[filter.Outbound].Adopted() && d.ports[filter.Inbound].Adopted()
}

func (d *dataPath) up() error {
	if d.adopted() {
		return d.host.Succeed()
	}
	return d.host.Up()
}

// probeOffload finds out which super-packets can pass, and says so when not all can.
// What one port hands out the other must take, and both are alike.
func (d *dataPath) probeOffload() error {
	for _, p := range d.ports {
		if err := p.Probe(); err != nil {
			return err
		}
		granted, missing := p.Offload()
		if missing == "" {
			continue
		}
		if d.cfg.Tunnel.Offload == config.FeatureOn {
			return fmt.Errorf("tunnel.offload is on, but on %s %s: update the kernel, or set tunnel.offload: auto", p.Name(), missing)
		}
		d.log.Warn("offloads are reduced: large transfers cost more processor time",
			zap.String("port", p.Name()), zap.String("why", missing), zap.Stringer("in_force", granted))
	}
	return nil
}

// probeBatch finds out whether packets can be read and written many at once.
func (d *dataPath) probeBatch() error {
	if d.cfg.Tunnel.IOUring == config.FeatureOff {
		return nil
	}
	why := tunnel.CanBatch()
	if why == nil {
		d.batch = true
		return nil
	}
	if d.cfg.Tunnel.IOUring == config.FeatureOn {
		return fmt.Errorf("tunnel.io_uring is on, but %w: it needs Linux 6.7, kernel.io_uring_disabled=0 and a seccomp filter "+
			"that allows io_uring; or set tunnel.io_uring: auto", why)
	}
	d.log.Info("packets are read and written one by one: small packets cost more processor time", zap.NamedError("why", why))
	return nil
}

func (d *dataPath) makeRouter(policy *filter.Policy) error {
	lanes := laneOptions(d.cfg, d.batch)
	sub, err := errorAddresses(d.cfg, d.cfg.Interfaces.Subscriber...)
	if err != nil {
		return err
	}
	up, err := errorAddresses(d.cfg, d.cfg.Interfaces.Upstream)
	if err != nil {
		return err
	}
	d.router, err = stack.New(stack.Options{
		Subscriber: stackPort(d.ports[filter.Outbound], d.ports[filter.Inbound], lanes, sub),
		Upstream:   stackPort(d.ports[filter.Inbound], d.ports[filter.Outbound], lanes, up),
		Policy:     policy,
		Hop:        hop(d.cfg.Forwarding.Hop),
		Limits:     stack.Limits(d.cfg.Forwarding.Answers),
		Host:       d.cfg.Tunnel.Addresses,
		Notice:     d.cfg.Texts.Notice,
		Log:        d.log.Named("router"),
	})
	return err
}

// spareProcessors is how many of Go's processors are left to everything that is
// no worker.
const spareProcessors = 2

// start runs the router.
func (d *dataPath) start() {
	// A worker that comes back from a wait in the kernel needs one of Go's
	// processors. Where another worker has taken the last one, it waits for that
	// too, and every packet waits with it.
	if _, fixed := os.LookupEnv("GOMAXPROCS"); !fixed {
		workers := len(d.ports[filter.Outbound].Queues()) + len(d.ports[filter.Inbound].Queues())
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers+spareProcessors))
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	d.running.Go(func() {
		if err := d.router.Run(ctx); err != nil {
			d.failed <- err
		}
	})
}

// watch keeps the kernel as it should be.
func (d *dataPath) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	d.unwatch = cancel
	d.watching.Go(func() { d.host.Watch(ctx) })
}

// settle is called once nobody else uses the interfaces, and watches over them from
// then on.
func (d *dataPath) settle(restore []string) error {
	var err error
	if d.adopted() {
		err = d.host.Settle(restore)
	}
	d.watch() // which puts right what could not be settled
	return err
}

// close takes everything apart, in reverse: the kernel forwards by itself before the
// ports go.
func (d *dataPath) close() error {
	d.unwatch()
	d.watching.Wait()
	var errs []error
	if d.host != nil {
		errs = append(errs, d.host.Undo())
		time.Sleep(drain)
	}
	return errors.Join(append(errs, d.end())...)
}

// release lets a successor have everything, once it reads the queues too. What this
// process has read still goes its way.
func (d *dataPath) release() (restore []string, err error) {
	d.unwatch()
	d.watching.Wait()
	err = d.end()
	if d.host == nil {
		return nil, err
	}
	restore, released := d.host.Release()
	return restore, errors.Join(err, released)
}

// patience is how long a worker may take to notice that it is over. One that hangs
// in the kernel keeps its port open, until the process ends.
const patience = time.Second

func (d *dataPath) end() error {
	d.stop()
	over := make(chan struct{})
	go func() {
		d.running.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
		return errors.New("a worker does not end")
	}
	for _, l := range d.listeners {
		_ = l.Close()
	}
	var errs []error
	for _, p := range d.ports {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
