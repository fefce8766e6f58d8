// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lanes runs f with each way to read and write frames.
func lanes(t *testing.T, f func(t *testing.T, o LaneOptions)) {
	t.Helper()
	for name, o := range map[string]LaneOptions{
		"one by one": {}, "one by one, busy": {BusyPoll: 50 * time.Microsecond},
		"io_uring": {Batch: true}, "io_uring, busy": {Batch: true, BusyPoll: 50 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			if o.Batch {
				if why := CanBatch(); why != nil {
					t.Skip("SKIPPED, NOTHING TESTED:", why)
				}
			}
			f(t, o)
		})
	}
}

// openTwo opens two ports with an address on the first, so that what is sent to
// its network comes out there.
func openTwo(t *testing.T) (from, to *Port) {
	t.Helper()
	from, err := OpenPort(options("op25b-t0", 1))
	must(t, err)
	to, err = OpenPort(options("op25b-t1", 1))
	must(t, err)
	address(t, from)
	link, err := netlink.LinkByName(to.Name())
	must(t, err)
	must(t, netlink.LinkSetUp(link))
	return from, to
}

// turnBack makes of a datagram that left the namespace one that arrives there.
func turnBack(frame []byte) {
	clear(frame[:HeaderSize]) // no partial checksum
	ip := frame[HeaderSize:]
	copy(ip[12:], []byte{198, 51, 100, 9, 192, 0, 2, 1})
	copy(ip[10:], []byte{0, 0})
	copy(ip[26:], []byte{0, 0}) // UDP without a checksum
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
}

// What goes in comes out at the other port, all of it and in order, however many
// frames are there at once.
func TestLaneKeepsOrder(t *testing.T) {
	lanes(t, func(t *testing.T, o LaneOptions) {
		t.Helper()
		inNamespace(t, func() {
			from, to := openTwo(t)
			l := NewLane(from.Queues()[0], to.Queues()[0], o)
			sink, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			must(t, unix.Bind(sink, &unix.SockaddrInet4{Port: 9}))
			must(t, unix.SetsockoptTimeval(sink, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
			next := 0
			for _, round := range []int{1, 2, 3*burstFrames + 1, 1, 100, burstFrames} {
				for i := range round {
					send(t, string(rune('a'+(next+i)%26)))
				}
				for i := 0; i < round; {
					frame, err := l.Read()
					must(t, err)
					if ip := frame[HeaderSize:]; ip[0]>>4 == 4 && ip[9] == unix.IPPROTO_UDP {
						turnBack(frame)
						l.Forward(frame)
						i++
					}
				}
				// Forwarded frames are on their way with the next Read.
				send(t, "the end")
				for {
					frame, err := l.Read()
					must(t, err)
					if frame[HeaderSize]>>4 == 4 {
						break
					}
				}
				for range round {
					var b [16]byte
					n, _, err := unix.Recvfrom(sink, b[:], 0)
					must(t, err)
					if got, want := string(b[:n]), string(rune('a'+next%26)); got != want {
						t.Fatalf("datagram %d of %d is %q, want %q", next, round, got, want)
					}
					next++
				}
			}
			if n, why := l.Lost(); n != 0 {
				t.Errorf("%d lost: %v", n, why)
			}
			must(t, errors.Join(unix.Close(sink), l.Close(), from.Close(), to.Close()))
		})
	})
}

func TestLaneIsInterrupted(t *testing.T) {
	lanes(t, func(t *testing.T, o LaneOptions) {
		t.Helper()
		inNamespace(t, func() {
			from, to := openTwo(t)
			l := NewLane(from.Queues()[0], to.Queues()[0], o)
			go func() {
				time.Sleep(10 * time.Millisecond)
				from.Interrupt()
			}()
			var err error
			for err == nil {
				_, err = l.Read()
			}
			if !errors.Is(err, ErrClosed) || !errors.Is(err, os.ErrClosed) {
				t.Errorf("Read: %v, want ErrClosed", err)
			}
			if _, err := l.Read(); !errors.Is(err, ErrClosed) {
				t.Errorf("Read again: %v, want ErrClosed", err)
			}
			must(t, errors.Join(l.Close(), from.Close(), to.Close()))
		})
	})
}

// A lane that was never read closes, too.
func TestLaneUnused(t *testing.T) {
	must(t, NewLane(nil, nil, LaneOptions{}).Close())
}

// What the kernel does not take is told of, if not at once.
func TestLaneTellsOfLosses(t *testing.T) {
	lanes(t, func(t *testing.T, o LaneOptions) {
		t.Helper()
		inNamespace(t, func() {
			from, to := openTwo(t)
			l := NewLane(from.Queues()[0], to.Queues()[0], o)
			link, err := netlink.LinkByName(to.Name())
			must(t, err)
			must(t, netlink.LinkSetDown(link))
			var lost uint64
			settle := func() {
				n, why := l.Lost()
				if n > 0 && !errors.Is(why, ErrLinkDown) {
					t.Errorf("%d lost: %v, want %v", n, why, ErrLinkDown)
				}
				lost += n
			}
			const sent = 3
			for range sent {
				send(t, "x")
				frame, err := l.Read()
				must(t, err)
				l.Forward(frame)
				settle()
			}
			from.Interrupt()
			for err == nil {
				_, err = l.Read()
				settle()
			}
			if n, why := l.Lost(); lost != sent || n != 0 {
				t.Errorf("%d lost, want %d; then %d more, %v", lost, sent, n, why)
			}
			if err := l.Answer(nil); !errors.Is(err, unix.EINVAL) {
				t.Errorf("empty answer: %v, want EINVAL", err)
			}
			must(t, errors.Join(l.Close(), from.Close(), to.Close()))
		})
	})
}

func TestLaneSeesTheDeviceGo(t *testing.T) {
	lanes(t, func(t *testing.T, o LaneOptions) {
		t.Helper()
		inNamespace(t, func() {
			from, to := openTwo(t)
			l := NewLane(from.Queues()[0], to.Queues()[0], o)
			send(t, "x")
			_, err := l.Read()
			must(t, err)
			link, err := netlink.LinkByName(from.Name())
			must(t, err)
			must(t, netlink.LinkDel(link))
			for err == nil {
				_, err = l.Read()
			}
			if !errors.Is(err, ErrGone) {
				t.Errorf("device deleted: %v", err)
			}
			must(t, errors.Join(l.Close(), from.Close(), to.Close()))
		})
	})
}

// TestPortSeesItsInterfaceGo has nobody read: the port looks for itself.
func TestPortSeesItsInterfaceGo(t *testing.T) {
	inNamespace(t, func() {
		from, to := openTwo(t)
		q := from.Queues()[0]
		if q.deleted() {
			t.Error("deleted while it is there")
		}
		link, err := netlink.LinkByName(from.Name())
		must(t, err)
		must(t, netlink.LinkSetDown(link))
		if q.deleted() {
			t.Error("deleted while it is down")
		}
		must(t, netlink.LinkDel(link))
		for end := time.Now().Add(10 * lookOut); !q.gone.Load() && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if err := q.end(); !errors.Is(err, ErrGone) {
			t.Errorf("its readers get %v", err)
		}
		must(t, errors.Join(from.Close(), to.Close()))
	})
}

func TestLaneAllocatesNothing(t *testing.T) {
	lanes(t, func(t *testing.T, o LaneOptions) {
		t.Helper()
		inNamespace(t, func() {
			from, to := openTwo(t)
			l := NewLane(from.Queues()[0], to.Queues()[0], o)
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			must(t, unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}}))
			payload := []byte("x")
			allocs := testing.AllocsPerRun(1000, func() {
				if _, err := unix.Write(fd, payload); err != nil {
					t.Error(err)
				}
				frame, err := l.Read()
				if err != nil {
					t.Error(err)
				}
				l.Forward(frame)
				if n, why := l.Lost(); n > 0 {
					t.Errorf("%d lost: %v", n, why)
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations a frame", allocs)
			}
			must(t, errors.Join(unix.Close(fd), l.Close(), from.Close(), to.Close()))
		})
	})
}
