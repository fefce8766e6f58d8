// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/filter"
	"op25b/filter/filtertest"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	prefix := netip.MustParsePrefix
	for _, tc := range []struct {
		name     string
		dir      filter.Direction
		from, to string
		want     filter.Explanation
	}{
		{"refused", out, "100.64.0.2:1", "203.0.113.25:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort},
			Pool:    "residential", PoolPrefix: prefix("100.64.0.0/10"),
			Delegated: prefix("100.64.0.2/32"), Share: 6564,
		}},
		{"nested, towards a relay", out, "100.65.0.200:1", "198.51.100.3:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonRelay},
			Pool:    "trial", PoolPrefix: prefix("100.65.0.128/25"),
			Delegated: prefix("100.65.0.200/32"), Share: 7576,
			Relay: "partner", RelayPrefix: prefix("198.51.100.0/28"),
		}},
		{"static", out, "100.66.0.9:1", "203.0.113.25:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonStatic},
			Pool:    "monitor", PoolPrefix: prefix("100.66.0.9/32"), Static: true,
			Delegated: prefix("100.66.0.9/32"), Share: 6464,
		}},
		{"IPv6", out, "[2001:db8:a:65::2]:1", "[2001:db8:25::25]:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonStatic},
			Pool:    "business", PoolPrefix: prefix("2001:db8:a:65::/64"), Static: true,
			Delegated: prefix("2001:db8:a::/56"), Share: 2874,
			Relay: "isp-msa", RelayPrefix: prefix("2001:db8:25::25/128"),
		}},
		{"nobody's", out, "198.51.100.77:1", "203.0.113.25:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Drop, Reason: filter.ReasonSpoofedSource},
		}},
		{"inbound, the subscriber is the destination", in, "192.0.2.25:25", "100.66.0.2:1", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonInbound},
			Pool:    "mobile", PoolPrefix: prefix("100.66.0.0/16"),
			Delegated: prefix("100.66.0.2/32"), Share: filter.Place(prefix("100.66.0.2/32")),
			Relay: "isp-msa", RelayPrefix: prefix("192.0.2.25/32"),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pkt := filtertest.TCP(tc.from, tc.to).Bytes()
			got := compile(t, plain()).Explain(tc.dir, pkt, filter.ChecksumUnknown)
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExplainPhased names the rule that decided, and where the subscriber stands.
func TestExplainPhased(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		dir            filter.Direction
		from, to       string
		action         filter.Action
		pool, rule     string
		delegated      string
		exempt         string
		static, closed bool
		poolPrefix     string
		answer         bool
	}{
		{name: "refused", from: "100.64.0.4:1", to: "203.0.113.25:25", action: filter.Reset,
			pool: "residential", poolPrefix: "100.64.0.0/10", rule: "carriers first", delegated: "100.64.0.4/32"},
		{name: "among the first", from: "100.64.3.68:1", to: "203.0.113.200:25", action: filter.Reset,
			pool: "residential", poolPrefix: "100.64.0.0/10", rule: "a few more", delegated: "100.64.3.68/32"},
		{name: "monitored", from: "100.64.0.2:1", to: "203.0.113.25:25", action: filter.Monitored,
			pool: "residential", poolPrefix: "100.64.0.0/10", rule: "census", delegated: "100.64.0.2/32"},
		{name: "another port", from: "100.64.0.2:1", to: "203.0.113.25:587", action: filter.Forward,
			pool: "residential", poolPrefix: "100.64.0.0/10", delegated: "100.64.0.2/32"},
		{name: "monitored without a rule", from: "100.65.0.130:1", to: "203.0.113.25:25", action: filter.Monitored,
			pool: "trial", poolPrefix: "100.65.0.128/25", delegated: "100.65.0.130/32"},
		{name: "nothing has begun", from: "[2001:db8:a:66::2]:1", to: "[2001:db8:ffff::25]:25", action: filter.Forward,
			pool: "mobile", poolPrefix: "2001:db8:a:66::/64", delegated: "2001:db8:a:66::/64"},
		{name: "a relay for others", from: "100.64.0.2:1", to: "198.51.100.3:25", action: filter.Monitored,
			pool: "residential", poolPrefix: "100.64.0.0/10", rule: "census", delegated: "100.64.0.2/32", closed: true},
		{name: "exempt within a pool", from: "100.64.0.9:1", to: "203.0.113.25:25", action: filter.Forward,
			pool: "residential", poolPrefix: "100.64.0.0/10", exempt: "100.64.0.8/30", delegated: "100.64.0.9/32"},
		{name: "exempt by half of a pool's prefix", from: "100.65.0.193:1", to: "203.0.113.25:25", action: filter.Forward,
			pool: "trial", poolPrefix: "100.65.0.128/25", exempt: "100.65.0.192/26", delegated: "100.65.0.193/32"},
		{name: "exempt in a static pool", from: "100.66.0.9:1", to: "203.0.113.25:25", action: filter.Forward,
			pool: "monitor", poolPrefix: "100.66.0.9/32", exempt: "100.66.0.9/32", delegated: "100.66.0.9/32", static: true},
		{name: "inbound", dir: in, from: "203.0.113.25:25", to: "100.64.0.4:1", action: filter.Forward,
			pool: "residential", poolPrefix: "100.64.0.0/10", delegated: "100.64.0.4/32"},
		{name: "inbound, an answer", dir: in, from: "203.0.113.25:25", to: "100.64.0.4:1", action: filter.Drop, answer: true,
			pool: "residential", poolPrefix: "100.64.0.0/10", rule: "carriers first", delegated: "100.64.0.4/32"},
		{name: "nobody's", from: "198.51.100.77:1", to: "198.51.100.3:25", action: filter.Drop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pkt := filtertest.TCP(tc.from, tc.to)
			if tc.answer {
				pkt = pkt.Flags(filtertest.ACK)
			}
			e := compile(t, phased()).Explain(tc.dir, pkt.Bytes(), filter.ChecksumUnknown)
			text := func(p netip.Prefix) string {
				if !p.IsValid() {
					return ""
				}
				return p.String()
			}
			if e.Action != tc.action || e.Pool != tc.pool || text(e.PoolPrefix) != tc.poolPrefix || e.Rule != tc.rule ||
				text(e.Delegated) != tc.delegated || e.Static != tc.static || e.RelayClosed != tc.closed ||
				e.Exempt != (tc.exempt != "") || text(e.ExemptPrefix) != tc.exempt {
				t.Errorf("%+v", e)
			}
			if e.Pool != "" && e.Share != filter.Place(e.Delegated) {
				t.Errorf("share %d, and the place of %s is %d", e.Share, e.Delegated, filter.Place(e.Delegated))
			}
		})
	}
}

func TestExplainMalformed(t *testing.T) {
	t.Parallel()
	got := compile(t, plain()).Explain(filter.Outbound, nil, filter.ChecksumUnknown)
	want := filter.Explanation{Verdict: filter.Verdict{Action: filter.Drop, Reason: filter.ReasonMalformed}}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestProbe compares with the builders, which know nothing of Probe.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ from, to string }{
		{"100.64.0.2:40000", "203.0.113.25:25"},
		{"[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25"},
	} {
		pkt := filter.Probe(netip.MustParseAddrPort(tc.from), netip.MustParseAddrPort(tc.to))
		want := filtertest.TCP(tc.from, tc.to).ID(0).Seq(1).Bytes()
		verdict := compile(t, plain()).Decide(filter.Outbound, pkt, filter.ChecksumUnknown)
		if verdict != (filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}) {
			t.Errorf("%s to %s: %s %s", tc.from, tc.to, verdict.Action, verdict.Reason)
		}
		// The window is Probe's own business, and the checksum follows from it.
		tcp := len(pkt) - 20
		copy(pkt[tcp+14:tcp+18], want[tcp+14:tcp+18])
		if diff := cmp.Diff(want, pkt); diff != "" {
			t.Errorf("probe (-want +got):\n%s", diff)
		}
	}
}
