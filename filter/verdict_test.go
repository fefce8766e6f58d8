// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"regexp"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// TestNames pins what metrics and logs rely on: each name is one of a kind and
// needs no quoting as a label.
func TestNames(t *testing.T) {
	t.Parallel()
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	check := func(t *testing.T, names []string) {
		t.Helper()
		seen := map[string]bool{}
		for i, name := range names {
			if !snake.MatchString(name) {
				t.Errorf("name %d is %q", i, name)
			}
			if seen[name] {
				t.Errorf("%q names two values", name)
			}
			seen[name] = true
		}
	}
	t.Run("reasons", func(t *testing.T) {
		t.Parallel()
		var names []string
		for r := range filter.NumReasons {
			names = append(names, r.String())
		}
		check(t, append(names, filter.NumReasons.String())) // "unknown", unlike all others
	})
	t.Run("actions", func(t *testing.T) {
		t.Parallel()
		var names []string
		for a := range filter.NumActions {
			names = append(names, a.String())
		}
		check(t, names)
	})
	t.Run("directions", func(t *testing.T) {
		t.Parallel()
		check(t, []string{filter.Outbound.String(), filter.Inbound.String()})
		if filter.Outbound.Opposite() != filter.Inbound || filter.Inbound.Opposite() != filter.Outbound {
			t.Error("the opposites are no opposites")
		}
	})
}

// TestNamesAreKept has the names that dashboards know: a change needs a word in
// the changelog.
func TestNamesAreKept(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		filter.Outbound.String():                "outbound",
		filter.Inbound.String():                 "inbound",
		filter.Drop.String():                    "drop",
		filter.Forward.String():                 "forward",
		filter.Reset.String():                   "reset",
		filter.Prohibited.String():              "prohibited",
		filter.Local.String():                   "local",
		filter.Monitored.String():               "monitored",
		filter.ReasonExempt.String():            "exempt",
		filter.ReasonNotInForce.String():        "not_in_force",
		filter.ReasonBlockedPort.String():       "blocked_port",
		filter.ReasonInboundSourcePort.String(): "inbound_source_port",
		filter.NumReasons.String():              "unknown",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestZeroVerdict pins that forgetting to decide is not a decision to forward.
func TestZeroVerdict(t *testing.T) {
	t.Parallel()
	if v := (filter.Verdict{}); v.Action != filter.Drop || v.Reason != filter.ReasonUnset {
		t.Errorf("zero verdict: %s %s", v.Action, v.Reason)
	}
}

// TestSourceValidated has a packet for each way in which a source can be found
// good, found bad, or not be looked at.
func TestSourceValidated(t *testing.T) {
	t.Parallel()
	policies := compileAll(t)
	for _, tc := range []struct {
		name, policy string
		dir          filter.Direction
		from, to     string
		want         bool
	}{
		{"a dynamic subscriber", "plain", out, "100.64.0.2:1", "203.0.113.25:25", true},
		{"a static subscriber", "plain", out, "100.65.0.2:1", "203.0.113.25:25", true},
		{"a subscriber to the router", "plain", out, "100.64.0.2:1", "100.64.0.1:25", true},
		{"in no pool", "plain", out, "198.51.100.1:1", "203.0.113.25:25", false},
		{"a martian", "plain", out, "127.0.0.1:1", "203.0.113.25:25", false},
		{"to a martian", "plain", out, "100.64.0.2:1", "224.0.0.1:25", false},
		{"land", "plain", out, "100.64.0.2:1", "100.64.0.2:25", false},
		{"in no pool, validation off", "open", out, "198.51.100.1:1", "203.0.113.25:25", false},
		{"in no pool, validation off, to the router", "open", out, "198.51.100.1:1", "100.64.0.1:25", false},
		{"a martian, validation off", "open", out, "240.0.0.1:1", "203.0.113.25:25", false},
		{"from the upstream", "plain", in, "203.0.113.25:1", "100.64.0.2:25", true},
		{"from the upstream, to the router", "plain", in, "203.0.113.25:1", "100.64.0.1:25", true},
		{"in no pool, validation off, to the router, IPv6", "open", out, "[2001:db8:b::1]:1", "[2001:db8:a::1]:25", false},
		{"a martian from the upstream", "plain", in, "127.0.0.1:1", "100.64.0.2:25", false},
		{"multicast from the upstream", "plain", in, "224.0.0.1:1", "100.64.0.2:25", false},
		{"a martian from the upstream, to the router", "plain", in, "255.255.255.255:1", "100.64.0.1:25", false},
		{"a martian from the upstream, IPv6", "plain", in, "[ff02::1]:1", "[2001:db8:a::2]:25", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pkt := filtertest.TCP(tc.from, tc.to).Bytes()
			v := policies[tc.policy].Decide(tc.dir, pkt, filter.ChecksumUnknown)
			if got := v.SourceValidated(); got != tc.want {
				t.Errorf("%s %s: validated is %t, want %t", v.Action, v.Reason, got, tc.want)
			}
		})
	}
	for _, r := range []filter.Reason{filter.ReasonMalformed, filter.ReasonSourceRoute} {
		if (filter.Verdict{Reason: r}).SourceValidated() {
			t.Errorf("%s: the source was validated before it was looked at", r)
		}
		if !(filter.Verdict{Action: filter.Monitored, Reason: r}).SourceValidated() {
			t.Errorf("%s: a subscriber who is monitored is not validated", r)
		}
	}
}
