// SPDX-License-Identifier: Apache-2.0

package report

import "op25b/census"

// mergeHours makes one record of those of one hour and pool, which there are if the
// gateway was started anew within the hour. Records are of one subscriber, and sorted
// by hour.
func mergeHours(records []census.Record) []census.Record {
	merged := records[:0]
	for _, r := range records {
		last := len(merged) - 1
		for last >= 0 && merged[last].Hour.Equal(r.Hour) && merged[last].Pool != r.Pool {
			last--
		}
		if last < 0 || !merged[last].Hour.Equal(r.Hour) {
			merged = append(merged, r)
			continue
		}
		merged[last].Merge(&r)
	}
	return merged
}
