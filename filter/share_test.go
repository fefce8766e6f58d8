// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"testing"

	"op25b/filter"
)

// TestPlaceIsKept has places that must never change: whoever is in the first tenth
// today stays there, whatever version the gateway is of.
func TestPlaceIsKept(t *testing.T) {
	t.Parallel()
	for subscriber, want := range map[string]uint16{
		"0.0.0.0/32":               2817,
		"192.0.2.1/32":             4253,
		"100.64.0.4/32":            117,
		"100.64.2.246/32":          2,
		"198.51.100.255/32":        3871,
		"203.0.113.25/32":          9126,
		"255.255.255.255/32":       6625,
		"::/56":                    8025,
		"2001:db8::/48":            9661,
		"2001:db8:0:100::/56":      9368,
		"2001:db8:ffff:ff00::/56":  7990,
		"2001:db8:0:1::/64":        8160,
		"c000:201::/32":            6501,
		"ffff:ffff:ffff:ffff::/64": 9254,
		// The first address counts, and the rest does not.
		"2001:db8::1:2:3/48": 9661,
		"2001:db8::/52":      9661,
	} {
		if got := filter.Place(netip.MustParsePrefix(subscriber)); got != want {
			t.Errorf("%s: %d, want %d", subscriber, got, want)
		}
	}
}

// TestPlacesAreSpread counts subscribers of neighbouring prefixes by place. Each
// hundredth part must get its share: chi-square with 99 degrees of freedom is above
// 149 once in a thousand times, and it is the same each time that the test runs.
func TestPlacesAreSpread(t *testing.T) {
	t.Parallel()
	const (
		subscribers = 100_000
		parts       = 100
		most        = 149
	)
	for _, first := range []string{"10.0.0.0/32", "100.64.0.0/32", "2001:db8::/48", "2001:db8::/56", "2001:db8::/60", "2001:db8::/64"} {
		count := make([]float64, parts)
		p := netip.MustParsePrefix(first)
		for a, i := p.Addr(), 0; i < subscribers; i++ {
			count[filter.Place(netip.PrefixFrom(a, p.Bits()))/(filter.Everyone/parts)]++
			a = after(netip.PrefixFrom(a, p.Bits()))
		}
		var chi float64
		for _, n := range count {
			const expected = subscribers / parts
			chi += (n - expected) * (n - expected) / expected
		}
		if chi > most {
			t.Errorf("from %s on: chi-square is %.0f, above %d", first, chi, most)
		}
	}
}

// after returns the first address behind a prefix.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i, add := (p.Bits()-1)/8, 1<<(7-(p.Bits()-1)%8); i >= 0 && add > 0; i-- {
		add += int(b[i])
		b[i], add = byte(add), add>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// TestSharesGrow lets the share of a rule grow: nobody who was refused is let off,
// and each share takes in so many of the subscribers, give or take one in a hundred.
func TestSharesGrow(t *testing.T) {
	t.Parallel()
	const subscribers = 20_000
	var before map[netip.Addr]bool
	for _, share := range []uint16{1, 100, 1000, 2500, 5000, 9999, filter.Everyone} {
		s := plain()
		s.Pools[0].Scheduled = true
		s.Pools[0].Rules = []filter.Rule{{Name: "all", Share: share}}
		policy := compile(t, s)
		refused := map[netip.Addr]bool{}
		for a, i := netip.MustParseAddr("100.72.0.0"), 0; i < subscribers; i++ {
			pkt := filter.Probe(netip.AddrPortFrom(a, 1), netip.MustParseAddrPort("203.0.113.25:25"))
			if policy.Decide(filter.Outbound, pkt, filter.ChecksumUnknown).Action == filter.Reset {
				refused[a] = true
			}
			a = a.Next()
		}
		for a := range before {
			if !refused[a] {
				t.Errorf("share %d: %s was refused before, and is not now", share, a)
			}
		}
		want := subscribers * int(share) / filter.Everyone
		if off := len(refused) - want; off < -subscribers/100 || off > subscribers/100 {
			t.Errorf("share %d: %d refused, want about %d", share, len(refused), want)
		}
		before = refused
	}
	if len(before) != subscribers {
		t.Errorf("everyone: %d refused, want %d", len(before), subscribers)
	}
}

// TestShareEnds has the subscriber at place 2, who is taken in by the share of 3.
func TestShareEnds(t *testing.T) {
	t.Parallel()
	for share, want := range map[uint16]filter.Verdict{
		2: {Action: filter.Forward, Reason: filter.ReasonNotInForce},
		3: {Action: filter.Reset, Reason: filter.ReasonBlockedPort},
	} {
		s := plain()
		s.Pools[0].Scheduled, s.Pools[0].Rules = true, []filter.Rule{{Share: share}}
		pkt := filter.Probe(netip.MustParseAddrPort("100.64.2.246:1"), netip.MustParseAddrPort("203.0.113.25:25"))
		if got := compile(t, s).Decide(filter.Outbound, pkt, filter.ChecksumUnknown); got != want {
			t.Errorf("share %d: %s %s, want %s %s", share, got.Action, got.Reason, want.Action, want.Reason)
		}
	}
}

// TestDelegation asks for subscribers at both ends of what is delegated to them.
func TestDelegation(t *testing.T) {
	t.Parallel()
	for delegation, want := range map[int]string{
		0: "2001:db8:a:1200::/56", 48: "2001:db8:a::/48", 52: "2001:db8:a:1000::/52", 60: "2001:db8:a:1230::/60", 64: "2001:db8:a:1234::/64",
	} {
		s := plain()
		s.Pools[0].Delegation = delegation
		pkt := filter.Probe(netip.MustParseAddrPort("[2001:db8:a:1234:5678:9abc:def0:1234]:1"), netip.MustParseAddrPort("[2001:db8:ffff::25]:25"))
		if got := compile(t, s).Explain(filter.Outbound, pkt, filter.ChecksumUnknown).Delegated; got.String() != want {
			t.Errorf("/%d: %s, want %s", delegation, got, want)
		}
	}
}
