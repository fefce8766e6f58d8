// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

func farFuture() time.Time { return time.Now().Add(time.Hour) }

// attempts waits until all that was sent has met its fate, and returns what was seen.
func (b *bench) attempts(d filter.Direction, frames uint64) (seen []Attempt) {
	b.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s := b.router.Stats()
		var fates uint64
		for _, n := range s.Fates[d] {
			fates += n
		}
		if fates == frames {
			break
		}
	}
	b.router.Attempts(func(a *Attempt) { seen = append(seen, *a) })
	return seen
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	b := newBench(t, nil)
	go b.sub.empty()
	go b.up.empty()
	sent := uint64(0)
	for _, pkt := range [][]byte{
		ft.TCP(dynamic4+":40000", server4+":25").Bytes(),
		ft.TCP("["+dynamic6+"]:40000", "["+server6+"]:25").Bytes(),
		ft.TCP(dynamic4+":40000", server4+":25").Flags(ft.ACK).Bytes(), // of a connection
		ft.TCP(dynamic4+":40000", server4+":587").Bytes(),
		ft.TCP(static4+":40000", server4+":25").Bytes(), // may
		ft.UDP(dynamic4+":40000", server4+":25").Bytes(),
	} {
		b.sub.in <- plain(pkt)
		sent++
	}
	refused := filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}
	want := []Attempt{
		{Verdict: refused, Subscriber: addr(dynamic4), Peer: addr(server4), Port: 25},
		{Verdict: refused, Subscriber: addr(dynamic6), Peer: addr(server6), Port: 25},
	}
	equal := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, b.attempts(filter.Outbound, sent), equal); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	sent = 0
	for _, pkt := range [][]byte{
		ft.TCP(server4+":25", dynamic4+":40000").Flags(ft.SYN | ft.ACK).Bytes(),
		ft.TCP("["+server6+"]:25", "["+dynamic6+"]:40000").Flags(ft.ACK).Data("220 hello").Bytes(),
		ft.TCP(server4+":25", dynamic4+":40000").Bytes(), // somebody calls
		ft.TCP(server4+":25", static4+":40000").Flags(ft.SYN | ft.ACK).Bytes(),
		ft.TCP(server4+":80", dynamic4+":40000").Flags(ft.SYN | ft.ACK).Bytes(),
		ft.UDP(server4+":25", dynamic4+":40000").Bytes(),
	} {
		b.up.in <- plain(pkt)
		sent++
	}
	passed := filter.Verdict{Action: filter.Forward, Reason: filter.ReasonInbound}
	want = []Attempt{
		{Direction: filter.Inbound, Verdict: passed, Subscriber: addr(dynamic4), Peer: addr(server4), Flags: header.TCPFlagSyn | header.TCPFlagAck},
		{Direction: filter.Inbound, Verdict: passed, Subscriber: addr(dynamic6), Peer: addr(server6), Flags: header.TCPFlagAck},
	}
	if diff := cmp.Diff(want, b.attempts(filter.Inbound, sent), equal); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
}

// While attempts are handed over, a subscriber calls and is answered: the answer waits for
// the call.
func TestNoReplyBeforeItsCall(t *testing.T) {
	t.Parallel()
	out, in := &worker{direction: filter.Outbound, tried: new(ring)}, &worker{direction: filter.Inbound, tried: new(ring)}
	for _, order := range [][]*worker{{out, in}, {in, out}} {
		r := &Router{workers: order}
		out.tried.add(&Attempt{Direction: filter.Outbound, Port: 1})
		in.tried.add(&Attempt{Direction: filter.Inbound, Port: 1})
		var seen []Attempt
		more := func(a *Attempt) {
			seen = append(seen, *a)
			if len(seen) == 1 {
				out.tried.add(&Attempt{Direction: filter.Outbound, Port: 2})
				in.tried.add(&Attempt{Direction: filter.Inbound, Port: 2})
			}
		}
		r.Attempts(more)
		r.Attempts(more)
		want := []Attempt{
			{Direction: filter.Outbound, Port: 1}, {Direction: filter.Inbound, Port: 1},
			{Direction: filter.Outbound, Port: 2}, {Direction: filter.Inbound, Port: 2},
		}
		if diff := cmp.Diff(want, seen, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	}
}

// A ring that nobody empties loses what is new, counts it, and keeps nobody waiting.
func TestRingLoses(t *testing.T) {
	t.Parallel()
	r := new(ring)
	const sent = ringSize + 10
	for i := range sent {
		r.add(&Attempt{Port: uint16(i)})
	}
	next := uint16(0)
	r.take(func(a *Attempt) {
		if a.Port != next {
			t.Fatalf("attempt %d, want %d", a.Port, next)
		}
		next++
	})
	if next != ringSize || r.lost.Load() != sent-ringSize {
		t.Errorf("%d taken, %d lost, want %d and %d", next, r.lost.Load(), ringSize, sent-ringSize)
	}
	r.add(&Attempt{Port: 7})
	taken := 0
	r.take(func(a *Attempt) { taken += int(a.Port) })
	if taken != 7 {
		t.Errorf("what came after it was emptied was not there: %d", taken)
	}
}

// One puts in and one takes out at the same time: what is not lost comes out whole, once
// and in order.
func TestRingInOrder(t *testing.T) {
	t.Parallel()
	r := new(ring)
	const sent = 1 << 18
	var putting sync.WaitGroup
	putting.Go(func() {
		for i := range sent {
			r.add(&Attempt{Port: uint16(i), Flags: header.TCPFlags(i)})
		}
	})
	over := make(chan struct{})
	go func() {
		putting.Wait()
		close(over)
	}()
	var taken uint64
	take := func() {
		r.take(func(a *Attempt) {
			taken++
			if uint8(a.Port) != uint8(a.Flags) {
				t.Errorf("torn: %d and %d", a.Port, a.Flags)
			}
		})
	}
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		take()
	}
	take()
	if lost := r.lost.Load(); taken+lost != sent {
		t.Errorf("%d taken and %d lost of %d", taken, lost, sent)
	}
}

func TestAttemptsWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	go b.sub.empty()
	b.sub.in <- plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	b.fates(1)
	if waiting, room, lost := b.router.AttemptsWaiting(); waiting != 1 || room != ringSize*len(b.router.workers) || lost != 0 {
		t.Errorf("%d wait of %d, %d lost", waiting, room, lost)
	}
}
