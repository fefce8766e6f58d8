// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// portSink is where the packets go that nobody reads.
const portSink = 4000

// datagrams sends UDP packets of one size from one socket: first as fast as one
// processor can, then in search of the highest rate at which all arrive.
func datagrams(name, title string, payload int) measurement {
	run := func(t *turn) values {
		to := at(lab.IPv4.Addrs().Internet, portSink)
		// A full socket costs the receiver the least.
		sink, err := t.network.Internet.ListenPacket("udp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		rate, cost := saturate(t, to, payload)
		lossless := highestLossless(1.5*rate, func(rate float64) (float64, bool) {
			return withoutLoss(t, to, payload, rate)
		})
		return values{name: rate, name + "_lossless": lossless, name + "_cpu": cost}
	}
	return measurement{name, false, []figure{
		{name, title, "packets/s"},
		{name + "_lossless", title + ", nothing lost", "packets/s"},
		{name + "_cpu", title + ", CPU of the machine", "s/million"},
	}, run}
}

// saturate returns how many packets arrive in a second, and how many seconds of the
// machine's processor time a million of them costs.
func saturate(t *turn, to netip.AddrPort, payload int) (rate, cost float64) {
	t.Helper()
	const warmUp = 200 * time.Millisecond
	var stop atomic.Bool
	sent := make(chan error, 1)
	go func() { sent <- t.network.Dynamic.Do(func() error { return flood(to, payload, &stop) }) }()
	time.Sleep(warmUp)
	spent, before, begun := t.meter(), received(t, t.network.Internet), time.Now()
	time.Sleep(time.Duration(t.seconds) * time.Second)
	arrived, took := received(t, t.network.Internet)-before, time.Since(begun)
	machine, _ := spent()
	stop.Store(true)
	if err := <-sent; err != nil {
		t.Fatalf("send packets: %v", err)
	}
	if arrived == 0 {
		t.Fatalf("%s: no packet of a flood arrives", t.peer.name)
	}
	return float64(arrived) / took.Seconds(), machine / (float64(arrived) / 1e6)
}

// searchSteps narrow the highest rate without loss down to a 64th of the limit.
const searchSteps = 6

// highestLossless searches below the limit for the highest rate at which nothing is
// lost, by halves. The trial returns the rate that the sender reached. Small as it
// is, a trial may lose a packet to something else that the machine does: a rate has
// two. It returns 0 when every rate loses some.
func highestLossless(limit float64, trial func(rate float64) (reached float64, lossless bool)) float64 {
	low, high, best := 0.0, limit, 0.0
	for range searchSteps {
		rate := (low + high) / 2
		reached, lossless := trial(rate)
		if !lossless {
			reached, lossless = trial(rate)
		}
		if lossless {
			low, best = rate, max(best, reached)
		} else {
			high = rate
		}
	}
	return best
}

// withoutLoss sends at a rate for a fifth of the measurement's time and reports
// whether as many packets arrive as were sent.
func withoutLoss(t *turn, to netip.AddrPort, payload int, rate float64) (reached float64, lossless bool) {
	t.Helper()
	took := time.Duration(t.seconds) * time.Second / 5
	before, sent := settled(t), uint64(0)
	err := t.network.Dynamic.Do(func() (err error) {
		sent, err = pace(to, payload, rate, took)
		return err
	})
	if err != nil {
		t.Fatalf("send packets: %v", err)
	}
	return float64(sent) / took.Seconds(), settled(t)-before >= sent
}

// settled returns how many packets have come in by the internet's link, once no more
// come.
func settled(t *turn) uint64 {
	t.Helper()
	const interval, most = 5 * time.Millisecond, 100
	count := received(t, t.network.Internet)
	for range most {
		time.Sleep(interval)
		now := received(t, t.network.Internet)
		if now == count {
			break
		}
		count = now
	}
	return count
}

// received returns how many packets have come in by a host's link.
func received(t testing.TB, node *lab.Node) uint64 {
	t.Helper()
	link, err := node.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.RxPackets
}

// flood sends until stop.
func flood(to netip.AddrPort, payload int, stop *atomic.Bool) error {
	s, err := newSource(to, payload)
	if err != nil {
		return err
	}
	defer s.close()
	for !stop.Load() {
		if _, err := s.send(batch); err != nil {
			return err
		}
	}
	return nil
}

// pace sends at a rate, in packets a second, and returns how many it has sent. They
// go in batches a tenth of a millisecond apart, as far as a batch holds so many.
// A sender that is late does not make up for it: a burst would be lost at any rate.
func pace(to netip.AddrPort, payload int, rate float64, duration time.Duration) (sent uint64, err error) {
	const interval = 100 * time.Microsecond
	s, err := newSource(to, payload)
	if err != nil {
		return 0, err
	}
	defer s.close()
	defer preciseSleep()()
	size := min(batch, max(1, int(rate*interval.Seconds())))
	gap := time.Duration(float64(size) / rate * float64(time.Second))
	now := time.Now()
	for due, end := now, now.Add(duration); now.Before(end); now = time.Now() {
		if wait := due.Sub(now); wait > 0 {
			sleep(wait)
			continue
		}
		n, err := s.send(size)
		if err != nil {
			return sent, err
		}
		sent += uint64(n)
		if due = due.Add(gap); due.Before(now) {
			due = now
		}
	}
	return sent, nil
}

// preciseSleep has the thread wake within a microsecond, not 50, until undone.
func preciseSleep() (undo func()) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) // only makes it less even
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }
}

// sleep blocks the thread: Go's timers wake a goroutine much later.
func sleep(d time.Duration) {
	wait := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&wait, nil) // the caller looks at the time anyway
}

// batch is how many packets a call of sendmmsg(2) takes at most here.
const batch = 64

// messageHeader is the kernel's struct mmsghdr.
type messageHeader struct {
	header unix.Msghdr
	sent   uint32
	_      [4]byte
}

// sendMessages sends them in one call and returns how many the kernel took. A full
// queue takes none, and is no error.
func sendMessages(fd int, messages []messageHeader) (int, error) {
	sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
	switch errno {
	case 0:
		return int(sent), nil
	case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
		return 0, nil
	default:
		return 0, errno
	}
}

// source sends UDP packets of one size from one socket, many a call.
type source struct {
	fd       int
	data     []byte
	vector   unix.Iovec
	messages [batch]messageHeader
}

func newSource(to netip.AddrPort, payload int) (*source, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, socketAddress(to)); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s := &source{fd: fd, data: make([]byte, payload)}
	s.vector.Base = &s.data[0]
	s.vector.SetLen(payload)
	for i := range s.messages {
		s.messages[i].header.Iov = &s.vector
		s.messages[i].header.SetIovlen(1)
	}
	return s, nil
}

func (s *source) close() { unix.Close(s.fd) }

// send sends n packets, a batch at most, and returns how many the kernel took.
func (s *source) send(n int) (int, error) {
	defer runtime.KeepAlive(s)
	return sendMessages(s.fd, s.messages[:n])
}
