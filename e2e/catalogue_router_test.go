// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/filter"
	"op25b/lab"
	"op25b/stack"
)

// regime is a policy that inputs are judged under.
type regime uint8

const (
	usual      regime = iota // as the lab's configuration has it
	tunnels                  // policy.inspect_tunnels: all of them
	sessions                 // policy.established: reset
	inbound                  // policy.inbound_source_port: block
	prohibited               // response: prohibited
	silent                   // response: drop
	unlisted                 // forwarding.source_validation: off
	numRegimes
)

// options is the regime as the configuration of a gateway.
func (r regime) options(o lab.ConfigOptions) lab.ConfigOptions {
	o.ReturnPath = "router"
	o.Set = map[string]string{"forwarding.answers": "{per_subscriber: 0, total: 0}"}
	switch r {
	case tunnels:
		o.Set["policy.inspect_tunnels"] = "[ipip, 6in4, gre]"
	case sessions:
		o.Established = "reset"
	case inbound:
		o.Set["policy.inbound_source_port"] = "block"
	case prohibited:
		o.Response = "prohibited"
	case silent:
		o.Response = "drop"
	case unlisted:
		o.SourceValidation = "off"
	default:
	}
	return o
}

// spec is the same as package filter takes it.
func (r regime) spec() filter.Spec {
	prefix := netip.MustParsePrefix
	residential := filter.Pool{Name: "residential", Prefixes: []netip.Prefix{prefix("100.64.0.0/10"), prefix("2001:db8:a::/48")}}
	switch r {
	case prohibited:
		residential.Response = filter.RespondProhibited
	case silent:
		residential.Response = filter.RespondDrop
	default:
	}
	s := filter.Spec{
		Ports: []uint16{lab.PortSMTP}, ValidateSource: r != unlisted,
		JudgeEstablished: r == sessions, BlockInboundSourcePort: r == inbound,
		Pools: []filter.Pool{residential, {
			Name: "business", Static: true,
			Prefixes: []netip.Prefix{prefix("100.65.0.0/24"), prefix("2001:db8:a:ffff::/64")},
		}},
		Relays: []filter.Relay{{Name: "isp-msa", Prefixes: []netip.Prefix{prefix("192.0.2.25/32"), prefix("2001:db8:25::25/128")}}},
	}
	if r == tunnels {
		s.InspectTunnels = filter.Tunnels{IPIP: true, SixInFour: true, GRE: true}
	}
	return s
}

// memoryLane is a lane of the router in memory.
type memoryLane struct {
	in, out chan []byte
	far     *memoryLane
	closed  chan struct{}
	once    sync.Once
}

// newMemoryLanes returns one for each direction.
func newMemoryLanes() (*memoryLane, *memoryLane) {
	one := func() *memoryLane {
		return &memoryLane{in: make(chan []byte), out: make(chan []byte, 16), closed: make(chan struct{})}
	}
	a, b := one(), one()
	a.far, b.far = b, a
	return a, b
}

// Read hands out what the test put in.
func (l *memoryLane) Read() ([]byte, error) {
	select {
	case b := <-l.in:
		return bytes.Clone(b), nil
	case <-l.closed:
		return nil, os.ErrClosed
	}
}

// Forward and Answer keep a copy for the test.
func (l *memoryLane) Forward(frame []byte) { l.far.out <- bytes.Clone(frame) }

func (l *memoryLane) Answer(frame []byte) error {
	l.out <- bytes.Clone(frame)
	return nil
}

func (l *memoryLane) Lost() (uint64, error) { return 0, nil }
func (l *memoryLane) Pending() bool         { return len(l.in) > 0 }
func (l *memoryLane) Close() error          { return nil }

func (l *memoryLane) port(addresses ...netip.Addr) stack.Port {
	return stack.Port{
		Lanes: []stack.Lane{l}, MTU: func() int { return 65535 }, Addresses: addresses,
		Interrupt: func() { l.once.Do(func() { close(l.closed) }) },
	}
}

// memoryRouter is a router between two lanes in memory.
type memoryRouter struct {
	router        *stack.Router
	subscriber    *memoryLane
	upstream      *memoryLane
	before        stack.Stats
	framesWritten uint64
}

func startMemoryRouter(t *testing.T, r regime) *memoryRouter {
	t.Helper()
	policy, err := filter.Compile(r.spec())
	if err != nil {
		t.Fatal(err)
	}
	m := &memoryRouter{}
	m.subscriber, m.upstream = newMemoryLanes()
	m.router, err = stack.New(stack.Options{
		Subscriber: m.subscriber.port(lab.IPv4.Addrs().GatewayDynamic, lab.IPv6.Addrs().GatewayDynamic),
		Upstream:   m.upstream.port(lab.IPv4.Addrs().GatewayUpstream, lab.IPv6.Addrs().GatewayUpstream),
		Policy:     policy, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.router.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("router: %v", err)
		}
	})
	return m
}

// send has the router judge one frame, and returns what it wrote to either side.
func (m *memoryRouter) send(t *testing.T, d filter.Direction, frame []byte) (v filter.Verdict, back, on [][]byte) {
	t.Helper()
	in, out := m.subscriber, m.upstream
	if d == filter.Inbound {
		in, out = out, in
	}
	in.in <- frame
	m.framesWritten++
	for deadline := time.Now().Add(patience); ; {
		s := m.router.Stats()
		if s.Frames[filter.Outbound]+s.Frames[filter.Inbound] == m.framesWritten && fatesOf(s) == m.framesWritten {
			v = difference(t, m.before, s)
			m.before = s
			return v, drain(in.out), drain(out.out)
		}
		if time.Now().After(deadline) {
			t.Fatal("a frame has no fate")
		}
	}
}

func fatesOf(s stack.Stats) (sum uint64) {
	for _, fates := range s.Fates {
		for _, n := range fates {
			sum += n
		}
	}
	return sum
}

// difference returns the one verdict that came in between.
func difference(t *testing.T, before, after stack.Stats) (v filter.Verdict) {
	t.Helper()
	n := 0
	for d := range after.Verdicts {
		for a := range after.Verdicts[d] {
			for r := range after.Verdicts[d][a] {
				if after.Verdicts[d][a][r] != before.Verdicts[d][a][r] {
					n++
					v = filter.Verdict{Action: filter.Action(a), Reason: filter.Reason(r)}
				}
			}
		}
	}
	if n != 1 {
		t.Fatalf("%d verdicts about one frame", n)
	}
	return v
}

func drain(c chan []byte) (frames [][]byte) {
	for {
		select {
		case f := <-c:
			frames = append(frames, f)
		default:
			return frames
		}
	}
}

// TestCatalogueInMemory runs every input through the router: verdict, answer and
// what is sent on, octet by octet.
func TestCatalogueInMemory(t *testing.T) {
	t.Parallel()
	inputs := theCatalogue()
	for r := range numRegimes {
		router := startMemoryRouter(t, r)
		for _, in := range inputs {
			if in.regime != r {
				continue
			}
			for i, s := range in.steps {
				v, back, on := router.send(t, in.from.direction(), vnetFrame(s))
				if v != s.want {
					t.Errorf("%s, packet %d: %s (%s), want %s (%s)\n% x", in.name, i+1, v.Action, v.Reason, s.want.Action, s.want.Reason, s.packet)
				}
				wantFrames(t, in.name, i, "comes back", back, answerInMemory(s))
				wantFrames(t, in.name, i, "is sent on", on, sentOnInMemory(s))
			}
		}
	}
}

// answerInMemory is the answer before the kernel forwards it out of the TUN.
func answerInMemory(s step) []byte {
	if s.answer == nil {
		return nil
	}
	return withHops(s.answer, initialHops+1)
}

// sentOnInMemory is the packet with one hop given back, since the kernel takes two.
func sentOnInMemory(s step) []byte {
	if s.want.Action != filter.Forward || s.answer != nil {
		return nil
	}
	hops := s.packet[8]
	if s.packet[0]>>4 == 6 {
		hops = s.packet[7]
	}
	return withHops(s.packet, hops+1)
}

func wantFrames(t *testing.T, name string, i int, what string, got [][]byte, want []byte) {
	t.Helper()
	switch {
	case want == nil && len(got) > 0:
		t.Errorf("%s, packet %d: this %s, want nothing\n% x", name, i+1, what, got)
	case want == nil:
	case len(got) != 1:
		t.Errorf("%s, packet %d: %d packets, want one that %s", name, i+1, len(got), what)
	case !bytes.Equal(got[0][stack.HeaderSize:], want):
		t.Errorf("%s, packet %d: what %s is\n% x, want\n% x", name, i+1, what, got[0][stack.HeaderSize:], want)
	}
}

// vnetFrame puts the header of a TUN before the packet.
func vnetFrame(s step) []byte {
	h := make([]byte, stack.HeaderSize)
	if s.partial {
		const needsChecksum, checksumAt = 1, 16
		h[0] = needsChecksum
		start := 20
		if s.packet[0]>>4 == 6 {
			start = 40
		}
		binary.NativeEndian.PutUint16(h[6:], uint16(start))
		binary.NativeEndian.PutUint16(h[8:], checksumAt)
	}
	return slices.Concat(h, s.packet)
}
