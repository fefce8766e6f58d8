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
			kept[i].Top = census.ShortenTop(kept[i].Top, truncate)
		case Absent:
			kept[i].Top = nil
		case Full:
		}
	}
	return kept
}

// truncate shortens an address, as the journal does.
func truncate(addr netip.Addr) netip.Prefix {
	length := 24
	if addr.Is6() {
		length = 48
	}
	return netip.PrefixFrom(addr, length).Masked()
}
