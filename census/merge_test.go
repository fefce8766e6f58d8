// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"slices"
	"testing"
	"time"
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

// TestShortenTop adds up what becomes the same network, and loses no outcome by it.
func TestShortenTop(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	of := func(prefix string, port uint16, outcome Outcome, attempts uint64, minute int) Destination {
		at := noon.Add(time.Duration(minute) * time.Minute)
		return Destination{Prefix: netip.MustParsePrefix(prefix), Port: port, Outcome: outcome, Attempts: attempts, Packets: 2 * attempts, First: at, Last: at}
	}
	given := []Destination{
		of("203.0.113.25/32", 25, Refused, 5, 7), of("203.0.113.26/32", 25, Refused, 4, 3), of("203.0.113.27/32", 25, Relayed, 3, 1),
		of("203.0.113.28/32", 2525, Refused, 2, 1), of("198.51.100.1/32", 25, Refused, 1, 1),
	}
	before := slices.Clone(given)
	both := of("203.0.113.0/24", 25, Refused, 9, 7)
	both.First = noon.Add(3 * time.Minute)
	want := []Destination{both, of("203.0.113.0/24", 25, Relayed, 3, 1), of("203.0.113.0/24", 2525, Refused, 2, 1)}
	got := ShortenTop(given, func(addr netip.Addr) netip.Prefix {
		if addr == netip.MustParseAddr("198.51.100.1") {
			return netip.Prefix{}
		}
		return netip.PrefixFrom(addr, 24).Masked()
	})
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !slices.Equal(given, before) {
		t.Error("what is only to be read was changed", given)
	}
}
