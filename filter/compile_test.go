// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// TestCompileRefuses has a mistake per row. All lines of want are in the error.
func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*filter.Spec)
		want   []string
	}{
		{
			"a router address of one link", func(s *filter.Spec) {
				s.Router = []netip.Addr{netip.MustParseAddr("2001:db8::1%eth0")}
			},
			[]string{"compile router address: 2001:db8::1%eth0 is no unicast address"},
		},
		{
			"no port", func(s *filter.Spec) { s.Ports = nil },
			[]string{"compile policy: no port is blocked"},
		},
		{
			"too many pools", func(s *filter.Spec) { s.Pools = make([]filter.Pool, 1<<16+1) },
			[]string{"compile policy: more than 65535 pools or relays"},
		},
		{
			"too many relays", func(s *filter.Spec) { s.Relays = make([]filter.Relay, 1<<16+1) },
			[]string{"compile policy: more than 65535 pools or relays"},
		},
		{
			"no prefix at all", func(s *filter.Spec) { s.Pools[0].Prefixes[0] = netip.Prefix{} },
			[]string{`compile pool "residential": an invalid prefix`},
		},
		{
			"host bits", func(s *filter.Spec) {
				s.Pools[0].Prefixes[0] = netip.MustParsePrefix("100.64.0.1/10")
			},
			[]string{`compile pool "residential": 100.64.0.1/10 has host bits set`},
		},
		{
			"mapped", func(s *filter.Spec) { s.Pools[0].Prefixes[0] = netip.MustParsePrefix("::ffff:100.64.0.0/106") },
			[]string{`compile pool "residential": ::ffff:100.64.0.0/106 is an IPv4-mapped prefix`},
		},
		{
			"in two pools", func(s *filter.Spec) { s.Pools[3].Prefixes = s.Pools[1].Prefixes },
			[]string{
				`compile pool "mobile": 100.65.0.0/24 is in pool "business" already`,
				`compile pool "mobile": 2001:db8:a:65::/64 is in pool "business" already`,
			},
		},
		{
			"twice in one pool", func(s *filter.Spec) { s.Pools[0].Prefixes = prefixes("100.64.0.0/10", "100.64.0.0/10") },
			[]string{`compile pool "residential": 100.64.0.0/10 is in pool "residential" already`},
		},
		{
			"relays have the same checks", func(s *filter.Spec) {
				s.Relays[0].Prefixes = append(prefixes("192.0.2.25/24", "::ffff:192.0.2.25/128"), netip.Prefix{})
			},
			[]string{
				`compile relay "isp-msa": 192.0.2.25/24 has host bits set`,
				`compile relay "isp-msa": an invalid prefix`,
				`compile relay "isp-msa": ::ffff:192.0.2.25/128 is an IPv4-mapped prefix`,
			},
		},
		{
			"everything at once", func(s *filter.Spec) {
				s.Pools[0].Prefixes[0], s.Pools[1].Prefixes[0] = netip.Prefix{}, netip.Prefix{}
				s.Relays[1].Prefixes[0] = netip.Prefix{}
			},
			[]string{
				`compile pool "residential": an invalid prefix`,
				`compile pool "business": an invalid prefix`,
				`compile relay "partner": an invalid prefix`,
			},
		},
		{
			"no port, and more", func(s *filter.Spec) { s.Ports, s.Pools[0].Prefixes[0] = nil, netip.Prefix{} },
			[]string{"no port is blocked", `pool "residential": an invalid prefix`},
		},
		{
			"in two relays", func(s *filter.Spec) { s.Relays[1].Prefixes = s.Relays[0].Prefixes },
			[]string{"192.0.2.25/32", "isp-msa", "partner"},
		},
		{
			"an unknown response", func(s *filter.Spec) { s.Pools[0].Response = filter.RespondNotice + 1 },
			[]string{"residential", "response"},
		},
		{
			"a router address that no packet can match", func(s *filter.Spec) {
				s.Router = append(addresses("::ffff:192.0.2.1", "fe80::1%eth0"), netip.Addr{})
			},
			[]string{"::ffff:192.0.2.1", "fe80::1%eth0", "invalid"},
		},
		{
			"an unknown mode", rules(filter.Rule{Name: "trial", Mode: filter.Monitor + 1, Share: 1}),
			[]string{`compile pool "residential": rule "trial": no such mode: 2`},
		},
		{
			"shares", rules(filter.Rule{Name: "none"}, filter.Rule{Name: "too many", Share: 10001}),
			[]string{
				`compile pool "residential": rule "none": a share of 0 is not from 1 to 10000 hundredths of a percent`,
				`compile pool "residential": rule "too many": a share of 10001 is not`,
			},
		},
		{
			"unknown destinations", rules(filter.Rule{Name: "trial", Share: 1, Destinations: []string{"mobile", "fixed"}}),
			[]string{`rule "trial": there are no destinations "mobile"`, `rule "trial": there are no destinations "fixed"`},
		},
		{
			"rules without a schedule", func(s *filter.Spec) { s.Pools[0].Rules = []filter.Rule{{Share: 1}} },
			[]string{`compile pool "residential": it has rules, and is not scheduled`},
		},
		{
			"static and scheduled", func(s *filter.Spec) { s.Pools[1].Scheduled = true },
			[]string{`compile pool "business": it is static, so that there is nothing to schedule or to monitor`},
		},
		{
			"static and monitored", func(s *filter.Spec) { s.Pools[1].Monitor = true },
			[]string{`compile pool "business": it is static`},
		},
		{
			"static with rules", func(s *filter.Spec) { s.Pools[1].Rules = []filter.Rule{{Share: 1}} },
			[]string{`compile pool "business": it is static`},
		},
		{
			"delegations", func(s *filter.Spec) { s.Pools[0].Delegation, s.Pools[1].Delegation = 47, 65 },
			[]string{
				`compile pool "residential": a delegation of /47 is not from /48 to /64`,
				`compile pool "business": a delegation of /65 is not from /48 to /64`,
			},
		},
		{
			"destinations of the same name", func(s *filter.Spec) { s.Destinations = []filter.Destinations{{Name: "mobile"}, {Name: "mobile"}} },
			[]string{`compile destinations "mobile": there is a group of this name already`},
		},
		{
			"destinations have the checks of pools", func(s *filter.Spec) {
				s.Destinations = []filter.Destinations{{Name: "mobile", Prefixes: append(prefixes("10.0.0.1/8", "11.0.0.0/8", "11.0.0.0/8"), netip.Prefix{})}}
			},
			[]string{
				`compile destinations "mobile": 10.0.0.1/8 has host bits set`,
				`compile destinations "mobile": an invalid prefix`,
				`compile destinations "mobile": 11.0.0.0/8 is in destinations "mobile" already`,
			},
		},
		{
			"a relay for unknown pools", func(s *filter.Spec) { s.Relays[1].Pools = []string{"mobile", "reseller", "other"} },
			[]string{`compile relay "partner": there is no pool "reseller"`, `compile relay "partner": there is no pool "other"`},
		},
		{
			"exemptions in no pool", func(s *filter.Spec) { s.Exemptions = exemptions("10.0.0.0/8", "100.64.0.0/16", "2001:db8:b::/48") },
			[]string{"compile exemption: 10.0.0.0/8 is in no pool", "compile exemption: 2001:db8:b::/48 is in no pool"},
		},
		{
			"exemptions have the checks of pools", func(s *filter.Spec) { s.Exemptions = exemptions("100.64.0.1/10", "::ffff:100.64.0.0/106") },
			[]string{"compile exemption: 100.64.0.1/10 has host bits set", "compile exemption: ::ffff:100.64.0.0/106 is an IPv4-mapped prefix"},
		},
		{
			"too many pools for exemptions", func(s *filter.Spec) {
				s.Pools, s.Exemptions = make([]filter.Pool, 1<<16-1), exemptions("100.64.0.0/16")
			},
			[]string{"compile policy: more than 65535 pools or relays; all exemptions count as a pool"},
		},
		{
			"mistakes of every kind at once", func(s *filter.Spec) {
				rules(filter.Rule{Name: "trial", Destinations: []string{"mobile"}})(s)
				s.Pools[3].Delegation, s.Relays[0].Pools, s.Exemptions = 80, []string{"reseller"}, exemptions("10.0.0.0/8")
				s.Pools[2].Prefixes[0] = netip.Prefix{}
			},
			[]string{"a share of 0", `no destinations "mobile"`, "/80", `no pool "reseller"`, "10.0.0.0/8 is in no pool", "an invalid prefix"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := plain()
			tc.change(&s)
			policy, err := filter.Compile(s)
			if err == nil {
				t.Fatal("compiled")
			}
			if policy != nil {
				t.Error("a policy comes with the error: half of what was asked for, ready to be put in force")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

// rules schedules the first pool.
func rules(all ...filter.Rule) func(*filter.Spec) {
	return func(s *filter.Spec) { s.Pools[0].Scheduled, s.Pools[0].Rules = true, all }
}

func exemptions(list ...string) []filter.Exemption {
	var all []filter.Exemption
	for _, p := range prefixes(list...) {
		all = append(all, filter.Exemption{Prefix: p})
	}
	return all
}

// TestCompileAccepts has what is unusual, and right.
func TestCompileAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*filter.Spec){
		"no pool":               func(s *filter.Spec) { s.Pools = nil },
		"a pool without prefix": func(s *filter.Spec) { s.Pools[0].Prefixes = nil },
		"no relay, no router":   func(s *filter.Spec) { s.Relays, s.Router = nil, nil },
		"a port twice":          func(s *filter.Spec) { s.Ports = []uint16{25, 25} },
		"the whole world":       func(s *filter.Spec) { s.Pools[0].Prefixes = prefixes("0.0.0.0/0", "::/0") },
		"as many as there can be": func(s *filter.Spec) {
			s.Pools, s.Relays = make([]filter.Pool, 1<<16-1), make([]filter.Relay, 1<<16-1)
		},
		"an exemption twice":           func(s *filter.Spec) { s.Exemptions = exemptions("100.64.0.0/16", "100.64.0.0/16") },
		"exemptions in exemptions":     func(s *filter.Spec) { s.Exemptions = exemptions("0.0.0.0/0", "100.0.0.0/8", "100.65.0.0/24") },
		"an exemption in a static one": func(s *filter.Spec) { s.Exemptions = exemptions("100.65.0.0/28") },
		"destinations without prefix, for nobody": func(s *filter.Spec) {
			s.Destinations = []filter.Destinations{{Name: "none"}}
		},
		"scheduled for never":    rules(),
		"delegations at the end": func(s *filter.Spec) { s.Pools[0].Delegation, s.Pools[1].Delegation = 48, 64 },
		"shares at the end":      rules(filter.Rule{Share: 1}, filter.Rule{Share: 10000, Mode: filter.Monitor}),
		"a relay for a static pool, twice": func(s *filter.Spec) {
			s.Relays[0].Pools = []string{"business", "business"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := plain()
			change(&s)
			compile(t, s)
		})
	}
}

// TestLastPool pins that the identifiers do not wrap at the limit.
func TestLastPool(t *testing.T) {
	t.Parallel()
	s := filter.Spec{Ports: []uint16{25}, Pools: make([]filter.Pool, 1<<16-1)}
	s.Pools[0].Static = true
	last := &s.Pools[1<<16-2]
	last.Name, last.Prefixes = "last", prefixes("100.64.0.0/10")
	pkt := filtertest.TCP("100.64.0.2:40000", "203.0.113.25:25").Bytes()
	e := compile(t, s).Explain(filter.Outbound, pkt, filter.ChecksumUnknown)
	if e.Pool != "last" || e.Action != filter.Reset {
		t.Errorf("pool %q, %s", e.Pool, e.Action)
	}
}

// TestSpecIsNotKept changes a spec after it was compiled: a policy is immutable.
func TestSpecIsNotKept(t *testing.T) {
	t.Parallel()
	s := plain()
	policy := compile(t, s)
	explain := func() []filter.Explanation {
		var all []filter.Explanation
		for _, to := range []string{"203.0.113.25:25", "192.0.2.25:25", "100.64.0.1:25"} {
			pkt := filtertest.TCP("100.64.0.2:40000", to).Bytes()
			all = append(all, policy.Explain(filter.Outbound, pkt, filter.ChecksumUnknown))
		}
		return all
	}
	before := explain()
	s.Ports[0] = 26
	s.Pools[0] = filter.Pool{Name: "other", Static: true}
	s.Relays[0].Prefixes[0] = netip.MustParsePrefix("203.0.113.25/32")
	s.Router[0] = netip.MustParseAddr("203.0.113.25")
	if diff := cmp.Diff(before, explain(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("explanations (-before +after):\n%s", diff)
	}
}
