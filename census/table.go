// SPDX-License-Identifier: Apache-2.0

package census

// table counts the most frequent of many keys with few entries, by Metwally et al.,
// "Efficient Computation of Frequent and Top-k Elements in Data Streams" (ICDT 2005):
// when it is full, a new key takes the place of the one with the lowest rank, and
// begins with its rank. A key with more than 1/n of all counts is then always among n
// entries. Rank is only for the choice: what an entry has counted itself is exact
// since it came in, so that nobody is said to have done more than was seen.
//
// Keys are seeded 64-bit hashes. Two of a full table of 65,536 are the same once in
// 2^33 times, and nobody outside can bring it about.
type table[V any] struct {
	entries []entry[V]
	index   map[uint64]uint32 // nil while looking at each entry is as fast
	// hand is where the search for the lowest rank goes on. No rank is below low.
	hand int
	low  uint64
}

type entry[V any] struct {
	key, rank uint64
	value     V
}

// linear is how many entries are looked at one by one.
const linear = 8

// find returns the value of a key, or nil. It is good until the next insert.
func (t *table[V]) find(key uint64) *entry[V] {
	if t.index != nil {
		if i, ok := t.index[key]; ok {
			return &t.entries[i]
		}
		return nil
	}
	for i := range t.entries {
		if t.entries[i].key == key {
			return &t.entries[i]
		}
	}
	return nil
}

// insert makes an entry for a key that has none.
func (t *table[V]) insert(key uint64) *entry[V] {
	t.entries = append(t.entries, entry[V]{key: key})
	last := len(t.entries) - 1
	switch {
	case t.index != nil:
		t.index[key] = uint32(last)
	case last == linear:
		t.index = make(map[uint64]uint32, 2*linear)
		for i := range t.entries {
			t.index[t.entries[i].key] = uint32(i)
		}
	}
	return &t.entries[last]
}

// replace gives a new key the place of the one with the lowest rank. There has to be
// one. A round without success finds the lowest rank, so that the next succeeds, and
// raises as many ranks as it has steps: two steps, over time, for one replacement.
func (t *table[V]) replace(key uint64) *entry[V] {
	i := t.lowest()
	e := &t.entries[i]
	if t.index != nil {
		delete(t.index, e.key)
		t.index[key] = uint32(i)
	}
	*e = entry[V]{key: key, rank: e.rank}
	return e
}

func (t *table[V]) lowest() int {
	for {
		low := t.entries[t.hand].rank
		for range t.entries {
			i := t.hand
			t.hand = (i + 1) % len(t.entries)
			if t.entries[i].rank <= t.low {
				return i
			}
			low = min(low, t.entries[i].rank)
		}
		t.low = low
	}
}
