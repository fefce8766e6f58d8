// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/filter"
)

// memoryLane is a Lane in memory. Tests put frames in, and take frames out that came
// from the other one or are answers.
type memoryLane struct {
	in     chan []byte
	out    chan []byte
	far    *memoryLane
	closed chan struct{}
	once   sync.Once
	err    error                 // what Read returns once in is closed
	broken atomic.Pointer[error] // what putting frames out fails with, if set

	lost uint64
	why  error
}

// newMemoryLanes returns one for each direction.
func newMemoryLanes() (*memoryLane, *memoryLane) {
	one := func() *memoryLane {
		return &memoryLane{in: make(chan []byte, 64), out: make(chan []byte, 64), closed: make(chan struct{})}
	}
	a, b := one(), one()
	a.far, b.far = b, a
	return a, b
}

func (l *memoryLane) Read() ([]byte, error) {
	select {
	case b, ok := <-l.in:
		if !ok {
			return nil, l.err
		}
		return bytes.Clone(b), nil
	case <-l.closed:
		return nil, os.ErrClosed
	}
}

func (l *memoryLane) Forward(f []byte) {
	if err := l.far.Answer(f); err != nil {
		l.lost++
		l.why = err
	}
}

func (l *memoryLane) Lost() (frames uint64, why error) {
	frames, why = l.lost, l.why
	l.lost, l.why = 0, nil
	return frames, why
}

func (l *memoryLane) Answer(f []byte) error {
	if err := l.broken.Load(); err != nil && *err != nil {
		return *err
	}
	select {
	case l.out <- bytes.Clone(f):
	case <-l.closed: // nobody takes frames out any more
	}
	return nil
}

// fail makes putting frames out fail from now on; nil: no more.
func (l *memoryLane) fail(err error) { l.broken.Store(&err) }

func (l *memoryLane) Pending() bool { return len(l.in) > 0 }

func (l *memoryLane) Close() error { return nil }

func (l *memoryLane) port(mtu int, addresses ...string) Port {
	p := Port{
		Lanes: []Lane{l}, MTU: func() int { return mtu },
		Interrupt: func() { l.once.Do(func() { close(l.closed) }) },
	}
	for _, a := range addresses {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(a))
	}
	return p
}

const (
	dynamic4 = "100.64.0.2"
	static4  = "100.65.0.2"
	server4  = "203.0.113.25"
	gateway4 = "100.64.0.1"
	router4  = "192.0.2.250"
	dynamic6 = "2001:db8:a:1::2"
	static6  = "2001:db8:a:ffff::2"
	server6  = "2001:db8:cafe::25"
	gateway6 = "2001:db8:a:1::1"
	router6  = "2001:db8:ffff::250"
)

func testSpec() filter.Spec {
	prefixes := func(s ...string) (p []netip.Prefix) {
		for _, one := range s {
			p = append(p, netip.MustParsePrefix(one))
		}
		return p
	}
	return filter.Spec{
		Ports: []uint16{25}, ValidateSource: true,
		Pools: []filter.Pool{
			{Name: "residential", Prefixes: prefixes("100.64.0.0/10", "2001:db8:a::/48")},
			{Name: "business", Prefixes: prefixes("100.65.0.0/24", "2001:db8:a:ffff::/64"), Static: true},
		},
		Router: []netip.Addr{netip.MustParseAddr(router4), netip.MustParseAddr(router6)},
	}
}

// bench is a router between two lanes in memory.
type bench struct {
	t        *testing.T
	router   *Router
	sub, up  *memoryLane
	finished chan error
	stop     context.CancelFunc
}

// newBench starts a router. change may alter the options and the spec.
func newBench(t *testing.T, change func(*Options, *filter.Spec)) *bench {
	t.Helper()
	b := &bench{t: t, finished: make(chan error, 1)}
	b.sub, b.up = newMemoryLanes()
	spec := testSpec()
	opts := Options{
		Subscriber: b.sub.port(1500, gateway4, gateway6),
		Upstream:   b.up.port(1400, "198.51.100.1", "2001:db8:ff::1"),
		Host:       spec.Router,
		Log:        zap.NewNop(),
	}
	if change != nil {
		change(&opts, &spec)
	}
	policy, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	opts.Policy = policy
	if b.router, err = New(opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.finished <- b.router.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-b.finished:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not return")
		}
		b.conserved()
	})
	return b
}

// conserved checks that every frame has exactly one fate.
func (b *bench) conserved() {
	b.t.Helper()
	s := b.router.Stats()
	for d := range filter.NumDirections {
		var fates uint64
		for _, n := range s.Fates[d] {
			fates += n
		}
		if fates != s.Frames[d] {
			b.t.Errorf("%s: %d frames, %d fates", d, s.Frames[d], fates)
		}
	}
}

// fates waits until n outbound frames have met their fate and returns the fates.
func (b *bench) fates(n uint64) [NumFates]uint64 {
	b.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		s := b.router.Stats()
		var sum uint64
		for _, f := range s.Fates[filter.Outbound] {
			sum += f
		}
		if sum >= n {
			return s.Fates[filter.Outbound]
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%d of %d frames have a fate", sum, n)
		}
		time.Sleep(time.Millisecond)
	}
}

func take(t *testing.T, q *memoryLane) []byte {
	t.Helper()
	select {
	case f := <-q.out:
		return f
	case <-time.After(5 * time.Second):
		t.Fatal("no frame came out")
		return nil
	}
}

func silent(t *testing.T, q *memoryLane) {
	t.Helper()
	select {
	case f := <-q.out:
		t.Fatalf("a frame came out: %x", f)
	default:
	}
}

// empty takes what comes out until the queue is interrupted, so that whoever
// writes does not block.
func (l *memoryLane) empty() {
	for {
		select {
		case <-l.out:
		case <-l.closed:
			return
		}
	}
}

// plain puts a zeroed virtio_net_hdr before pkt.
func plain(pkt []byte) []byte { return append(make([]byte, HeaderSize), pkt...) }

// vnet puts a virtio_net_hdr that asks for a checksum before pkt.
func vnet(pkt []byte, gso byte, segment, start, offset int) []byte {
	f := plain(pkt)
	f[0], f[1] = flagNeedsChecksum, gso
	put := func(at, v int) { binary.NativeEndian.PutUint16(f[at:], uint16(v)) }
	put(4, segment)
	put(6, start)
	put(8, offset)
	return f
}
