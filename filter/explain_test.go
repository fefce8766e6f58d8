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
		}},
		{"nested, towards a relay", out, "100.65.0.200:1", "198.51.100.3:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonRelay},
			Pool:    "trial", PoolPrefix: prefix("100.65.0.128/25"),
			Relay: "partner", RelayPrefix: prefix("198.51.100.0/28"),
		}},
		{"static", out, "100.66.0.9:1", "203.0.113.25:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonStatic},
			Pool:    "monitor", PoolPrefix: prefix("100.66.0.9/32"), Static: true,
		}},
		{"IPv6", out, "[2001:db8:a:65::2]:1", "[2001:db8:25::25]:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonStatic},
			Pool:    "business", PoolPrefix: prefix("2001:db8:a:65::/64"), Static: true,
			Relay: "isp-msa", RelayPrefix: prefix("2001:db8:25::25/128"),
		}},
		{"nobody's", out, "198.51.100.77:1", "203.0.113.25:25", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Drop, Reason: filter.ReasonSpoofedSource},
		}},
		{"inbound, the subscriber is the destination", in, "192.0.2.25:25", "100.66.0.2:1", filter.Explanation{
			Verdict: filter.Verdict{Action: filter.Forward, Reason: filter.ReasonInbound},
			Pool:    "mobile", PoolPrefix: prefix("100.66.0.0/16"),
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
