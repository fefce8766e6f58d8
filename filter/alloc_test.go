// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"testing"

	"op25b/filter"
)

// TestDecideAllocatesNothing takes every path of Decide: each golden packet,
// each policy, both directions. Were it to allocate, one of these escaped: the
// packet view, which is a variable of Decide and must not be handed to an
// interface or kept; an address, if made by AddrFromSlice of a copy instead of
// an array; the pseudo-header, an array that gVisor's checksum must not keep; or
// the lookup's path through the table.
//
// It is not parallel, since AllocsPerRun counts what all goroutines allocate.
func TestDecideAllocatesNothing(t *testing.T) {
	policies := compileAll(t)
	for _, g := range readGolden(t) {
		for name, policy := range policies {
			for _, dir := range []filter.Direction{filter.Outbound, filter.Inbound} {
				n := testing.AllocsPerRun(5, func() { policy.Decide(dir, g.pkt, filter.ChecksumUnknown) })
				if n != 0 {
					t.Errorf("%s: %s, %s: %v allocations", g.title, name, dir, n)
				}
			}
		}
	}
}
