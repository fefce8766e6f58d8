// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
)

func ranges(list ...string) (all []netipx.IPRange) {
	for _, r := range list {
		all = append(all, netipx.MustParseIPRange(r))
	}
	return all
}

func testPlan(t *testing.T) Plan {
	t.Helper()
	return Plan{
		Subscribers: []string{"sub0"}, Upstream: "up0", SubscriberPort: "op25b-sub", UpstreamPort: "op25b-up",
		MTU: 1500, Table: 25, Priority: 2500, IPv4: true, IPv6: true,
		Guard: Guard{
			Ports: []uint16{25, 2525},
			Sources: ranges("100.64.0.0-100.64.255.255", "100.65.1.0-100.127.255.255", "203.0.113.7-203.0.113.7",
				"240.0.0.0-255.255.255.255", "2001:db8:a::-2001:db8:a:ffff:ffff:ffff:ffff:ffff"),
			Relays:  ranges("192.0.2.25-192.0.2.25", "2001:db8:25::25-2001:db8:25::25"),
			Answers: 2000,
		},
	}
}

func TestRulesAndRoutes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Plan)
		want   string
	}{
		"all, return by the kernel": {func(*Plan) {}, `
			ip -4 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -6 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -4 rule add pref 2500 iif sub0 fwmark 0x25000000/0xff000000 lookup 25 protocol 25
			ip -6 rule add pref 2500 iif sub0 fwmark 0x25000000/0xff000000 lookup 25 protocol 25`},
		"IPv4 only, two subscribers, return by the router": {func(p *Plan) {
			p.IPv6, p.ReturnPath, p.Subscribers = false, true, []string{"sub0", "sub1"}
		}, `
			ip -4 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -4 route add default dev op25b-up table 26 metric 1 protocol 25
			ip -4 rule add pref 2500 iif sub0 fwmark 0x25000000/0xff000000 lookup 25 protocol 25
			ip -4 rule add pref 2500 iif sub1 fwmark 0x25000000/0xff000000 lookup 25 protocol 25
			ip -4 rule add pref 2501 iif up0 fwmark 0x25000000/0xff000000 lookup 26 protocol 25`},
		"mail only": {func(p *Plan) { p.IPv6, p.ReturnPath, p.Capture = false, true, []uint16{25, 2525} }, `
			ip -4 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -4 route add default dev op25b-up table 26 metric 1 protocol 25
			ip -4 rule add pref 2500 iif sub0 fwmark 0x25000000/0xff000000 lookup 25 protocol 25
			ip -4 rule add pref 2501 iif up0 fwmark 0x25000000/0xff000000 lookup 26 protocol 25`},
		"blackhole": {func(p *Plan) { p.IPv6, p.OnExit = false, OnExitBlackhole }, `
			ip -4 route add blackhole default table 25 metric 4096 protocol 25
			ip -4 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -4 rule add pref 2500 iif sub0 lookup 25 protocol 25`},
		"blackhole, mail only": {func(p *Plan) {
			p.IPv6, p.OnExit, p.ReturnPath, p.Capture = false, OnExitBlackhole, true, []uint16{25, 2525}
		}, `
			ip -4 route add blackhole default table 25 metric 4096 protocol 25
			ip -4 route add default dev op25b-sub table 25 metric 1 protocol 25
			ip -4 route add default dev op25b-up table 26 metric 1 protocol 25
			ip -4 rule add pref 2500 iif sub0 ipproto tcp dport 25 lookup 25 protocol 25
			ip -4 rule add pref 2500 iif sub0 ipproto tcp dport 2525 lookup 25 protocol 25
			ip -4 rule add pref 2500 iif sub0 fwmark 0x25000000/0xff000000 lookup 25 protocol 25
			ip -4 rule add pref 2501 iif up0 ipproto tcp sport 25 lookup 26 protocol 25
			ip -4 rule add pref 2501 iif up0 ipproto tcp sport 2525 lookup 26 protocol 25
			ip -4 rule add pref 2501 iif up0 fwmark 0x25000000/0xff000000 lookup 26 protocol 25`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := testPlan(t)
			tt.change(&plan)
			var got []string
			for _, c := range plan.Commands() {
				if strings.Contains(c, " rule ") || strings.Contains(c, " route ") {
					got = append(got, c)
				}
			}
			var want []string
			for line := range strings.Lines(tt.want) {
				if line = strings.TrimSpace(line); line != "" {
					want = append(want, line)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

// A rule that the kernel lists back is recognised, and no other.
func TestRuleIsItself(t *testing.T) {
	t.Parallel()
	plan := testPlan(t)
	plan.ReturnPath, plan.Capture, plan.OnExit = true, []uint16{25, 2525}, OnExitBlackhole
	rules := plan.rules()
	for i, r := range rules {
		for j, other := range rules {
			if same := r.family == other.family && r.is(*other.netlink()); same != (i == j) {
				t.Errorf("%s is %s: %v", r.command(), other.command(), same)
			}
		}
	}
}

func TestGuardIsWantedWhenTheKernelForwardsMail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		onExit  OnExit
		capture []uint16
		want    bool
	}{
		"reject":                 {OnExitRejectSMTP, nil, true},
		"forward":                {OnExitForward, nil, false},
		"blackhole":              {OnExitBlackhole, nil, false},
		"forward, mail only":     {OnExitForward, []uint16{25}, true},
		"blackhole, mail only":   {OnExitBlackhole, []uint16{25}, true},
		"reject-smtp, mail only": {OnExitRejectSMTP, []uint16{25}, true},
	} {
		if got := (&Plan{OnExit: tt.onExit, Capture: tt.capture}).guarded(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
