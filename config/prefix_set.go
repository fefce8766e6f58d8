// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"net/netip"
)

// prefixSet finds equal prefixes among those of all pools, of all relays, or of each
// group of destinations: longer and shorter ones may overlap, equal ones contradict. There can be a
// million, so it is a hash table that holds places only: two to four of 8 bytes for
// each prefix, which the garbage collector need not look into. A map from prefixes
// to places took several times as much.
type prefixSet struct {
	group string           // policy.pools
	apart bool             // only equal ones of the same item are of interest
	items [][]netip.Prefix // of each of them
	seed  maphash.Seed
	slots []place // half of them are free at least; their number is a power of two
}

// place is where a prefix stands: the item, and its number in it, from 1. Zero:
// nowhere.
type place struct{ itemIndex, number uint32 }

func (p place) item() int  { return int(p.itemIndex) }
func (p place) index() int { return int(p.number) - 1 }

// newPrefixSet makes an empty set with room for the prefixes of all items.
func newPrefixSet[T any](group string, items []T, prefixes func(T) []netip.Prefix) *prefixSet {
	s := &prefixSet{group: group, items: make([][]netip.Prefix, len(items)), seed: maphash.MakeSeed()}
	total := 0
	for i, item := range items {
		s.items[i] = prefixes(item)
		total += len(s.items[i])
	}
	s.slots = make([]place, 2<<bits.Len(uint(total)))
	return s
}

// path is that of the prefixes of one item.
func (s *prefixSet) path(item int) string { return fmt.Sprintf("%s[%d].prefixes", s.group, item) }

// add adds a prefix, or tells where an equal one stands that was added before.
func (s *prefixSet) add(item, index int) (first place, twice bool) {
	p := s.items[item][index]
	for i := s.start(item, p); ; i++ {
		slot := &s.slots[i%uint64(len(s.slots))]
		if *slot == (place{}) {
			*slot = place{uint32(item), uint32(index) + 1}
			return place{}, false
		}
		if s.items[slot.item()][slot.index()] == p && (slot.item() == item || !s.apart) {
			return *slot, true
		}
	}
}

// start is where the search for a prefix begins. Items that are apart begin in
// different places, for they may all hold the same one.
func (s *prefixSet) start(item int, p netip.Prefix) uint64 {
	i := maphash.Comparable(s.seed, p)
	if s.apart {
		i ^= maphash.Comparable(s.seed, item)
	}
	return i
}
