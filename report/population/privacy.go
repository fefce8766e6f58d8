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
	short := slices.Clone(top)
	for i := range short {
		length := 24
		if short[i].Prefix.Addr().Is6() {
			length = 48
		}
		short[i].Prefix = netip.PrefixFrom(short[i].Prefix.Addr(), length).Masked()
	}
	return census.MergeTop(short)
}
