// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// seconds is a moment as Prometheus has it; 0 is no moment.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// yes is 1 for true.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counts yields what was counted, sorted by name, and 0 for the well-known names
// that were not: what appears for the first time with the value 1 has no rate.
func counts(counted map[string]uint64, known ...string) iter.Seq2[string, uint64] {
	names := slices.AppendSeq(slices.Clone(known), maps.Keys(counted))
	slices.Sort(names)
	return func(yield func(string, uint64) bool) {
		for _, name := range slices.Compact(names) {
			if !yield(name, counted[name]) {
				return
			}
		}
	}
}

// directions are those of packets; each is there from the start.
func directions[T any](counted map[string]T) []string {
	names := slices.AppendSeq([]string{"inbound", "outbound"}, maps.Keys(counted))
	slices.Sort(names)
	return slices.Compact(names)
}
