// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"hash/maphash"
	"iter"
)

// table is a hash table for a million of small entries without pointers: they lie
// densely in chunks, and the garbage collector need not look into them. A map of
// Go's took twice as much at its worst.
type table[K comparable, V any] struct {
	seed maphash.Seed
	// slots hold the numbers of entries, from 1; 0: free. Their number is a power of
	// two, and a quarter of them is free at least, so that a search ends.
	slots  []uint32
	chunks [][]entry[K, V]
	free   []uint32 // numbers of entries that were removed
	live   int
}

type entry[K comparable, V any] struct {
	key   K
	used  bool
	value V
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits // entries
	leastSlot = 16
)

func newTable[K comparable, V any]() *table[K, V] {
	return &table[K, V]{seed: maphash.MakeSeed(), slots: make([]uint32, leastSlot)}
}

func (t *table[K, V]) len() int { return t.live }

func (t *table[K, V]) at(number uint32) *entry[K, V] {
	n := int(number - 1)
	return &t.chunks[n>>chunkBits][n&(chunkSize-1)]
}

// find returns the slot of a key, or the free one where it would go.
func (t *table[K, V]) find(key K) int {
	mask := len(t.slots) - 1
	for i := t.home(key); ; i = (i + 1) & mask {
		if n := t.slots[i]; n == 0 || t.at(n).key == key {
			return i
		}
	}
}

// home is where the search for a key begins.
func (t *table[K, V]) home(key K) int {
	return int(maphash.Comparable(t.seed, key) & uint64(len(t.slots)-1))
}

// get returns a key's value, or nil. It is valid until the key is removed or the
// next put.
func (t *table[K, V]) get(key K) *V {
	if n := t.slots[t.find(key)]; n != 0 {
		return &t.at(n).value
	}
	return nil
}

// getAfter is get with a guess: that the key was put right after the entry with the
// given number. Files are mostly read again in the order of before, and that needs
// no search. It returns the number of what it has found, too.
func (t *table[K, V]) getAfter(number uint32, key K) (*V, uint32) {
	if n := int(number); n>>chunkBits < len(t.chunks) && n&(chunkSize-1) < len(t.chunks[n>>chunkBits]) {
		if e := t.at(number + 1); e.used && e.key == key {
			return &e.value, number + 1
		}
	}
	n := t.slots[t.find(key)]
	if n == 0 {
		return nil, number
	}
	return &t.at(n).value, n
}

// put returns a key's value, a zero one if it is new. It is valid as get's is.
func (t *table[K, V]) put(key K) (value *V, isNew bool) {
	slot := t.find(key)
	if n := t.slots[slot]; n != 0 {
		return &t.at(n).value, false
	}
	if 4*(t.live+1) > 3*len(t.slots) {
		t.grow()
		slot = t.find(key)
	}
	n := t.room()
	t.slots[slot] = n
	t.live++
	e := t.at(n)
	*e = entry[K, V]{key: key, used: true}
	return &e.value, true
}

// room returns the number of an entry that is free.
func (t *table[K, V]) room() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last]) == chunkSize {
		var fresh []entry[K, V] // a table of few entries stays small
		if last >= 0 {
			fresh = make([]entry[K, V], 0, chunkSize)
		}
		t.chunks = append(t.chunks, fresh)
		last++
	}
	t.chunks[last] = append(t.chunks[last], entry[K, V]{})
	return uint32(last<<chunkBits + len(t.chunks[last]))
}

func (t *table[K, V]) grow() {
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	for _, n := range old {
		if n != 0 {
			t.slots[t.find(t.at(n).key)] = n
		}
	}
}

// remove removes a key if it is there.
func (t *table[K, V]) remove(key K) {
	slot := t.find(key)
	n := t.slots[slot]
	if n == 0 {
		return
	}
	*t.at(n) = entry[K, V]{}
	t.free = append(t.free, n)
	t.live--
	t.close(slot)
}

// close frees a slot and moves up what would not be found behind the gap.
func (t *table[K, V]) close(gap int) {
	mask := len(t.slots) - 1
	t.slots[gap] = 0
	for i := (gap + 1) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		home := t.home(t.at(t.slots[i]).key)
		if (i-home)&mask >= (i-gap)&mask { // the gap lies between its home and it
			t.slots[gap], t.slots[i] = t.slots[i], 0
			gap = i
		}
	}
}

// all yields every entry. The one that it has yielded may be removed meanwhile;
// nothing may be put.
func (t *table[K, V]) all() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for _, chunk := range t.chunks {
			for i := range chunk {
				if e := &chunk[i]; e.used && !yield(e.key, &e.value) {
					return
				}
			}
		}
	}
}
