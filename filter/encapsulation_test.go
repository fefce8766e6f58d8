// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"strings"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// tunnelCase is a packet from a dynamic source that carries another.
type tunnelCase struct {
	name   string
	pkt    []byte
	action filter.Action
	reason filter.Reason
}

// carry puts an inner packet behind a header of the given protocol.
func carry(proto uint8, from, to string, inner []byte) filtertest.Packet {
	return filtertest.IP(proto, from, to).Data(string(inner))
}

// greHeader is a GRE header (RFC 2784, RFC 2890) with the given flags; the
// optional words are zero.
func greHeader(flags uint16, kind uint16, words int) string {
	return string([]byte{byte(flags >> 8), byte(flags), byte(kind >> 8), byte(kind)}) + strings.Repeat("\x00\x00\x00\x00", words)
}

func tunnelCases() []tunnelCase {
	const (
		from4, peer4 = "100.64.0.2", "198.51.100.200"
		from6, peer6 = "2001:db8:a::2", "2001:db8:ffff::9"
		mx4, mx6     = "203.0.113.25:25", "[2001:db8:cafe::25]:25"
		drop         = filter.Drop
		forward      = filter.Forward
	)
	syn4 := filtertest.TCP("10.0.0.1:40000", mx4)
	syn6 := filtertest.TCP("[fd00::1]:40000", mx6)
	ipip := carry(4, from4, peer4, syn4.Bytes())
	long := carry(4, from4, peer4, syn4.Data(strings.Repeat("x", 1200)).Bytes())
	nested := carry(4, from4, peer4, carry(4, "10.0.0.1", "10.0.0.2", syn4.Bytes()).Bytes())
	gre := func(flags, kind uint16, words int, inner []byte) []byte {
		return filtertest.IP(47, from4, peer4).Data(greHeader(flags, kind, words) + string(inner)).Bytes()
	}
	return []tunnelCase{
		{"SYN in IPv4 in IPv4", ipip.Bytes(), drop, filter.ReasonTunneledPort},
		{"SYN in IPv6 in IPv4", carry(41, from4, peer4, syn6.Bytes()).Bytes(), drop, filter.ReasonTunneledPort},
		{"SYN in IPv4 in IPv6", carry(4, from6, peer6, syn4.Bytes()).Bytes(), drop, filter.ReasonTunneledPort},
		{"SYN in IPv6 in IPv6", carry(41, from6, peer6, syn6.Bytes()).Bytes(), drop, filter.ReasonTunneledPort},
		{"behind destination options", carry(41, from6, peer6, syn6.Bytes()).Chain(filtertest.DestOpts(16)).Bytes(), drop, filter.ReasonTunneledPort},
		{"SYN in IPv6 with options in IPv4", carry(41, from4, peer4, syn6.Chain(filtertest.HopByHop(8)).Bytes()).Bytes(), drop, filter.ReasonTunneledPort},
		{"a partial checksum inside", carry(4, from4, peer4, syn4.Checksum(filtertest.Partial).Bytes()).Bytes(), drop, filter.ReasonTunneledPort},
		{"SYN in GRE", gre(0, 0x0800, 0, syn4.Bytes()), drop, filter.ReasonTunneledPort},
		{"SYN in IPv6 in GRE", gre(0, 0x86dd, 0, syn6.Bytes()), drop, filter.ReasonTunneledPort},
		{"SYN in GRE with checksum", gre(0x8000, 0x0800, 1, syn4.Bytes()), drop, filter.ReasonTunneledPort},
		{"SYN in GRE with key", gre(0x2000, 0x0800, 1, syn4.Bytes()), drop, filter.ReasonTunneledPort},
		{"SYN in GRE with sequence", gre(0x1000, 0x0800, 1, syn4.Bytes()), drop, filter.ReasonTunneledPort},
		{"SYN in GRE with all three", gre(0xb000, 0x0800, 3, syn4.Bytes()), drop, filter.ReasonTunneledPort},
		{"GRE with routing", gre(0x4000, 0x0800, 1, syn4.Bytes()), drop, filter.ReasonTunnelUnreadable},
		{"PPTP", gre(0x2001, 0x880b, 1, syn4.Bytes()), forward, filter.ReasonNotTCP},
		{"a bridged frame in GRE", gre(0, 0x6558, 0, syn4.Bytes()), forward, filter.ReasonNotTCP},
		{"GRE cut short", filtertest.IP(47, from4, peer4).Data("\x00\x00\x08").Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"GRE options cut short", filtertest.IP(47, from4, peer4).Data("\xb0\x00\x08\x00\x00\x00").Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"nothing inside", filtertest.IP(4, from4, peer4).Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"no IP packet inside", filtertest.IP(4, from4, peer4).Data("opaque octets of no meaning").Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"an inner length that lies", carry(4, from4, peer4, syn4.Length(100).Bytes()).Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"an inner source route", carry(4, from4, peer4, syn4.IPOptions(131, 7, 4, 1, 2, 3, 4).Bytes()).Bytes(), drop, filter.ReasonTunnelUnreadable},
		{"an inner header cut short", carry(4, from4, peer4, filtertest.IP(6, "10.0.0.1", "203.0.113.25").Data("\x9c\x40\x00\x19").Bytes()).Bytes(), drop, filter.ReasonTruncatedTCP},
		{"an inner tiny fragment", carry(4, from4, peer4, syn4.Cut(8)[0]).Bytes(), drop, filter.ReasonTinyFragment},
		{"an inner overlapping fragment", carry(4, from4, peer4, syn4.Cut(8)[1]).Bytes(), drop, filter.ReasonOverlappingFragment},
		{"to a relay inside", carry(4, from4, peer4, filtertest.TCP("10.0.0.1:40000", "192.0.2.25:25").Bytes()).Bytes(), forward, filter.ReasonRelay},
		{"another port inside", carry(4, from4, peer4, filtertest.TCP("10.0.0.1:40000", "203.0.113.25:587").Bytes()).Bytes(), forward, filter.ReasonOtherPort},
		{"an open connection inside", carry(4, from4, peer4, syn4.Flags(filtertest.ACK).Bytes()).Bytes(), forward, filter.ReasonNotSYN},
		{"UDP inside", carry(4, from4, peer4, filtertest.UDP("10.0.0.1:1", "203.0.113.25:25").Bytes()).Bytes(), forward, filter.ReasonNotTCP},
		{"two levels deep", nested.Bytes(), forward, filter.ReasonNotTCP},
		{"first fragment of the outer packet", long.Cut(600)[0], drop, filter.ReasonTunneledPort},
		{"first fragment that ends in the inner header", long.Cut(24)[0], drop, filter.ReasonTinyFragment},
		{"first fragment that ends in the inner IP header", long.Cut(16)[0], drop, filter.ReasonTunnelUnreadable},
		{"later fragment that reaches into the inner header", long.Cut(40)[1], drop, filter.ReasonOverlappingFragment},
		{"later fragment behind it", long.Cut(600)[1], forward, filter.ReasonLaterFragment},
		{"inner chain that reaches behind the floor", carry(41, from4, peer4, syn6.Chain(filtertest.DestOpts(600)).Data(strings.Repeat("x", 600)).Bytes()).Cut(1000)[0], drop, filter.ReasonChainTooLong},
	}
}

func TestTunnels(t *testing.T) {
	t.Parallel()
	all := plain()
	all.InspectTunnels = filter.Tunnels{IPIP: true, SixInFour: true, GRE: true}
	looks, passes := compile(t, all), compile(t, plain())
	for _, tc := range tunnelCases() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got, want := looks.Decide(out, tc.pkt, filter.ChecksumUnknown), (filter.Verdict{Action: tc.action, Reason: tc.reason}); got != want {
				t.Errorf("looked into: %s %s, want %s %s", got.Action, got.Reason, want.Action, want.Reason)
			}
			if got := passes.Decide(out, tc.pkt, filter.ChecksumUnknown); got.Action != filter.Forward && got.Reason != filter.ReasonOverlappingFragment {
				t.Errorf("not looked into: %s %s, want forward", got.Action, got.Reason)
			}
		})
	}
}

// Each kind is looked into only when asked for.
func TestTunnelsOneByOne(t *testing.T) {
	t.Parallel()
	syn4 := filtertest.TCP("10.0.0.1:40000", "203.0.113.25:25").Bytes()
	syn6 := filtertest.TCP("[fd00::1]:40000", "[2001:db8:cafe::25]:25").Bytes()
	packets := map[string][]byte{
		"ipip": carry(4, "100.64.0.2", "198.51.100.200", syn4).Bytes(),
		"6in4": carry(41, "100.64.0.2", "198.51.100.200", syn6).Bytes(),
		"gre":  filtertest.IP(47, "100.64.0.2", "198.51.100.200").Data(greHeader(0, 0x0800, 0) + string(syn4)).Bytes(),
	}
	for kind, tunnels := range map[string]filter.Tunnels{"ipip": {IPIP: true}, "6in4": {SixInFour: true}, "gre": {GRE: true}} {
		spec := plain()
		spec.InspectTunnels = tunnels
		policy := compile(t, spec)
		for name, pkt := range packets {
			want := filter.Forward
			if name == kind {
				want = filter.Drop
			}
			if got := policy.Decide(out, pkt, filter.ChecksumUnknown); got.Action != want {
				t.Errorf("%s looked into, %s: %s %s", kind, name, got.Action, got.Reason)
			}
		}
	}
}
