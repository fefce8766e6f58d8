// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"strings"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// TestSurvivors has the packets that tell mutants which nothing else told from the
// code; see docs/mutation.md.
func TestSurvivors(t *testing.T) {
	t.Parallel()
	second := filtertest.IP(4, "10.9.9.1", "10.9.9.2").Data(strings.Repeat("x", 64)).Piece(8, false, []byte(strings.Repeat("x", 64)))
	reply := filtertest.TCP("[2001:db8:ffff::25]:25", "[2001:db8:a::2]:40000").Flags(filtertest.SYN | filtertest.ACK).
		Chain(filtertest.DestOpts(504)).Data(strings.Repeat("x", 600))
	octets := reply.Fragmentable()
	session := string(filtertest.TCP("198.51.100.7:1", "203.0.113.25:25").Flags(filtertest.ACK).Bytes())
	strictTunnels := tunnels()
	strictTunnels.JudgeEstablished = true
	likeAH := tunnels()
	likeAH.Pools = append(likeAH.Pools, filter.Pool{Name: "like AH", Prefixes: prefixes("2033:db8::/32")})
	submission := string(filtertest.TCP("10.0.0.1:40000", "203.0.113.25:587").Bytes())
	for name, tt := range map[string]struct {
		spec filter.Spec
		dir  filter.Direction
		pkt  []byte
		want filter.Verdict
	}{
		// One level deep: the second tunnel is no TCP, whatever piece of it comes.
		"a fragment of a tunnel in a tunnel": {
			tunnels(), filter.Outbound, filtertest.IP(4, "100.64.0.2", "203.0.113.9").Data(string(second)).Bytes(),
			filter.Verdict{Action: filter.Forward, Reason: filter.ReasonNotTCP},
		},
		"a session in a tunnel, established sessions refused": {
			strictTunnels, filter.Outbound, filtertest.IP(4, "100.64.0.2", "203.0.113.9").Data(session).Bytes(),
			filter.Verdict{Action: filter.Drop, Reason: filter.ReasonTunneledPort},
		},
		// 0x33, AH's number, is where an IPv4 header has the protocol.
		"an IPv6 source that looks like AH": {
			likeAH, filter.Outbound, filtertest.IP(41, "2033:db8::2", "2001:db8:ffff::9").Piece(80, false, []byte(strings.Repeat("x", 64))),
			filter.Verdict{Action: filter.Drop, Reason: filter.ReasonOverlappingFragment},
		},
		// Nobody may take it, though it could be read.
		"GRE with routing and a harmless packet": {
			tunnels(), filter.Outbound, filtertest.IP(47, "100.64.0.2", "198.51.100.200").Data(greHeader(0x4000, 0x0800, 0) + submission).Bytes(),
			filter.Verdict{Action: filter.Drop, Reason: filter.ReasonTunnelUnreadable},
		},
		// A later fragment could still write into this TCP header.
		"inbound, TCP across the floor": {
			strict(), filter.Inbound, reply.Piece(0, true, octets[:640]),
			filter.Verdict{Action: filter.Drop, Reason: filter.ReasonChainTooLong},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, tt.spec).Decide(tt.dir, tt.pkt, filter.ChecksumUnknown); got != tt.want {
				t.Errorf("% x: %s %s, want %s %s", tt.pkt, got.Action, got.Reason, tt.want.Action, tt.want.Reason)
			}
		})
	}
}
