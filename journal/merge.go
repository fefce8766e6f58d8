// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"op25b/census"
)

// merge adds what a subscriber did in another part of the same hour to r, as after
// a restart of the gateway. Neither part knows all that the other has seen: how many
// destinations there were together is estimated from those that both name, and of
// the peers the larger number is taken, which is too little rather than too much.
func merge(r *census.Record, more census.Record) {
	for i := range r.Attempts {
		r.Attempts[i] = sum(r.Attempts[i], more.Attempts[i])
	}
	r.Packets = sum(r.Packets, more.Packets)
	r.Minutes |= more.Minutes
	mergeDestinations(r, &more)
	r.Top = mergeTop(r.Top, more.Top)
	u, v := &r.Unsolicited, &more.Unsolicited
	u.SYNACKs, u.Resets, u.Data = sum(u.SYNACKs, v.SYNACKs), sum(u.Resets, v.Resets), sum(u.Data, v.Data)
	u.Peers, u.DataPeers = max(u.Peers, v.Peers), max(u.DataPeers, v.DataPeers)
}

// sum is of what SQLite can hold.
func sum(a, b uint64) uint64 { return kept(kept(a) + kept(b)) }

// kept is n, or the most that SQLite can hold.
func kept(n uint64) uint64 { return min(n, math.MaxInt64) }

// mergeDestinations takes it that of the smaller number as large a part is in the
// other one as of the names. That is exact where both name all.
func mergeDestinations(r, more *census.Record) {
	a, b := namesOf(r.Top), namesOf(more.Top)
	common := 0
	for p := range a {
		if b[p] {
			common++
		}
	}
	fewer := min(r.Destinations, more.Destinations)
	both := fewer
	if names := min(len(a), len(b)); names > 0 {
		both = min(fewer, uint64(math.Round(float64(fewer)*float64(common)/float64(names))))
	}
	exact := fewer == 0 || namesAll(r, a) && namesAll(more, b)
	r.Estimated = r.Estimated || more.Estimated || !exact
	r.Destinations = sum(r.Destinations, more.Destinations-both)
}

func namesOf(top []census.Destination) map[netip.Prefix]bool {
	names := make(map[netip.Prefix]bool, len(top))
	for i := range top {
		names[top[i].Prefix] = true
	}
	return names
}

// namesAll reports whether the names of a record are all its destinations.
func namesAll(r *census.Record, names map[netip.Prefix]bool) bool {
	for p := range names {
		if !p.IsSingleIP() {
			return false
		}
	}
	return uint64(len(names)) == r.Destinations
}

func mergeTop(a, b []census.Destination) []census.Destination {
	top := slices.Clone(a) // others read a
	for i := range b {
		at := slices.IndexFunc(top, func(d census.Destination) bool { return d.Prefix == b[i].Prefix && d.Port == b[i].Port })
		if at < 0 {
			top = append(top, b[i])
			continue
		}
		d := &top[at]
		d.Attempts, d.Packets = sum(d.Attempts, b[i].Attempts), sum(d.Packets, b[i].Packets)
		if b[i].First.Before(d.First) {
			d.First = b[i].First
		}
		if !b[i].Last.Before(d.Last) {
			d.Last, d.Outcome = b[i].Last, b[i].Outcome
		}
	}
	slices.SortFunc(top, func(a, b census.Destination) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), a.Prefix.Compare(b.Prefix), cmp.Compare(a.Port, b.Port))
	})
	return top[:min(len(top), census.MostTop)]
}
