// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/filter"
)

func diffSpec(dynamic, static []string, change func(*filter.Spec)) filter.Spec {
	s := filter.Spec{
		Ports:  []uint16{25},
		Relays: []filter.Relay{{Name: "msa", Prefixes: prefixes("192.0.2.25/32")}},
		Pools: []filter.Pool{
			{Name: "dynamic", Prefixes: prefixes(dynamic...)},
			{Name: "static", Prefixes: prefixes(static...), Static: true},
		},
	}
	if change != nil {
		change(&s)
	}
	return s
}

func TestDiffPolicies(t *testing.T) {
	t.Parallel()
	old := diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"}, []string{"10.2.0.0/16", "2001:db8:1::/48"}, nil)
	for name, tc := range map[string]struct {
		next filter.Spec
		want filter.Diff
	}{
		"nothing": {old, filter.Diff{}},
		"order": {
			diffSpec([]string{"2001:db8::/32", "10.1.0.0/16", "10.0.0.0/8"}, []string{"2001:db8:1::/48", "10.2.0.0/16"}, nil),
			filter.Diff{},
		},
		"become": {
			diffSpec([]string{"10.0.0.0/8", "10.2.0.0/16", "2001:db8::/32", "2001:db8:1::/48"}, []string{"10.1.0.0/16"}, nil),
			filter.Diff{
				BecomeDynamic: 2, BecomeStatic: 1,
				Refused: filter.Amount{IPv4: 1 << 16, IPv6: 1 << 16}, Freed: filter.Amount{IPv4: 1 << 16},
			},
		},
		"added and removed": {
			diffSpec([]string{"10.0.0.0/8", "10.0.0.0/9", "2001:db8::/32"}, []string{"10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"}, nil),
			filter.Diff{
				AddedDynamic: 1, AddedStatic: 2, RemovedDynamic: 1, RemovedStatic: 1,
				Refused: filter.Amount{IPv6: 1 << 16}, Freed: filter.Amount{IPv4: 2 << 16},
			},
		},
		"everything gone": {diffSpec(nil, nil, nil), filter.Diff{
			RemovedDynamic: 3, RemovedStatic: 2, Freed: filter.Amount{IPv4: 1<<24 - 1<<16, IPv6: 1<<32 - 1<<16},
		}},
		"another answer": {
			diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"}, []string{"10.2.0.0/16", "2001:db8:1::/48"},
				func(s *filter.Spec) { s.Pools[0].Response = filter.RespondDrop }),
			filter.Diff{Answered: 3},
		},
		"relays and ports": {
			diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"}, []string{"10.2.0.0/16", "2001:db8:1::/48"},
				func(s *filter.Spec) {
					s.Relays[0].Prefixes = prefixes("192.0.2.26/32", "2001:db8:25::25/128")
					s.Ports = []uint16{26, 65535, 0}
				}),
			filter.Diff{AddedRelays: 2, RemovedRelays: 1, AddedPorts: []uint16{0, 26, 65535}, RemovedPorts: []uint16{25}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := filter.DiffPolicies(compile(t, old), compile(t, tc.next))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// Backwards, what was added is removed.
			back := filter.DiffPolicies(compile(t, tc.next), compile(t, old))
			if back.AddedDynamic != got.RemovedDynamic || back.RemovedStatic != got.AddedStatic || back.BecomeStatic != got.BecomeDynamic ||
				back.AddedRelays != got.RemovedRelays || back.Refused != got.Freed || back.Freed != got.Refused || !slices.Equal(back.AddedPorts, got.RemovedPorts) {
				t.Errorf("backwards: %+v", back)
			}
		})
	}
}

// TestDiffRollout has what a rollout changes in the same prefixes, and the
// reverse.
func TestDiffRollout(t *testing.T) {
	t.Parallel()
	spec := func(change func(*filter.Spec)) filter.Spec {
		return diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16"}, []string{"10.2.0.0/16"}, change)
	}
	scheduled := func(rules ...filter.Rule) filter.Spec {
		return spec(func(s *filter.Spec) {
			s.Destinations = []filter.Destinations{{Name: "mobile", Prefixes: prefixes("203.0.113.0/24")}, {Name: "fixed", Prefixes: prefixes("198.51.100.0/24")}}
			s.Pools[0].Scheduled, s.Pools[0].Rules = true, rules
		})
	}
	exempt := func(list ...string) filter.Spec {
		return spec(func(s *filter.Spec) { s.Exemptions = exemptions(list...) })
	}
	relay := func(pools ...string) filter.Spec {
		return spec(func(s *filter.Spec) { s.Relays[0].Pools = pools })
	}
	delegating := func(delegation int) filter.Spec {
		return spec(func(s *filter.Spec) { s.Pools[0].Delegation = delegation })
	}
	other := scheduled(filter.Rule{Share: 1, Destinations: []string{"mobile"}})
	other.Destinations[0].Prefixes = prefixes("203.0.113.0/25")
	all := filter.Amount{IPv4: 1<<24 - 1<<16}
	for name, tc := range map[string]struct {
		old, next filter.Spec
		want      filter.Diff
	}{
		"a phase for all begins":    {scheduled(), scheduled(filter.Rule{Share: 10000}), filter.Diff{Rescheduled: 2, Refused: all}},
		"a phase for some begins":   {scheduled(), scheduled(filter.Rule{Share: 9999}), filter.Diff{Rescheduled: 2}},
		"a rollout ends everything": {spec(nil), scheduled(), filter.Diff{Rescheduled: 2, Freed: all}},
		"another name": {
			scheduled(filter.Rule{Name: "a", Share: 1, Destinations: []string{"mobile"}}),
			scheduled(filter.Rule{Name: "b", Share: 1, Destinations: []string{"mobile"}}), filter.Diff{},
		},
		"another share": {scheduled(filter.Rule{Share: 1}), scheduled(filter.Rule{Share: 2}), filter.Diff{Rescheduled: 2}},
		"another mode": {
			scheduled(filter.Rule{Share: 1}), scheduled(filter.Rule{Share: 1, Mode: filter.Monitor}), filter.Diff{Rescheduled: 2},
		},
		"other destinations": {
			scheduled(filter.Rule{Share: 1, Destinations: []string{"mobile"}}),
			scheduled(filter.Rule{Share: 1, Destinations: []string{"fixed"}}), filter.Diff{Rescheduled: 2},
		},
		"every destination": {
			scheduled(filter.Rule{Share: 1, Destinations: []string{"mobile"}}), scheduled(filter.Rule{Share: 1}), filter.Diff{Rescheduled: 2},
		},
		"the same group of other destinations": {
			scheduled(filter.Rule{Share: 1, Destinations: []string{"mobile"}}), other, filter.Diff{Rescheduled: 2},
		},
		"another delegation":      {delegating(56), delegating(60), filter.Diff{Rescheduled: 2}},
		"the delegation as it is": {delegating(0), delegating(56), filter.Diff{}},
		"exempt within a pool":    {exempt(), exempt("10.3.0.0/24"), filter.Diff{AddedExempt: 1, Freed: filter.Amount{IPv4: 256}}},
		"exempt, a pool's prefix": {exempt(), exempt("10.1.0.0/16"), filter.Diff{AddedExempt: 1, Freed: filter.Amount{IPv4: 1 << 16}}},
		"exempt, all":             {exempt(), exempt("0.0.0.0/0"), filter.Diff{AddedExempt: 1, Freed: all}},
		"exempt, static":          {exempt(), exempt("10.2.0.0/24"), filter.Diff{AddedExempt: 1}},
		"another exemption": {
			exempt("10.3.0.0/24", "10.4.0.0/24", "10.4.0.0/24"), exempt("10.5.0.0/24", "10.4.0.0/24"),
			filter.Diff{AddedExempt: 1, RemovedExempt: 1, Refused: filter.Amount{IPv4: 256}, Freed: filter.Amount{IPv4: 256}},
		},
		"a relay for some":      {relay(), relay("dynamic"), filter.Diff{ChangedRelays: 1}},
		"a relay for others":    {relay("static"), relay("dynamic"), filter.Diff{ChangedRelays: 1}},
		"a relay for the same":  {relay("static", "dynamic"), relay("dynamic", "static", "static"), filter.Diff{}},
		"a relay, none and all": {relay("static"), relay(), filter.Diff{ChangedRelays: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := filter.DiffPolicies(compile(t, tc.old), compile(t, tc.next))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			back := tc.want
			back.Refused, back.Freed = back.Freed, back.Refused
			back.AddedExempt, back.RemovedExempt = back.RemovedExempt, back.AddedExempt
			if diff := cmp.Diff(back, filter.DiffPolicies(compile(t, tc.next), compile(t, tc.old))); diff != "" {
				t.Errorf("backwards (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec filter.Spec
		want filter.Size
	}{
		"none":         {diffSpec(nil, []string{"10.0.0.0/8"}, nil), filter.Size{Prefixes: 1}},
		"one address":  {diffSpec([]string{"10.0.0.1/32"}, nil, nil), filter.Size{Prefixes: 1, DynamicPrefixes: 1, Refused: filter.Amount{IPv4: 1}}},
		"a hole":       {diffSpec([]string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}, nil), filter.Size{Prefixes: 2, DynamicPrefixes: 1, Refused: filter.Amount{IPv4: 1<<24 - 1<<16}}},
		"nested alike": {diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16"}, nil, nil), filter.Size{Prefixes: 2, DynamicPrefixes: 2, Refused: filter.Amount{IPv4: 1 << 24}}},
		"all IPv4":     {diffSpec([]string{"0.0.0.0/0"}, nil, nil), filter.Size{Prefixes: 1, DynamicPrefixes: 1, Refused: filter.Amount{IPv4: 1 << 32}}},
		"IPv6":         {diffSpec([]string{"2001:db8::/48"}, []string{"2001:db8:0:1::/64"}, nil), filter.Size{Prefixes: 2, DynamicPrefixes: 1, Refused: filter.Amount{IPv6: 1<<16 - 1}}},
		"exempt": {
			diffSpec([]string{"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"}, []string{"10.3.0.0/16"}, func(s *filter.Spec) {
				s.Exemptions = exemptions("10.0.0.0/24", "10.1.0.0/16", "10.2.0.0/15")
			}),
			filter.Size{Prefixes: 4, DynamicPrefixes: 3, Refused: filter.Amount{IPv4: 1<<24 - 3<<16 - 256}},
		},
		"refused in part": {
			diffSpec([]string{"10.0.0.0/8"}, nil, func(s *filter.Spec) {
				s.Pools[0].Scheduled, s.Pools[0].Rules = true, []filter.Rule{{Share: 9999}}
			}),
			filter.Size{Prefixes: 1, DynamicPrefixes: 1},
		},
		"half a /64": {diffSpec([]string{"2001:db8::/65"}, nil, nil), filter.Size{Prefixes: 1, DynamicPrefixes: 1, Refused: filter.Amount{IPv6: 0.5}}},
	} {
		got := compile(t, tc.spec).Size()
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, b) }
		if got.Prefixes != tc.want.Prefixes || got.DynamicPrefixes != tc.want.DynamicPrefixes ||
			!near(got.Refused.IPv4, tc.want.Refused.IPv4) || !near(got.Refused.IPv6, tc.want.Refused.IPv6) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
