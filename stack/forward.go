// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"io"
	"os"
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
)

// worker moves the packets of one lane. It owns its buffers and counters.
type worker struct {
	router    *Router
	direction filter.Direction
	lane      Lane
	mtu       func() int // of the way out
	giveBack  uint8      // see Hop

	answer answerer
	limit  *limiter // of refusals; nil: none
	visits *limiter // of what is for the host side; nil: none of its own
	count  counters
	tried  *ring    // attempts, for who counts them
	failed throttle // log lines about what the kernel refuses
	frame  frame    // the one at work, for who looks into a panic

	patience time.Duration // after reads that failed

	// For Progress alone.
	seen   time.Time
	before uint64
}

// newWorker makes the worker of a lane that begins where d enters.
func newWorker(r *Router, d filter.Direction, lane Lane, opts Options) *worker {
	w := &worker{
		router: r, direction: d, lane: lane, mtu: r.ports[d.Opposite()].MTU, giveBack: opts.Hop.giveBack(),
		answer: newAnswerer(r.ports[d].Addresses), failed: newThrottle(r.log), tried: new(ring),
	}
	if d == filter.Outbound { // nothing inbound is refused with an answer
		w.limit = newLimiter(opts.Limits)
		if r.host != nil {
			w.visits = newLimiter(Limits{PerSubscriber: hostShare})
		}
	}
	return w
}

// run moves packets until the lane is interrupted or gone; Run has its cause by
// then, and only the first counts. The thread stays its own: what the kernel has
// warm on a processor for this lane stays there.
func (w *worker) run() (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { err = errors.Join(err, w.lane.Close()) }()
	for err == nil {
		err = w.work()
	}
	return err
}

// work moves packets until there is an error, or until one makes our code panic.
// That one is lost and counted, and the next may be taken: it costs nothing but
// that packet, and nothing to those that do not.
func (w *worker) work() (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = w.recovered(value)
		}
	}()
	for {
		f, err := w.lane.Read()
		if err != nil {
			if err := w.unread(err); err != nil {
				return err
			}
			continue
		}
		w.frame = f
		w.count.frames.Add(1)
		w.count.octets.Add(uint64(len(f)))
		w.count.fates[w.move(f)].Add(1)
		w.settle()
		w.patience = 0
	}
}

// recovered gives the frame at work, if there is one, its fate.
func (w *worker) recovered(value any) error {
	if w.count.inside() {
		w.count.fates[DroppedByPanic].Add(1)
	}
	f := w.frame
	w.frame = nil
	return w.router.panics.add(w.direction, value, f)
}

// mostPatience is how long a worker waits, at most, before it asks again.
const mostPatience = 100 * time.Millisecond

// unread waits before the lane is read again, longer each time, or returns the
// error when that is of no use.
func (w *worker) unread(err error) error {
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		return err
	}
	w.router.trouble.add("read", err, 1)
	w.failed.warn("packets cannot be read at the moment", w.direction, err)
	w.patience = min(max(2*w.patience, time.Millisecond), mostPatience)
	time.Sleep(w.patience)
	return nil
}

// settle corrects the count of frames that were forwarded and not taken.
func (w *worker) settle() {
	n, why := w.lane.Lost()
	if n == 0 {
		return
	}
	w.count.fates[Forwarded].Add(-n)
	w.count.fates[DroppedOnWrite].Add(n)
	w.router.trouble.add("write", why, n)
	w.failed.warn("a packet could not be written and is lost", w.direction, why)
}

// move takes one frame its way and returns what became of it.
func (w *worker) move(f frame) Fate {
	if len(f) <= HeaderSize {
		return DroppedShort
	}
	pkt := f.packet()
	policy := w.router.policy.Load()
	v := policy.Decide(w.direction, pkt, f.checksum())
	w.count.verdicts[v.Action][v.Reason].Add(1)
	w.note(policy, pkt, v)
	switch v.Action {
	case filter.Drop:
		return DroppedByVerdict
	case filter.Local:
		return w.local(f)
	case filter.Forward, filter.Monitored, filter.Reset, filter.Prohibited:
	}
	// As in the kernel, a packet at the end of its way is answered as such
	// before the policy speaks: traceroute to a blocked port works.
	if hopLimit(pkt) == 0 {
		return w.unreachable(f, v, timeExceeded)
	}
	if (v.Reason == filter.ReasonNotSYN || v.Reason == filter.ReasonEstablished) && w.router.notice.has(f) {
		return HandedToHost
	}
	if v.Action == filter.Forward || v.Action == filter.Monitored {
		return w.forward(f, v)
	}
	if !w.limit.allow(pkt) {
		return DroppedByLimit
	}
	if v.Reason == filter.ReasonBlockedPort && w.notices(policy, f) {
		return HandedToHost
	}
	if v.Action == filter.Prohibited {
		f.complete()
		return w.reply(w.answer.prohibited(pkt), AnsweredProhibited)
	}
	return w.reply(w.answer.reset(pkt), AnsweredReset)
}

// notices hands a connection that is to be refused to the notice, where the pool has
// one and there is room.
func (w *worker) notices(policy *filter.Policy, f frame) bool {
	if w.router.notice == nil {
		return false
	}
	src, _ := packetAddresses(f.packet())
	return policy.Notices(src) && w.router.notice.admits(f)
}

// forward sends the frame on, unless it does not fit. A packet that may be
// fragmented is left to the kernel behind the port.
func (w *worker) forward(f frame, v filter.Verdict) Fate {
	pkt := f.packet()
	if mtu := w.mtu(); f.size() > mtu && !mayFragment(pkt) {
		return w.unreachable(f, v, tooBig(mtu))
	}
	raiseHopLimit(pkt, w.giveBack)
	w.lane.Forward(f)
	return Forwarded
}

// mayFragment reports whether a router may cut the packet up: IPv4 without DF.
func mayFragment(pkt []byte) bool {
	return header.IPVersion(pkt) == header.IPv4Version &&
		header.IPv4(pkt).Flags()&header.IPv4FlagDontFragment == 0
}

// unreachable answers with an ICMP error, if one may be sent.
func (w *worker) unreachable(f frame, v filter.Verdict, e icmpError) Fate {
	if !v.SourceValidated() {
		return DroppedUnanswered
	}
	f.complete()
	return w.reply(w.answer.icmp(f.packet(), e), e.fate)
}

// reply writes an answer back to the port that the packet came from. An empty
// answer is one that must not be sent.
func (w *worker) reply(answer frame, fate Fate) Fate {
	if len(answer) == 0 {
		return DroppedUnanswered
	}
	if err := w.lane.Answer(answer); err != nil {
		w.router.trouble.add("write", err, 1)
		w.failed.warn("an answer could not be written and is lost", w.direction, err)
		return DroppedOnWrite
	}
	return fate
}

// local hands the packet to the router's own host side.
func (w *worker) local(f frame) Fate {
	if w.router.host == nil || f.segmented() || !w.visits.allow(f.packet()) {
		return DroppedByHost
	}
	f.complete()
	if !w.router.host.receive(w.direction, f.packet()) {
		return DroppedByHost
	}
	return HandedToHost
}
