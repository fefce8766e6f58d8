// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// faultyLane is a lane with faults in between: before each frame that it hands out,
// what faults says.
type faultyLane struct {
	*memoryLane
	faults chan error // taken before the next read; nil: none
	poison byte       // Forward panics about a packet that ends with it; 0: never
	stuck  chan struct{}
}

func (l *faultyLane) Read() ([]byte, error) {
	select {
	case err := <-l.faults:
		return nil, err
	default:
		return l.memoryLane.Read()
	}
}

func (l *faultyLane) Forward(f []byte) {
	if l.poison != 0 && f[len(f)-1] == l.poison {
		panic(fmt.Sprintf("poison %#x", l.poison))
	}
	if l.stuck != nil {
		<-l.stuck
	}
	l.memoryLane.Forward(f)
}

// newFaultyBench is a router whose outbound lane is faulty.
func newFaultyBench(t *testing.T) (*bench, *faultyLane) {
	t.Helper()
	var faulty *faultyLane
	b := newBench(t, func(o *Options, _ *filter.Spec) {
		faulty = &faultyLane{memoryLane: o.Subscriber.Lanes[0].(*memoryLane), faults: make(chan error, 64)}
		o.Subscriber.Lanes[0] = faulty
	})
	return b, faulty
}

func datagram(data string) []byte {
	return plain(ft.UDP(dynamic4+":1", server4+":2").Data(data).Bytes())
}

// TestPanicCostsOnePacket has a packet in the middle of others that makes the worker
// panic.
func TestPanicCostsOnePacket(t *testing.T) {
	t.Parallel()
	b, lane := newFaultyBench(t)
	lane.poison = '!'
	for _, data := range []string{"one", "two!", "three"} {
		b.sub.in <- datagram(data)
	}
	for _, want := range []string{"one", "three"} {
		if got := take(t, b.up); !bytes.HasSuffix(got, []byte(want)) {
			t.Errorf("%x came out, want %q", got, want)
		}
	}
	if fates := b.fates(3); fates[DroppedByPanic] != 1 || fates[Forwarded] != 2 {
		t.Errorf("fates %v", fates)
	}
	last, total := b.router.Panics()
	if total != 1 || len(last) != 1 {
		t.Fatalf("%d panics, %d kept", total, len(last))
	}
	p := last[0]
	if p.What != "poison 0x21" || p.Direction != filter.Outbound || time.Since(p.Time) > time.Minute {
		t.Errorf("%+v", p)
	}
	if !bytes.HasSuffix(p.Packet, []byte("two!")) || len(p.Packet) != HeaderSize+20+8+4 {
		t.Errorf("packet %x", p.Packet)
	}
}

// TestPanicPacketIsCut pins how much of a packet is kept.
func TestPanicPacketIsCut(t *testing.T) {
	t.Parallel()
	b, lane := newFaultyBench(t)
	lane.poison = '!'
	b.sub.in <- datagram(strings.Repeat("x", 1000) + "!")
	b.fates(1)
	if last, _ := b.router.Panics(); len(last) != 1 || len(last[0].Packet) != 128 {
		t.Errorf("%v", last)
	}
}

// TestTooManyPanicsEnd lets a process go that does nothing else any more.
func TestTooManyPanicsEnd(t *testing.T) {
	t.Parallel()
	sub, up := newMemoryLanes()
	faulty := &faultyLane{memoryLane: sub, poison: '!'}
	opts := Options{Subscriber: sub.port(1500), Upstream: up.port(1500), Log: zap.NewNop()}
	opts.Subscriber.Lanes[0] = faulty
	policy, err := filter.Compile(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	opts.Policy = policy
	router, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	for range panicsPerMinute {
		sub.in <- datagram("!")
	}
	err = router.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "10 packets within a minute made op25b panic, at last: poison 0x21") {
		t.Errorf("Run: %v", err)
	}
	if s := router.Stats(); s.Fates[filter.Outbound][DroppedByPanic] != panicsPerMinute {
		t.Errorf("fates %v", s.Fates[filter.Outbound])
	}
	if last, total := router.Panics(); len(last) != panicsPerMinute || total != panicsPerMinute {
		t.Errorf("%d kept of %d", len(last), total)
	}
}

// TestPanicsAMinuteApart pins that only those of the last minute count, and that
// sixteen are kept.
func TestPanicsAMinuteApart(t *testing.T) {
	t.Parallel()
	p := &panics{log: zap.NewNop()}
	for range 3 * panicsKept {
		if err := p.add(filter.Inbound, "now and then", nil); err != nil {
			t.Fatal(err)
		}
		for i := range p.kept {
			p.kept[i].Time = p.kept[i].Time.Add(-time.Minute)
		}
	}
	if len(p.kept) != panicsKept || p.total != 3*panicsKept {
		t.Errorf("%d kept of %d", len(p.kept), p.total)
	}
}

// TestPanicOutsideAPacket has Read itself panic: no frame met that fate.
func TestPanicOutsideAPacket(t *testing.T) {
	t.Parallel()
	b, lane := newFaultyBench(t)
	w := b.router.workers[0]
	if err := w.recovered("between two"); err != nil {
		t.Fatal(err)
	}
	lane.in <- datagram("on")
	take(t, b.up)
	if fates := b.fates(1); fates[DroppedByPanic] != 0 {
		t.Errorf("fates %v", fates)
	}
}

// TestReadErrnos has every errno come out of a read. None ends the router, each is
// counted, and the packet behind it passes.
func TestReadErrnos(t *testing.T) {
	t.Parallel()
	b, lane := newFaultyBench(t)
	errnos := everyErrno()
	for _, errno := range errnos {
		lane.faults <- fmt.Errorf("read frame: %w", errno)
		b.sub.in <- datagram("after")
		b.sub.in <- datagram("after") // the one that the lane waited for comes first
		take(t, b.up)
		take(t, b.up)
	}
	count := b.router.Errors()
	for _, errno := range errnos {
		if n := count["read "+unix.ErrnoName(errno)]; n != 1 {
			t.Errorf("read %v: counted %d times", errno, n)
		}
	}
}

// TestWriteErrnos has every errno come out of a write, one after the other.
func TestWriteErrnos(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	errnos := everyErrno()
	for i, errno := range errnos {
		b.up.fail(errno)
		b.sub.in <- datagram("lost")
		b.fates(uint64(2*i) + 1)
		b.up.fail(nil)
		b.sub.in <- datagram("kept")
		if got := take(t, b.up); !bytes.HasSuffix(got, []byte("kept")) {
			t.Fatalf("%v: %x", errno, got)
		}
	}
	count := b.router.Errors()
	for _, errno := range errnos {
		if n := count["write "+unix.ErrnoName(errno)]; n != 1 {
			t.Errorf("write %v: counted %d times", errno, n)
		}
	}
	if fates := b.fates(uint64(2 * len(errnos))); fates[DroppedOnWrite] != uint64(len(errnos)) {
		t.Errorf("fates %v", fates)
	}
}

// TestAnswerErrno has an answer refused by the kernel.
func TestAnswerErrno(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.sub.fail(syscall.ENOBUFS)
	b.sub.in <- plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	if fates := b.fates(1); fates[DroppedOnWrite] != 1 {
		t.Errorf("fates %v", fates)
	}
	if n := b.router.Errors()["write ENOBUFS"]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// TestErrorWithoutErrno pins the class of what is no errno.
func TestErrorWithoutErrno(t *testing.T) {
	t.Parallel()
	var tr trouble
	tr.add("write", errors.New("7 of 8 octets taken"), 2)
	if tr.count["write other"] != 2 {
		t.Errorf("%v", tr.count)
	}
}

// TestProgress tells a worker that is stuck from one that gets on and from one that
// has nothing to do.
func TestProgress(t *testing.T) {
	t.Parallel()
	b, lane := newFaultyBench(t)
	at := func(seconds int) Progress {
		all := b.router.Progress(time.Unix(int64(seconds), 0))
		if len(all) != 2 || all[0].Direction != filter.Outbound || all[1].Direction != filter.Inbound {
			t.Fatalf("%+v", all)
		}
		return all[0]
	}
	moved := func(p Progress, want int64) {
		t.Helper()
		if p.Moved.Unix() != want {
			t.Errorf("moved at %d, want %d", p.Moved.Unix(), want)
		}
	}
	moved(at(1), 1)
	moved(at(2), 2) // nothing to do
	lane.stuck = make(chan struct{})
	b.sub.in <- datagram("stuck inside")
	inside := &b.router.workers[0].count
	for !inside.inside() {
		time.Sleep(time.Millisecond)
	}
	moved(at(3), 3) // it read a frame since
	moved(at(4), 3)
	moved(at(9), 3)
	lane.stuck <- struct{}{}
	take(t, b.up)
	b.fates(1)
	p := at(10)
	moved(p, 10)
	if p.Frames != 1 || p.Octets == 0 || p.Lane != 0 {
		t.Errorf("%+v", p)
	}
}

// TestProgressPending has frames wait for a worker that is not woken.
func TestProgressPending(t *testing.T) {
	t.Parallel()
	lane := &memoryLane{in: make(chan []byte, 1)}
	w := &worker{lane: lane}
	if !w.idle() {
		t.Error("busy with nothing to do")
	}
	lane.in <- nil
	if w.idle() {
		t.Error("idle while a frame waits")
	}
}

// everyErrno is what a system call can return, the states left out that read and
// write have names for.
func everyErrno() []syscall.Errno {
	var all []syscall.Errno
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if unix.ErrnoName(errno) != "" {
			all = append(all, errno)
		}
	}
	return all
}
