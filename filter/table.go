// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"math/bits"
	"net/netip"
	"slices"
)

// table finds the longest prefix that holds an address. It is made for the packet
// path: prefixes are resolved into ranges when it is built, so that an address is
// in exactly one, and found by an index whose blocks are as narrow as the ranges
// are dense there. That takes a few cache lines, however many prefixes there are,
// and the first of them are those that every packet needs.
type table struct {
	prefixes []entry // sorted, without those that were there already
	families [2]ranges
}

// entry is a prefix and what it stands for.
type entry struct {
	prefix netip.Prefix
	id     uint16
}

// ranges are those of one family, and the index to them.
type ranges struct {
	// all is sorted; each range ends where the next begins. The first begins at
	// zero.
	all   []span
	root  slot
	slots []slot
	jumps []jump
}

// slot is a block of addresses, aligned and as long as a power of two. Its kind says
// what is known of it:
//   - whole: it is in range at, which stands for id.
//   - from 1 to stride: it is split into 2^kind blocks, of 2^shift addresses each:
//     slots[at] and those behind.
//   - jumps: the ranges that begin in it all do so in a narrower block: jumps[at].
//
// It is one number, since Go keeps those in registers: at, id, shift and kind, from
// the lowest bit on.
type slot uint64

func newSlot(at uint32, kind int) slot { return slot(at) | slot(kind)<<56 } //nolint:gosec // kind is small

func (s slot) at() uint32    { return uint32(s) }       //nolint:gosec // cut
func (s slot) id() uint16    { return uint16(s >> 32) } //nolint:gosec // cut
func (s slot) shift() uint64 { return uint64(s>>48) & 0xff }
func (s slot) kind() uint64  { return uint64(s >> 56) }

const (
	whole  = 0
	stride = 24 // bits
	jumps  = stride + 1

	noID = ^uint16(0) // what addresses stand for that no prefix holds
)

// jump is the narrower block, and what is before and behind it.
type jump struct {
	first, last           key
	before, inside, after slot
}

// span is a range of addresses that the same prefix holds.
type span struct {
	from   key
	prefix uint32 // in table.prefixes, or none
	id     uint16
}

const none = ^uint32(0)

// sortEntries sorts entries in place, and returns which of them it left out since
// one before has the same prefix: each with the one before.
func sortEntries(entries []entry) (distinct []entry, twice [][2]entry) {
	slices.SortStableFunc(entries, compareEntries)
	distinct = entries[:0]
	for _, e := range entries {
		if n := len(distinct); n > 0 && distinct[n-1].prefix == e.prefix {
			twice = append(twice, [2]entry{distinct[n-1], e})
			continue
		}
		distinct = append(distinct, e)
	}
	return distinct, twice
}

// newTable builds a table of entries that are sorted and distinct, and keeps them.
func newTable(entries []entry) table {
	t := table{prefixes: entries}
	four := 0
	for four < len(t.prefixes) && t.prefixes[four].prefix.Addr().Is4() {
		four++
	}
	t.families[family4] = newRanges(t.prefixes, 0, four)
	t.families[family6] = newRanges(t.prefixes, four, len(t.prefixes))
	return t
}

// newRanges resolves prefixes[first:end], which are of one family and sorted.
func newRanges(prefixes []entry, first, end int) ranges {
	r := ranges{all: make([]span, 0, 2*(end-first)+1)}
	r.begin(span{prefix: none, id: noID})
	type holder struct {
		last key
		span span
	}
	open := []holder{{key{^uint64(0), ^uint64(0)}, r.all[0]}} // the prefixes that hold the present one
	leave := func() {
		behind, more := open[len(open)-1].last.next()
		open = open[:len(open)-1]
		if more {
			s := open[len(open)-1].span
			s.from = behind
			r.begin(s)
		}
	}
	for i := first; i < end; i++ {
		e := prefixes[i]
		from := addressOf(e.prefix.Addr()).key
		for open[len(open)-1].last.less(from) {
			leave()
		}
		s := span{from: from, prefix: uint32(i), id: e.id} //nolint:gosec // memory ends before
		r.begin(s)
		open = append(open, holder{from.last(e.prefix.Bits()), s})
	}
	for len(open) > 1 {
		leave()
	}
	r.root = r.block(0, uint32(len(r.all)-1), 128) //nolint:gosec // memory ends before
	return r
}

// begin starts a range, in place of one that would be empty.
func (r *ranges) begin(s span) {
	if n := len(r.all); n > 0 && r.all[n-1].from == s.from {
		r.all = r.all[:n-1]
	}
	r.all = append(r.all, s)
}

// block makes the index to an aligned block of 2^size addresses, which begins in
// range at; those behind it up to last begin in the block.
func (r *ranges) block(at, last uint32, size int) slot {
	n := last - at
	if n == 0 {
		return newSlot(at, whole) | slot(r.all[at].id)<<32
	}
	// Ranges that begin close together are not worth a split for each bit.
	bits := min(bits.Len32(n), stride)
	if narrow := r.all[at+1].from.common(r.all[last].from); narrow < size-bits {
		return r.jump(at, last, narrow)
	}
	if size > 64 { // so that no block needs both halves of an address
		bits = min(bits, size-64)
	}
	return r.split(at, last, size-min(bits, size), min(bits, size))
}

// jump makes the index to the ranges behind at up to last, which all begin in a block
// of 2^size addresses.
func (r *ranges) jump(at, last uint32, size int) slot {
	first := r.all[at+1].from.first(size)
	j := jump{first: first, last: first.last(128 - size), before: r.block(at, at, 0), after: r.block(last, last, 0)}
	// Where the first begins with the block, nothing of the one before is in it.
	if r.all[at+1].from == first {
		at++
	}
	j.inside = r.block(at, last, size)
	r.jumps = append(r.jumps, j)
	return newSlot(uint32(len(r.jumps)-1), jumps) //nolint:gosec // memory ends before
}

// split makes the index to 2^bits blocks of 2^shift addresses.
func (r *ranges) split(at, last uint32, shift, bits int) slot {
	s := newSlot(uint32(len(r.slots)), bits) | slot(shift)<<48 //nolint:gosec // memory ends before
	r.slots = append(r.slots, make([]slot, 1<<bits)...)
	for i := range uint64(1) << bits {
		// The range at the beginning of the block may begin there itself.
		end := at
		for end < last && s.split(r.all[end+1].from) == i {
			if end++; r.all[end].from.zeros(shift) {
				at = end
			}
		}
		r.slots[uint64(s.at())+i] = r.block(at, end, shift)
		at = end
	}
	return s
}

// split returns in which of its blocks k is.
func (s slot) split(k key) uint64 {
	half := k.hi
	if s.shift() < 64 {
		half = k.lo
	}
	return half >> (s.shift() % 64) & (1<<(s.kind()%64) - 1)
}

// find returns the whole block that k is in.
func (r *ranges) find(k key) slot {
	s := r.root
	for {
		switch s.kind() {
		case whole:
			return s
		case jumps:
			s = r.jumps[s.at()].to(k)
		default:
			s = r.slots[uint64(s.at())+s.split(k)]
		}
	}
}

// to returns where to look for k.
func (j *jump) to(k key) slot {
	switch {
	case k.less(j.first):
		return j.before
	case j.last.less(k):
		return j.after
	default:
		return j.inside
	}
}

// each calls f for every range, with its last address.
func (r *ranges) each(f func(s span, last key)) {
	for i, s := range r.all {
		f(s, r.last(i))
	}
}

// last returns the last address of the i-th range.
func (r *ranges) last(i int) key {
	if i+1 < len(r.all) {
		return r.all[i+1].from.before()
	}
	return key{^uint64(0), ^uint64(0)}
}

// lookup returns what the longest prefix that holds a stands for.
func (t *table) lookup(a address) (id uint16, ok bool) {
	id = t.families[a.family].find(a.key).id()
	return id, id != noID
}

// prefix returns that prefix too.
func (t *table) prefix(a address) (e entry, ok bool) {
	r := &t.families[a.family]
	s := r.all[r.find(a.key).at()]
	if s.prefix == none {
		return entry{}, false
	}
	return t.prefixes[s.prefix], true
}
