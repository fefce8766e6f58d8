// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"strings"
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
		{"nothing", filter.Spec{}, nil},
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
			set, err := tc.spec.Refused()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, ranges(set)); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	spec := plain()
	set, err := spec.Reachable()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"192.0.2.25-192.0.2.25", "198.51.100.0-198.51.100.15",
		"2001:db8:25::25-2001:db8:25::25", "2001:db8:26::-2001:db8:26:0:ffff:ffff:ffff:ffff",
	}
	if diff := cmp.Diff(want, ranges(set)); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

// TestRangesRefuse pins that a spec that nobody has compiled does not make half
// a guard.
func TestRangesRefuse(t *testing.T) {
	t.Parallel()
	spec := plain()
	spec.Pools[0].Prefixes[0], spec.Relays[0].Prefixes[0] = netip.Prefix{}, netip.Prefix{}
	for name, resolve := range map[string]func() (*netipx.IPSet, error){"refused": spec.Refused, "reachable": spec.Reachable} {
		set, err := resolve()
		if set != nil || err == nil || !strings.HasPrefix(err.Error(), "build address set: ") {
			t.Errorf("%s: %v, error %v", name, set, err)
		}
	}
}

func ranges(set *netipx.IPSet) []string {
	var out []string
	for _, r := range set.Ranges() {
		out = append(out, r.String())
	}
	return out
}
