// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"slices"
	"testing"
)

// TestMergeDestinations has what follows from the names, and how far.
func TestMergeDestinations(t *testing.T) {
	t.Parallel()
	const mx, other = "203.0.113.25/32", "203.0.113.26/32"
	of := func(n uint64, top ...string) (r Record) {
		r.Destinations = n
		for _, p := range top {
			r.Top = append(r.Top, Destination{Prefix: netip.MustParsePrefix(p), Port: 25})
		}
		return r
	}
	for name, test := range map[string]struct {
		a, b      Record
		want      uint64
		estimated bool
	}{
		"the same":                 {of(1, mx), of(1, mx), 1, false},
		"different":                {of(1, mx), of(1, other), 2, false},
		"one of two":               {of(2, mx, other), of(1, other), 2, false},
		"none on one side":         {of(0), of(500, mx), 500, false},
		"not all named, none both": {of(100, mx), of(300, other), 400, true},
		"not all named, all both":  {of(100, mx, other), of(300, other, mx), 300, true},
		"not all named, half":      {of(100, mx, other), of(300, other, "192.0.2.1/32"), 350, true},
		"nobody named":             {of(3), of(2), 3, true},
		"networks":                 {of(1, "203.0.113.0/24"), of(1, "203.0.113.0/24"), 1, true},
	} {
		for range 2 {
			got := test.a
			got.Merge(&test.b)
			if got.Destinations != test.want || got.Estimated != test.estimated {
				t.Errorf("%s: %d %v", name, got.Destinations, got.Estimated)
			}
			test.a, test.b = test.b, test.a
		}
	}
	r, more := of(1, mx), of(1, mx)
	r.Estimated = true
	r.Merge(&more)
	if !r.Estimated {
		t.Error("an estimate became exact")
	}
	r.Top = nil
	for i := range MostTop {
		r.Top = append(r.Top, Destination{Prefix: netip.MustParsePrefix(other), Port: uint16(i), Attempts: 2})
	}
	r.Merge(&more)
	if len(r.Top) != MostTop || slices.ContainsFunc(r.Top, func(d Destination) bool { return d.Attempts < 2 }) {
		t.Error(r.Top)
	}
}
