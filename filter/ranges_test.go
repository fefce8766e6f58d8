// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	"op25b/filter"
)

// TestRefused resolves nested pools by hand.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		spec filter.Spec
		want []string
	}{
		{"nothing", filter.Spec{Ports: []uint16{25}}, nil},
		{"only dynamic sources, static ones cut out, dynamic ones put back", open(), []string{
			"100.64.0.0-100.64.255.255", "100.65.0.128-100.66.0.8", "100.66.0.10-100.127.255.255",
			"2001:db8:a::-2001:db8:a:64:ffff:ffff:ffff:ffff",
			"2001:db8:a:65:8000::-2001:db8:a:66::8",
			"2001:db8:a:66::a-2001:db8:a:ffff:ffff:ffff:ffff:ffff",
		}},
		{"all but static sources", plain(), []string{
			"0.0.0.0-100.64.255.255", "100.65.0.128-100.66.0.8", "100.66.0.10-255.255.255.255",
			"::-2001:db8:a:64:ffff:ffff:ffff:ffff",
			"2001:db8:a:65:8000::-2001:db8:a:66::8",
			"2001:db8:a:66::a-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, ranges(compile(t, tc.spec).Refused())); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedWith divides what is refused by the answer: nothing is in two parts, and
// together they are what Refused returns.
func TestRefusedWith(t *testing.T) {
	t.Parallel()
	for _, validate := range []bool{false, true} {
		spec := filter.Spec{Ports: []uint16{25}, ValidateSource: validate, Pools: []filter.Pool{
			{Name: "a", Prefixes: prefixes("10.0.0.0/8", "2001:db8::/32")},
			{Name: "b", Prefixes: prefixes("10.1.0.0/16"), Response: filter.RespondProhibited},
			{Name: "c", Prefixes: prefixes("10.1.2.0/24", "10.2.0.0/16"), Response: filter.RespondDrop},
			{Name: "d", Prefixes: prefixes("10.1.2.128/25", "2001:db8:1::/48"), Static: true},
		}}
		policy := compile(t, spec)
		var union netipx.IPSetBuilder
		want := map[filter.Response][]string{
			filter.RespondReset: {
				"10.0.0.0-10.0.255.255", "10.3.0.0-10.255.255.255",
				"2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
			},
			filter.RespondProhibited: {"10.1.0.0-10.1.1.255", "10.1.3.0-10.1.255.255"},
			filter.RespondDrop:       {"10.1.2.0-10.1.2.127", "10.2.0.0-10.2.255.255"},
		}
		if validate {
			want[filter.RespondDrop] = []string{
				"0.0.0.0-9.255.255.255", "10.1.2.0-10.1.2.127", "10.2.0.0-10.2.255.255", "11.0.0.0-255.255.255.255",
				"::-2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			}
		}
		for r, want := range want {
			got := policy.RefusedWith(r)
			if diff := cmp.Diff(want, ranges(got)); diff != "" {
				t.Errorf("source validation %t, response %d (-want +got):\n%s", validate, r, diff)
			}
			for _, part := range got {
				union.AddRange(part)
			}
		}
		set, err := union.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ranges(set.Ranges()), ranges(policy.Refused())); diff != "" {
			t.Errorf("source validation %t: the parts are not the whole (-parts +whole):\n%s", validate, diff)
		}
	}
}

// TestPartly divides sources by how much they are refused: everything, a part, or
// nothing.
func TestPartly(t *testing.T) {
	t.Parallel()
	rule := func(mode filter.Mode, share uint16, destinations ...string) filter.Rule {
		return filter.Rule{Mode: mode, Share: share, Destinations: destinations}
	}
	pool := func(prefix string, rules ...filter.Rule) filter.Pool {
		return filter.Pool{Name: prefix, Prefixes: prefixes(prefix), Scheduled: true, Rules: rules}
	}
	monitored := pool("10.8.0.0/16", rule(filter.Refuse, 10000))
	monitored.Monitor = true
	spec := filter.Spec{
		Ports:        []uint16{25},
		Destinations: []filter.Destinations{{Name: "mobile", Prefixes: prefixes("203.0.113.0/24")}},
		Pools: []filter.Pool{
			{Name: "everything", Prefixes: prefixes("10.0.0.0/16")},
			pool("10.2.0.0/16", rule(filter.Refuse, 10000)),
			pool("10.3.0.0/16", rule(filter.Monitor, 10000), rule(filter.Refuse, 1), rule(filter.Refuse, 10000)),
			pool("10.4.0.0/16", rule(filter.Refuse, 9999)),
			pool("10.5.0.0/16", rule(filter.Monitor, 10000), rule(filter.Refuse, 10000, "mobile")),
			pool("10.6.0.0/16", rule(filter.Monitor, 10000)),
			pool("10.7.0.0/16"),
			monitored,
			{Name: "only monitored", Prefixes: prefixes("10.9.0.0/16"), Monitor: true},
			{Name: "static", Prefixes: prefixes("10.10.0.0/16"), Static: true},
		},
		Exemptions: exemptions("10.0.1.0/24", "10.4.0.0/24"),
	}
	policy := compile(t, spec)
	if diff := cmp.Diff([]string{"10.0.0.0-10.0.0.255", "10.0.2.0-10.0.255.255", "10.2.0.0-10.3.255.255"}, ranges(policy.Refused())); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ranges(policy.Refused()), ranges(policy.RefusedWith(filter.RespondReset))); diff != "" {
		t.Errorf("refused with a reset (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.4.1.0-10.5.255.255"}, ranges(policy.Partly())); diff != "" {
		t.Errorf("refused in part (-want +got):\n%s", diff)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	want := []string{
		"192.0.2.25-192.0.2.25", "198.51.100.0-198.51.100.15",
		"2001:db8:25::25-2001:db8:25::25", "2001:db8:26::-2001:db8:26:0:ffff:ffff:ffff:ffff",
	}
	if diff := cmp.Diff(want, ranges(compile(t, plain()).Reachable())); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

// TestRangesTouch joins what lies side by side, whatever pool it is of, up to the
// last address.
func TestRangesTouch(t *testing.T) {
	t.Parallel()
	spec := filter.Spec{Ports: []uint16{25}, Pools: []filter.Pool{
		{Name: "a", Prefixes: prefixes("10.0.0.0/9", "255.0.0.0/8", "2001:db8::/33")},
		{Name: "b", Prefixes: prefixes("10.128.0.0/9", "254.0.0.0/8", "2001:db8:8000::/33", "ff00::/8")},
		{Name: "c", Prefixes: prefixes("0.0.0.0/8", "::/128"), Static: true},
	}}
	want := []string{
		"10.0.0.0-10.255.255.255", "254.0.0.0-255.255.255.255",
		"2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	}
	if diff := cmp.Diff(want, ranges(compile(t, spec).Refused())); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func ranges(all []netipx.IPRange) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.String())
	}
	return out
}

// holds reports whether one of the ranges has the address.
func holds(all []netipx.IPRange, a netip.Addr) bool {
	return slices.ContainsFunc(all, func(r netipx.IPRange) bool { return r.Contains(a) })
}
