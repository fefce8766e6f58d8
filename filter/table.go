// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"net/netip"
	"slices"
)

// table finds the longest prefix that holds an address. It is made for the packet
// path: prefixes are resolved into ranges when it is built, so that an address is
// in exactly one, and found by an [index].
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
	index index
}

// span is a range of addresses that the same prefix holds.
type span struct {
	from   key
	prefix uint32 // in table.prefixes, or none
	id     uint16
}

const (
	none = ^uint32(0)
	noID = ^uint16(0) // what addresses stand for that no prefix holds
)

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
	r.index = newIndex(r.all)
	return r
}

// begin starts a range, in place of one that would be empty.
func (r *ranges) begin(s span) {
	if n := len(r.all); n > 0 && r.all[n-1].from == s.from {
		r.all = r.all[:n-1]
	}
	r.all = append(r.all, s)
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
	id = t.families[a.family].index.find(a.key)
	return id, id != noID
}

// prefix returns that prefix too.
func (t *table) prefix(a address) (e entry, ok bool) {
	r := &t.families[a.family]
	behind, _ := slices.BinarySearchFunc(r.all, a.key, func(s span, k key) int {
		if k.less(s.from) {
			return 1
		}
		return -1
	})
	s := r.all[behind-1] // the first begins at zero
	if s.prefix == none {
		return entry{}, false
	}
	return t.prefixes[s.prefix], true
}
