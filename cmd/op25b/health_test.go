// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/config"
	"op25b/control"
	"op25b/filter"
	"op25b/rollout"
	"op25b/stack"
)

// stuckLane has frames that nobody fetches.
type stuckLane struct{ pending bool }

func (l *stuckLane) Read() ([]byte, error) { return nil, os.ErrClosed }
func (l *stuckLane) Forward([]byte)        {}
func (l *stuckLane) Lost() (uint64, error) { return 0, nil }
func (l *stuckLane) Answer([]byte) error   { return nil }
func (l *stuckLane) Pending() bool         { return l.pending }
func (l *stuckLane) Close() error          { return nil }
func (l *stuckLane) port() stack.Port {
	return stack.Port{Lanes: []stack.Lane{l}, MTU: func() int { return 1500 }, Interrupt: func() {}}
}

// testGateway is a gateway without interfaces.
func testGateway(t *testing.T) (*gateway, *stuckLane) {
	t.Helper()
	cfg := config.Default()
	cfg.Policy.Pools = []config.Pool{{
		Name: "residential", Prefixes: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")},
		Assignment: config.AssignmentDynamic, Response: config.ResponseReset,
	}}
	policy, err := newRulebook(&cfg, nil).at(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lane := &stuckLane{}
	router, err := stack.New(stack.Options{Subscriber: lane.port(), Upstream: (&stuckLane{}).port(), Policy: policy, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	known, err := openHistory(&cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{
		history: known, log: zap.NewNop(), rules: newRulebook(&cfg, nil), clock: rollout.NewClock(rollout.System(), time.Time{}), policy: policy, size: policy.Size(), probe: newProbe(&cfg, policy), state: control.StateOK,
		since: map[string]time.Time{}, data: &dataPath{router: router},
	}, lane
}

// TestBeat has a worker that is not woken for the frames that wait: it is told after a
// while, and ends the gateway after a longer one.
func TestBeat(t *testing.T) {
	t.Parallel()
	g, lane := testGateway(t)
	begun := time.Now()
	at := func(d time.Duration) error { return g.beat(begun.Add(d)) }
	for _, d := range []time.Duration{0, time.Second, time.Minute} {
		if err := at(d); err != nil || g.stalled {
			t.Fatalf("nothing to do: stalled %t, %v", g.stalled, err)
		}
	}
	lane.pending = true
	for _, tt := range []struct {
		after   time.Duration
		stalled bool
		fails   bool
	}{{time.Second, false, false}, {stall, false, false}, {stall + 1, true, false}, {hang, true, false}, {hang + 1, true, true}} {
		err := at(time.Minute + tt.after)
		if g.stalled != tt.stalled || (err != nil) != tt.fails {
			t.Errorf("after %s: stalled %t, %v", tt.after, g.stalled, err)
		}
	}
	lane.pending = false
	if err := at(2 * time.Minute); err != nil || g.stalled {
		t.Errorf("it got on: stalled %t, %v", g.stalled, err)
	}
}

// TestProbe has decisions go wrong, as in damaged memory.
func TestProbe(t *testing.T) {
	t.Parallel()
	g, _ := testGateway(t)
	if want := (filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}); g.probe.want != want {
		t.Fatalf("the probe gets %s (%s)", g.probe.want.Action, g.probe.want.Reason)
	}
	g.probe.packet[0] = 0
	if err := g.beat(time.Now()); err == nil || !strings.Contains(err.Error(), "memory may be damaged") {
		t.Errorf("beat: %v", err)
	}
}

// TestProbe6 needs a subscriber of the family that there is.
func TestProbe6(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Policy.Pools = []config.Pool{
		{Name: "static", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Assignment: config.AssignmentStatic},
		{Name: "six", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/48")}, Assignment: config.AssignmentDynamic},
	}
	policy, err := newRulebook(&cfg, nil).at(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if p := newProbe(&cfg, policy); p == nil || p.want.Action != filter.Reset {
		t.Errorf("%+v", p)
	}
}
