// SPDX-License-Identifier: Apache-2.0

package population

import (
	"net/netip"
	"slices"

	"op25b/census"
)

// Privacy is how much of destinations records keep.
type Privacy string

// What records keep.
const (
	Full      Privacy = "full"      // addresses
	Truncated Privacy = "truncated" // a /24 or /48
	Absent    Privacy = "absent"    // nothing
)

// Apply returns records as they are kept, and leaves those given alone.
func (p Privacy) Apply(records []census.Record) []census.Record {
	kept := slices.Clone(records)
	for i := range kept {
		switch p {
		case Truncated:
			kept[i].Top = truncate(kept[i].Top)
		case Absent:
			kept[i].Top = nil
		case Full:
		}
	}
	return kept
}

// truncate shortens addresses. What becomes the same is one destination then.
func truncate(top []census.Destination) []census.Destination {
	var short []census.Destination
	at := map[netip.Prefix]int{}
	for _, d := range top {
		length := 24
		if d.Prefix.Addr().Is6() {
			length = 48
		}
		d.Prefix = netip.PrefixFrom(d.Prefix.Addr(), length).Masked()
		i, ok := at[d.Prefix]
		if !ok {
			at[d.Prefix] = len(short)
			short = append(short, d)
			continue
		}
		short[i].Add(d)
	}
	slices.SortStableFunc(short, func(a, b census.Destination) int { return int(b.Attempts) - int(a.Attempts) })
	return short
}
