// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// sequence is a stream of datagrams with numbers, both ways between the dynamic
// subscriber and a host on the Internet, of which each must arrive once.
type sequence struct {
	ways [2]*sequenceWay
}

// sequenceWay is one direction.
type sequenceWay struct {
	name       string
	stop, quit atomic.Bool // the sender; the receiver
	ended      chan error
	sent       atomic.Uint64
	arrived    atomic.Uint64 // the highest number, and one
	waited     time.Duration // at most, for something to arrive
	seen       []uint8       // by number: how often it arrived
	late       int           // arrived behind a higher number
}

const (
	// sequenceWindow is how many datagrams are on their way at once, half of what a queue
	// of a TUN holds: none is lost only because the machine had other things to do.
	// OP25B_WINDOW is another. With a large one nothing waits, and how long a gateway was
	// away counts, too: on a machine of one's own.
	sequenceWindow = 250
	// sequenceProbe is after how long without an arrival one more is sent: all that were
	// on their way may be lost.
	sequenceProbe = 20 * time.Millisecond
)

// sendSequence sends rate datagrams a second each way until the count is taken, and
// fewer while they do not arrive.
func sendSequence(t testing.TB, n *lab.Network, rate float64) *sequence {
	t.Helper()
	a := lab.IPv4.Addrs()
	s := &sequence{}
	for i, way := range []struct {
		name     string
		from, to *lab.Node
		target   netip.Addr
	}{{"outbound", n.Dynamic, n.Internet, a.Internet}, {"inbound", n.Internet, n.Dynamic, a.Dynamic}} {
		s.ways[i] = newSequenceWay(t, way.name, way.from, way.to, at(way.target, portSequence), rate)
	}
	return s
}

// portSequence is where the datagrams go.
const portSequence = 4040

func newSequenceWay(t testing.TB, name string, from, to *lab.Node, target netip.AddrPort, rate float64) *sequenceWay {
	t.Helper()
	w := &sequenceWay{name: name, ended: make(chan error, 2)}
	bound := make(chan error, 1)
	go func() { w.ended <- to.Do(func() error { return w.receive(target, bound) }) }()
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	window := uint64(benchSetting(t, "OP25B_WINDOW", sequenceWindow)) //nolint:gosec // above zero
	go func() { w.ended <- from.Do(func() error { return w.send(target, rate, window) }) }()
	t.Cleanup(func() {
		w.stop.Store(true)
		w.quit.Store(true)
	})
	return w
}

// send keeps to the rate and does not make up for what the machine kept it from.
func (w *sequenceWay) send(to netip.AddrPort, rate float64, window uint64) error {
	defer preciseSleep()()
	fd, err := blockingSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, socketAddress(to)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	gap := time.Duration(float64(time.Second) / rate)
	message := make([]byte, 8)
	due := monotonic()
	for last, waits := due, due; !w.stop.Load(); {
		now := monotonic()
		if now < due {
			sleep(due - now)
			continue
		}
		if w.sent.Load() < w.arrived.Load()+window {
			waits = now
		} else if w.waited = max(w.waited, now-waits); now-last < sequenceProbe {
			due = now + gap
			continue
		}
		last = now
		binary.BigEndian.PutUint64(message, w.sent.Load())
		switch _, err := unix.Write(fd, message); {
		case err == nil, noWay(err):
			w.sent.Add(1)
		case !nothingCame(err) && !errors.Is(err, unix.ECONNREFUSED):
			return fmt.Errorf("send: %w", err)
		}
		if due += gap; now-due > 10*gap {
			due = now
		}
	}
	return nil
}

// noWay reports whether a message was lost for want of a way to its target.
func noWay(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETDOWN)
}

func (w *sequenceWay) receive(here netip.AddrPort, bound chan<- error) error {
	fd, err := blockingSocket()
	if err == nil {
		defer unix.Close(fd)
		const room = 64 << 20 // octets: nothing is lost here while others have the processor
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room), bindWhenFree(fd, here))
	}
	bound <- err
	if err != nil {
		return err
	}
	message := make([]byte, 16)
	for !w.quit.Load() {
		n, err := unix.Read(fd, message)
		switch {
		case err == nil && n == 8:
			w.note(binary.BigEndian.Uint64(message))
		case err != nil && !nothingCame(err):
			return fmt.Errorf("receive: %w", err)
		}
	}
	return nil
}

// bindWhenFree waits for copies of an earlier stream's socket to go: a process that is
// being started has one for a moment.
func bindWhenFree(fd int, here netip.AddrPort) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := unix.Bind(fd, socketAddress(here)); !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			return err
		}
	}
}

func (w *sequenceWay) note(number uint64) {
	if number < uint64(len(w.seen)) {
		w.late++
	}
	for uint64(len(w.seen)) <= number {
		w.seen = append(w.seen, 0)
	}
	w.arrived.Store(uint64(len(w.seen)))
	if w.seen[number] < 255 {
		w.seen[number]++
	}
}

// tally is what became of the datagrams of one direction.
type tally struct {
	name                         string
	sent, lost, duplicated, late int
	gaps                         []int // how many were lost in a row
	waited                       time.Duration
}

func (c tally) String() string {
	return fmt.Sprintf("%s: %d sent, %d lost %v, %d twice, %d behind a later one, held back %v at most",
		c.name, c.sent, c.lost, c.gaps, c.duplicated, c.late, c.waited)
}

// count ends the stream and waits for what is on its way.
func (s *sequence) count(t testing.TB) []tally {
	t.Helper()
	for _, w := range s.ways {
		w.stop.Store(true)
	}
	time.Sleep(2 * overdue)
	var all []tally
	for _, w := range s.ways {
		w.quit.Store(true)
		for range cap(w.ended) {
			if err := <-w.ended; err != nil {
				t.Fatalf("%s datagrams: %v", w.name, err)
			}
		}
		all = append(all, w.tally())
	}
	return all
}

// wantWhole ends the stream, of which every datagram must have arrived once.
func (s *sequence) wantWhole(t testing.TB) {
	t.Helper()
	for _, c := range s.count(t) {
		t.Log(c)
		if c.lost > 0 || c.duplicated > 0 {
			t.Errorf("%s: none may be lost or come twice", c)
		}
	}
}

// wantThousandth ends the stream, beside which others filled the queues: a thousandth may
// be lost. Where queues were full while the machine had other things to do, a tenth may
// be as well, and no more than found them full: others must not suffer for long.
func (s *sequence) wantThousandth(t testing.TB, n *lab.Network) {
	t.Helper()
	tallies, full := s.count(t), int(droppedAtTUN(t, n))
	t.Logf("dropped at full queues, of all: %d", full)
	for _, c := range tallies {
		t.Log(c)
		if c.lost > c.sent/1000+min(full, c.sent/10) {
			t.Errorf("%s: more than one in a thousand, and than full queues account for", c)
		}
		if c.duplicated > 0 {
			t.Errorf("%s: none may come twice", c)
		}
	}
}

func (w *sequenceWay) tally() tally {
	c := tally{name: w.name, sent: int(w.sent.Load()), late: w.late, waited: w.waited} //nolint:gosec // a count
	gap := 0
	for i := range c.sent {
		times := uint8(0)
		if i < len(w.seen) {
			times = w.seen[i]
		}
		switch {
		case times == 0:
			gap++
			c.lost++
			continue
		case times > 1:
			c.duplicated++
		}
		if gap > 0 {
			c.gaps, gap = append(c.gaps, gap), 0
		}
	}
	return c
}

// doorman tries port 25 of the mail server from the dynamic subscriber over and over,
// and fails the test if that ever opens.
type doorman struct {
	stop                       atomic.Bool
	ended                      chan error
	refused, unanswered, other int
}

func startDoorman(t testing.TB, n *lab.Network) *doorman {
	t.Helper()
	return startDoormanAt(t, n, lab.IPv4, time.Millisecond)
}

// startDoormanAt starts one for a family that waits after each answer.
func startDoormanAt(t testing.TB, n *lab.Network, f lab.Family, pause time.Duration) *doorman {
	t.Helper()
	d := &doorman{ended: make(chan error, 1)}
	to := at(f.Addrs().MX, lab.PortSMTP)
	go func() { d.ended <- n.Dynamic.Do(func() error { return d.knock(to, pause) }) }()
	t.Cleanup(func() { d.stop.Store(true) })
	return d
}

func (d *doorman) knock(to netip.AddrPort, pause time.Duration) error {
	domain := unix.AF_INET
	if to.Addr().Is6() {
		domain = unix.AF_INET6
	}
	for ; !d.stop.Load(); time.Sleep(pause) {
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket: %w", err)
		}
		limit := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
		if err == nil {
			err = unix.Connect(fd, socketAddress(to))
		}
		_ = unix.Close(fd)
		switch {
		case err == nil:
			return fmt.Errorf("port 25 of %s was open at %s", to.Addr(), time.Now().Format(time.TimeOnly+".000"))
		case errors.Is(err, unix.ECONNREFUSED):
			d.refused++
		case errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EALREADY):
			d.unanswered++
		default:
			d.other++
		}
	}
	return nil
}

// end fails the test if port 25 was open at any time, or never asked for.
func (d *doorman) end(t testing.TB) {
	t.Helper()
	d.stop.Store(true)
	if err := <-d.ended; err != nil {
		t.Error(err)
	}
	if d.refused == 0 {
		t.Error("port 25 was never refused")
	}
	t.Logf("port 25: %d times refused, %d times no answer within 100 ms, %d times something else", d.refused, d.unanswered, d.other)
}
