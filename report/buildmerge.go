// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"

	"op25b/census"
)

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
		merge(&merged[last], &r)
	}
	return merged
}

// merge adds a record to another. How many destinations are in both is known of those
// that are named; if there are more, the sum is an estimate.
func merge(into, r *census.Record) {
	for i, n := range r.Attempts {
		into.Attempts[i] += n
	}
	into.Packets += r.Packets
	into.Minutes |= r.Minutes
	named := uint64(len(into.Top)) == into.Destinations && uint64(len(r.Top)) == r.Destinations
	into.Estimated = into.Estimated || r.Estimated || !named
	into.Destinations += r.Destinations
	for _, d := range r.Top {
		if addDestination(into, d) {
			into.Destinations--
		}
	}
	slices.SortStableFunc(into.Top, func(a, b census.Destination) int { return cmp.Compare(b.Attempts, a.Attempts) })
	into.Top = into.Top[:min(len(into.Top), census.MostTop)]
	u := &into.Unsolicited
	u.SYNACKs += r.Unsolicited.SYNACKs
	u.Resets += r.Unsolicited.Resets
	u.Data += r.Unsolicited.Data
	u.Peers += r.Unsolicited.Peers
	u.DataPeers += r.Unsolicited.DataPeers
}

// addDestination reports whether the record had it already.
func addDestination(into *census.Record, d census.Destination) bool {
	for i := range into.Top {
		known := &into.Top[i]
		if known.Prefix != d.Prefix || known.Port != d.Port {
			continue
		}
		known.Add(d)
		return true
	}
	into.Top = append(into.Top, d)
	return false
}
