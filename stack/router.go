// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"op25b/filter"
)

// Lane is what a worker moves frames on, from one port to the other. All methods
// but Answer and Pending are called by that worker alone, from one thread.
type Lane interface {
	// Read returns the next frame, a virtio_net_hdr and an IP packet, in a buffer
	// that the worker may change until the next Read. It blocks. An error that wraps
	// os.ErrClosed says that it was interrupted, one that wraps io.EOF that the port
	// is gone for good; any other is about the moment.
	Read() (frame []byte, err error)
	// Forward sends the frame that Read returned last to the other port. It may
	// wait until the next Read.
	Forward(frame []byte)
	// Lost returns how many forwarded frames were not taken since the last call,
	// and why the last of them.
	Lost() (frames uint64, why error)
	// Answer sends a frame to the port that frames are read from, and leaves the
	// buffer to the caller. An error is about this frame or the port's present
	// state. It is safe to call from any goroutine.
	Answer(frame []byte) error
	// Pending reports whether frames wait to be read. It is safe to call from any
	// goroutine until Close.
	Pending() bool
	// Close is called once the worker has ended.
	Close() error
}

// Port is one side of the router.
type Port struct {
	// Lanes that begin here, one worker each. Both ports have the same number.
	Lanes []Lane
	// MTU returns the largest IP packet that leaves here, in octets.
	MTU func() int
	// Interrupt makes every Read return.
	Interrupt func()
	// Addresses are the router's on this side, at most one of each family:
	// the source of its ICMP errors. A family without one sends none.
	Addresses []netip.Addr
}

// Options say what a Router is made of.
type Options struct {
	Subscriber, Upstream Port
	Policy               *filter.Policy
	Hop                  Hop
	Limits               Limits
	// Notice is what connections are told that are refused to subscribers of pools with
	// [filter.RespondNotice], behind "554 5.7.1 ": one line of printable ASCII. Empty: they
	// are reset as others are.
	Notice string
	// Host lists the addresses that the router's own host side answers on;
	// the policy's Router addresses. Empty: no host side is made.
	Host []netip.Addr
	Log  *zap.Logger
}

// Router forwards between two ports. Its methods are safe to call from any
// goroutine.
type Router struct {
	log     *zap.Logger
	policy  atomic.Pointer[filter.Policy]
	ports   [filter.NumDirections]Port // by the direction that enters there
	workers []*worker
	host    *host   // nil: none
	notice  *notice // nil: none
	panics  panics
	trouble trouble
}

// New makes a Router. It starts nothing; the ports stay the caller's.
func New(opts Options) (*Router, error) {
	if len(opts.Subscriber.Lanes) == 0 || len(opts.Subscriber.Lanes) != len(opts.Upstream.Lanes) {
		return nil, fmt.Errorf("make router: %d subscriber lanes and %d upstream lanes, want as many of each",
			len(opts.Subscriber.Lanes), len(opts.Upstream.Lanes))
	}
	if opts.Policy == nil {
		return nil, errors.New("make router: no policy")
	}
	r := &Router{log: opts.Log, panics: panics{log: opts.Log}, ports: [filter.NumDirections]Port{
		filter.Outbound: opts.Subscriber, filter.Inbound: opts.Upstream,
	}}
	r.policy.Store(opts.Policy)
	if len(opts.Host) > 0 {
		host, err := newHost(opts.Host, r.ports, opts.Log)
		if err != nil {
			return nil, err
		}
		r.host = host
	}
	if opts.Notice != "" {
		notice, err := newNotice(opts.Notice, opts.Subscriber, opts.Log)
		if err != nil {
			if r.host != nil {
				r.host.close()
			}
			return nil, err
		}
		r.notice = notice
	}
	for d := range filter.NumDirections {
		for _, lane := range r.ports[d].Lanes {
			r.workers = append(r.workers, newWorker(r, d, lane, opts))
		}
	}
	return r, nil
}

// SetPolicy puts p in force for the next packet on each worker.
func (r *Router) SetPolicy(p *filter.Policy) { r.policy.Store(p) }

// Policy returns the policy in force.
func (r *Router) Policy() *filter.Policy { return r.policy.Load() }

// SetNotice changes what connections are told from now on, if they are told anything.
func (r *Router) SetNotice(text string) {
	if r.notice != nil {
		r.notice.text.Store(&text)
	}
}

// Notice says what became of connections that were offered a notice.
func (r *Router) Notice() NoticeStats {
	if r.notice == nil {
		return NoticeStats{}
	}
	return r.notice.stats()
}

// Run forwards until ctx ends, a port is gone for good or too many packets make our
// code panic; then it interrupts the ports, waits for every worker, and returns nil
// or the first failure. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, w := range r.workers {
		running.Go(func() {
			if err := w.run(); err != nil {
				cancel(fmt.Errorf("%s packets: %w", w.direction, err))
			}
		})
	}
	if r.host != nil {
		running.Go(func() { r.host.run(ctx) })
	}
	if r.notice != nil {
		running.Go(func() { r.notice.run(ctx) })
	}
	<-ctx.Done()
	for _, p := range r.ports {
		p.Interrupt()
	}
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
