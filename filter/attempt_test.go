// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

func TestOpening(t *testing.T) {
	t.Parallel()
	p := compile(t, plain())
	const from4, to4, from6, to6 = "100.64.0.2:40000", "203.0.113.25:25", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25"
	addr := netip.MustParseAddr
	for _, tc := range []struct {
		name string
		pkt  []byte
		want filter.Opening // zero: none
	}{
		{"IPv4", ft.TCP(from4, to4).Bytes(), filter.Opening{addr("100.64.0.2"), addr("203.0.113.25"), 25}},
		{"IPv6", ft.TCP(from6, to6).Bytes(), filter.Opening{addr("2001:db8:a::2"), addr("2001:db8:ffff::25"), 25}},
		{"behind an extension header", ft.TCP(from6, to6).Chain(ft.DestOpts(8)).Bytes(),
			filter.Opening{addr("2001:db8:a::2"), addr("2001:db8:ffff::25"), 25}},
		{"with ECN", ft.TCP(from4, to4).Flags(ft.SYN | ft.ECE | ft.CWR).Bytes(), filter.Opening{addr("100.64.0.2"), addr("203.0.113.25"), 25}},
		{"a segment of a connection", ft.TCP(from4, to4).Flags(ft.ACK).Bytes(), filter.Opening{}},
		{"an answer", ft.TCP(from4, to4).Flags(ft.SYN | ft.ACK).Bytes(), filter.Opening{}},
		{"another port", ft.TCP(from4, "203.0.113.25:587").Bytes(), filter.Opening{}},
		{"UDP", ft.UDP(from4, to4).Bytes(), filter.Opening{}},
		{"cut off", ft.TCP(from4, to4).Bytes()[:30], filter.Opening{}},
		{"no TCP header", ft.TCP(from4, to4).Length(30).Bytes(), filter.Opening{}},
		{"a chain that lies", ft.TCP(from6, to6).Chain(ft.DestOpts(8), ft.HopByHop(8)).Bytes(), filter.Opening{}},
		{"a later fragment", ft.TCP(from4, to4).Data("0123456789abcdef").Cut(24)[1], filter.Opening{}},
		{"nothing", nil, filter.Opening{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := p.Opening(tc.pkt)
			if got != tc.want || ok != (tc.want != filter.Opening{}) {
				t.Errorf("got %v, %v, want %v", got, ok, tc.want)
			}
		})
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	p := compile(t, plain())
	addr := netip.MustParseAddr
	const server4, server6 = "203.0.113.25:25", "[2001:db8:ffff::25]:25"
	for _, tc := range []struct {
		name string
		pkt  []byte
		want filter.Reply // zero: none
	}{
		{"an answer", ft.TCP(server4, "100.64.0.2:40000").Flags(ft.SYN | ft.ACK).Bytes(),
			filter.Reply{addr("100.64.0.2"), addr("203.0.113.25"), header.TCPFlagSyn | header.TCPFlagAck}},
		{"data", ft.TCP(server6, "[2001:db8:a::2]:40000").Flags(ft.ACK).Data("220").Bytes(),
			filter.Reply{addr("2001:db8:a::2"), addr("2001:db8:ffff::25"), header.TCPFlagAck}},
		{"behind IPv4 options", ft.TCP(server4, "100.64.0.2:40000").Flags(ft.RST).IPOptions(1, 1, 1, 1).Bytes(),
			filter.Reply{addr("100.64.0.2"), addr("203.0.113.25"), header.TCPFlagRst}},
		{"somebody calls", ft.TCP(server4, "100.64.0.2:40000").Bytes(), filter.Reply{}},
		{"to a static one", ft.TCP(server4, "100.66.0.9:1").Flags(ft.ACK).Bytes(), filter.Reply{}},
		{"to nobody's", ft.TCP(server4, "198.51.100.77:1").Flags(ft.ACK).Bytes(), filter.Reply{}},
		{"from another port", ft.TCP("203.0.113.25:80", "100.64.0.2:1").Flags(ft.ACK).Bytes(), filter.Reply{}},
		{"UDP", ft.UDP(server4, "100.64.0.2:1").Bytes(), filter.Reply{}},
		{"UDP over IPv6", ft.UDP(server6, "[2001:db8:a::2]:1").Bytes(), filter.Reply{}},
		{"a later fragment", ft.TCP(server4, "100.64.0.2:1").Flags(ft.ACK).Data("0123456789abcdef0123456789").Cut(24)[1], filter.Reply{}},
		{"cut off", ft.TCP(server4, "100.64.0.2:1").Flags(ft.ACK).Bytes()[:38], filter.Reply{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := p.Reply(tc.pkt)
			if got != tc.want || ok != (tc.want != filter.Reply{}) {
				t.Errorf("got %v, %v, want %v", got, ok, tc.want)
			}
		})
	}
}

func TestSubscriber(t *testing.T) {
	t.Parallel()
	spec := plain()
	spec.Exemptions = []filter.Exemption{{Prefix: netip.MustParsePrefix("100.64.0.8/30")}}
	p := compile(t, spec)
	for addr, want := range map[string]filter.Subscriber{
		"100.64.0.2":        {Pool: "residential", Prefix: netip.MustParsePrefix("100.64.0.2/32")},
		"100.64.0.9":        {Pool: "residential", Prefix: netip.MustParsePrefix("100.64.0.9/32"), Exempt: true},
		"100.66.0.9":        {Pool: "monitor", Prefix: netip.MustParsePrefix("100.66.0.9/32"), Static: true},
		"2001:db8:a:1:2::3": {Pool: "residential", Prefix: netip.MustParsePrefix("2001:db8:a::/56")},
		"198.51.100.77":     {},
	} {
		got, ok := p.Subscriber(netip.MustParseAddr(addr))
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || ok != (want.Pool != "") {
			t.Errorf("%s: %v (-want +got):\n%s", addr, ok, diff)
		}
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	spec := plain()
	if compile(t, spec).Notices(netip.MustParseAddr("100.64.0.2")) {
		t.Error("a notice where no pool has one")
	}
	spec.Pools[0].Response = filter.RespondNotice
	spec.Exemptions = []filter.Exemption{{Prefix: netip.MustParsePrefix("100.64.0.8/30")}}
	p := compile(t, spec)
	for addr, want := range map[string]bool{
		"100.64.0.2": true, "2001:db8:a::1": true,
		"100.64.0.9": false, // exempt
		"100.66.0.2": false, "198.51.100.77": false,
	} {
		if got := p.Notices(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	pkt := ft.TCP("100.64.0.2:40000", "203.0.113.25:25").Bytes()
	e := p.Explain(out, pkt, filter.ChecksumUnknown)
	if e.Action != filter.Reset || !e.Notice {
		t.Errorf("%s, notice %v: want a reset with a notice", e.Action, e.Notice)
	}
	if d := filter.DiffPolicies(compile(t, plain()), compile(t, spec)); d.Answered == 0 {
		t.Errorf("the other answer is no change: %+v", d)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	p := compile(t, plain())
	syn := ft.TCP("100.64.0.2:40000", "203.0.113.25:25").Bytes()
	reply := ft.TCP("203.0.113.25:25", "100.64.0.2:40000").Flags(ft.ACK).Bytes()
	if n := testing.AllocsPerRun(100, func() {
		p.Opening(syn)
		p.Reply(reply)
		p.Notices(netip.AddrFrom4([4]byte{100, 64, 0, 2}))
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
