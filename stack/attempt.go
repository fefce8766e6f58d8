// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
)

// Attempt is a packet that opens a connection to a blocked port or, inbound, one that
// comes from such a port to a dynamic subscriber.
type Attempt struct {
	Direction        filter.Direction
	Verdict          filter.Verdict
	Subscriber, Peer netip.Addr
	// Port is the blocked one; zero for what is inbound.
	Port  uint16
	Flags header.TCPFlags // of what is inbound
}

// ringSize is how many attempts of one worker may wait, a power of two.
const ringSize = 4096

// ring is what a worker has seen and nobody has looked at yet. One goroutine puts in,
// one takes out, and neither waits for the other: what there is no room for is lost and
// counted.
type ring struct {
	slots [ringSize]Attempt
	_     [64]byte
	put   atomic.Uint64
	lost  atomic.Uint64
	_     [64]byte
	taken atomic.Uint64
}

func (r *ring) add(a *Attempt) {
	put := r.put.Load()
	if put-r.taken.Load() == ringSize {
		r.lost.Add(1)
		return
	}
	r.slots[put%ringSize] = *a
	r.put.Store(put + 1)
}

func (r *ring) take(each func(*Attempt)) { r.takeTo(r.put.Load(), each) }

// takeTo hands over what was put in before put was that.
func (r *ring) takeTo(put uint64, each func(*Attempt)) {
	for taken := r.taken.Load(); taken < put; taken++ {
		each(&r.slots[taken%ringSize])
		r.taken.Store(taken + 1)
	}
}

// Attempts hands over what the workers have seen since the last call, in the order of
// each worker, and no reply before what it replies to. An attempt is the callee's until it
// returns. One goroutine calls it, a few times a second: what there is no room for meanwhile
// is lost.
func (r *Router) Attempts(each func(*Attempt)) {
	// What a reply is to was seen before it, by another worker: of all replies that are
	// here now, it is there as well.
	replies := make([]uint64, len(r.workers))
	for i, w := range r.workers {
		replies[i] = w.tried.put.Load()
	}
	for _, w := range r.workers {
		if w.direction == filter.Outbound {
			w.tried.take(each)
		}
	}
	for i, w := range r.workers {
		if w.direction == filter.Inbound {
			w.tried.takeTo(replies[i], each)
		}
	}
}

// AttemptsWaiting returns how many attempts wait for Attempts, how many can, and how
// many were lost.
func (r *Router) AttemptsWaiting() (waiting, room int, lost uint64) {
	for _, w := range r.workers {
		taken := w.tried.taken.Load()              // before put, which is ahead of it
		waiting += int(w.tried.put.Load() - taken) //nolint:gosec // ringSize at most
		lost += w.tried.lost.Load()
	}
	return waiting, len(r.workers) * ringSize, lost
}

// note keeps a packet for Attempts if it is one.
func (w *worker) note(policy *filter.Policy, pkt []byte, v filter.Verdict) {
	if !mayBeAttempt(v.Reason) {
		return
	}
	if w.direction == filter.Inbound {
		if r, ok := policy.Reply(pkt); ok {
			w.tried.add(&Attempt{Direction: filter.Inbound, Verdict: v, Subscriber: r.Subscriber, Peer: r.Peer, Flags: r.Flags})
		}
		return
	}
	if o, ok := policy.Opening(pkt); ok {
		w.tried.add(&Attempt{Direction: filter.Outbound, Verdict: v, Subscriber: o.Source, Peer: o.Destination, Port: o.Port})
	}
}

// mayBeAttempt reports whether packets with this reason may be attempts.
func mayBeAttempt(r filter.Reason) bool {
	const those = 1<<filter.ReasonBlockedPort | 1<<filter.ReasonRelay | 1<<filter.ReasonExempt | 1<<filter.ReasonNotInForce |
		1<<filter.ReasonInbound | 1<<filter.ReasonInboundSourcePort
	return uint64(those)>>r&1 != 0
}
