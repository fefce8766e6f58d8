// SPDX-License-Identifier: Apache-2.0

package census

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// Merge adds what the subscriber did in another part of the same hour, as after a
// restart of the gateway, or in another pool; r keeps its own. Neither part knows all
// that the other has seen: how many destinations there were together is estimated from
// those that both name, and of the peers the larger number is taken, which is too little
// rather than too much. What r and more refer to is read and not written.
func (r *Record) Merge(more *Record) {
	for i := range r.Attempts {
		r.Attempts[i] += more.Attempts[i]
	}
	r.Packets += more.Packets
	r.Minutes |= more.Minutes
	r.mergeDestinations(more)
	r.Top = MergeTop(r.Top, more.Top)
	u, v := &r.Unsolicited, &more.Unsolicited
	u.SYNACKs += v.SYNACKs
	u.Resets += v.Resets
	u.Data += v.Data
	u.Peers, u.DataPeers = max(u.Peers, v.Peers), max(u.DataPeers, v.DataPeers)
}

// mergeDestinations takes it that of the smaller number as large a part is in the
// other one as of the names. That is exact where both name all.
func (r *Record) mergeDestinations(more *Record) {
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
	exact := fewer == 0 || r.namesAll(a) && more.namesAll(b)
	r.Estimated = r.Estimated || more.Estimated || !exact
	r.Destinations += more.Destinations - both
}

func namesOf(top []Destination) map[netip.Prefix]bool {
	names := make(map[netip.Prefix]bool, len(top))
	for i := range top {
		names[top[i].Prefix] = true
	}
	return names
}

// namesAll reports whether the names of a record are all its destinations.
func (r *Record) namesAll(names map[netip.Prefix]bool) bool {
	for p := range names {
		if !p.IsSingleIP() {
			return false
		}
	}
	return uint64(len(names)) == r.Destinations
}

// MergeTop adds up destinations that are in several lists, and returns those with the
// most attempts, MostTop of them at most. Of what is the same, later lists come later.
func MergeTop(lists ...[]Destination) []Destination {
	return addUp(slices.Concat(lists...), func(d *Destination) identity { return identity{prefix: d.Prefix, port: d.Port} })
}

// ShortenTop returns destinations of which less is said, with shorten's prefix of their
// address, or which are left out where that is not valid. Those that become the same are
// added up, apart by outcome: the relay's neighbors are no relays.
func ShortenTop(top []Destination, shorten func(netip.Addr) netip.Prefix) []Destination {
	short := slices.Clone(top)
	for i := range short {
		short[i].Prefix = shorten(short[i].Prefix.Addr())
	}
	short = slices.DeleteFunc(short, func(d Destination) bool { return !d.Prefix.IsValid() })
	return addUp(short, func(d *Destination) identity { return identity{d.Prefix, d.Port, d.Outcome} })
}

// identity is by what destinations are told apart.
type identity struct {
	prefix  netip.Prefix
	port    uint16
	outcome Outcome
}

func addUp(all []Destination, of func(*Destination) identity) []Destination {
	at := map[identity]int{}
	sums := []Destination{}
	for i := range all {
		k := of(&all[i])
		if known, ok := at[k]; ok {
			sums[known].Add(all[i])
			continue
		}
		at[k] = len(sums)
		sums = append(sums, all[i])
	}
	slices.SortStableFunc(sums, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), a.Prefix.Compare(b.Prefix), cmp.Compare(a.Port, b.Port))
	})
	return slices.Clip(sums[:min(len(sums), MostTop)])
}
