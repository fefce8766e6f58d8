// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"encoding/binary"
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
	prefixes []entry // as given, without those that were there already
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
	nodes []node
	slots []slot
}

// node is the index to a part of the ranges: blocks of 2^shift addresses (of
// their upper halves), as many as there are ranges or a few more. Addresses before
// the first block are in one range, and those behind the last one in another.
type node struct {
	base          uint64
	blocks        uint64
	first         uint32 // slot
	before, after uint32 // ranges
	shift         uint8
}

// slot is one block: the range at its beginning, and how many more begin in it.
// With more than crowd it is a node instead.
type slot struct{ at, more uint32 }

const (
	crowd  = 4
	isNode = ^uint32(0)
)

// span is a range of addresses that the same prefix holds.
type span struct {
	from   key
	prefix uint32 // in table.prefixes, or none
	id     uint16
}

const none = ^uint32(0)

// key is an address as a number of 128 bits. One of IPv4 is in the topmost 32, so
// that prefix lengths mean the same.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// address is the reverse of keyOf.
func (k key) address(four bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	if four {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.hi, other.hi), cmp.Compare(k.lo, other.lo))
}

// last returns the last address of the prefix of so many bits that begins at k.
func (k key) last(length int) key {
	if length > 64 {
		return key{k.hi, k.lo | ^uint64(0)>>(length-64)}
	}
	return key{k.hi | ^uint64(0)>>length, ^uint64(0)}
}

// next returns k+1; false where there is none.
func (k key) next() (key, bool) {
	lo, carry := bits.Add64(k.lo, 1, 0)
	hi, over := bits.Add64(k.hi, 0, carry)
	return key{hi, lo}, over == 0
}

// before returns k-1.
func (k key) before() key {
	lo, borrow := bits.Sub64(k.lo, 1, 0)
	return key{k.hi - borrow, lo}
}

// newTable builds a table, and returns which entries it left out since an entry
// before has the same prefix: each with the one before.
func newTable(entries []entry) (t table, twice [][2]entry) {
	type sortable struct {
		from key
		entry
	}
	var sorted [2][]sortable
	for _, e := range entries {
		f := family(e.prefix.Addr())
		sorted[f] = append(sorted[f], sortable{keyOf(e.prefix.Addr()), e})
	}
	t.prefixes = make([]entry, 0, len(entries))
	for f := range sorted {
		// A prefix comes right behind those that hold it, the longest last.
		slices.SortStableFunc(sorted[f], func(a, b sortable) int {
			return cmp.Or(a.from.compare(b.from), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
		})
		first := len(t.prefixes)
		for _, s := range sorted[f] {
			if n := len(t.prefixes); n > first && t.prefixes[n-1].prefix == s.prefix {
				twice = append(twice, [2]entry{t.prefixes[n-1], s.entry})
				continue
			}
			t.prefixes = append(t.prefixes, s.entry)
		}
		t.families[f] = newRanges(t.prefixes, first)
	}
	return t, twice
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// newRanges resolves prefixes[first:], which are of one family and sorted.
func newRanges(prefixes []entry, first int) ranges {
	r := ranges{all: make([]span, 0, 2*(len(prefixes)-first)+1)}
	r.begin(span{prefix: none})
	type holder struct {
		last key
		span span
	}
	open := []holder{{key{^uint64(0), ^uint64(0)}, r.all[0]}} // the prefixes that hold the present one
	leave := func() {
		end, more := open[len(open)-1].last.next()
		open = open[:len(open)-1]
		if more {
			s := open[len(open)-1].span
			s.from = end
			r.begin(s)
		}
	}
	for i := first; i < len(prefixes); i++ {
		e := prefixes[i]
		from := keyOf(e.prefix.Addr())
		for open[len(open)-1].last.compare(from) < 0 {
			leave()
		}
		s := span{from: from, prefix: uint32(i), id: e.id} //nolint:gosec // memory ends before
		r.begin(s)
		open = append(open, holder{from.last(e.prefix.Bits()), s})
	}
	for len(open) > 1 {
		leave()
	}
	if last := len(r.all) - 1; last > 0 {
		r.index(1, uint32(last)) //nolint:gosec // memory ends before
	}
	return r
}

// begin starts a range, in place of one that would be empty.
func (r *ranges) begin(s span) {
	if n := len(r.all); n > 0 && r.all[n-1].from == s.from {
		r.all = r.all[:n-1]
	}
	r.all = append(r.all, s)
}

// index makes the node for the ranges from first to last, which begin after zero.
func (r *ranges) index(first, last uint32) {
	base := r.all[first].from.hi
	width := r.all[last].from.hi - base
	n := node{
		base: base, before: first - 1, after: last, first: uint32(len(r.slots)), //nolint:gosec // memory ends before
		shift: uint8(max(0, bits.Len64(width)-bits.Len32(last-first+1))), //nolint:gosec // 64 at most
	}
	n.blocks = width>>n.shift + 1
	r.nodes = append(r.nodes, n)
	r.slots = append(r.slots, make([]slot, n.blocks)...)
	at := first - 1
	for i := range n.blocks {
		// The range at the beginning of the block may begin there itself.
		for at < last && r.all[at+1].from.compare(key{hi: base + i<<n.shift}) <= 0 {
			at++
		}
		end := at
		for end < last && (r.all[end+1].from.hi-base)>>n.shift == i {
			end++
		}
		s := slot{at, end - at}
		// Where all begin with the same upper half, there is nothing to split.
		if s.more > crowd && r.all[at+1].from.hi != r.all[end].from.hi {
			s = slot{uint32(len(r.nodes)), isNode} //nolint:gosec // memory ends before
			r.index(at+1, end)
		}
		r.slots[uint64(n.first)+i] = s
		at = end
	}
}

// find returns the range that k is in.
func (r *ranges) find(k key) *span {
	if len(r.nodes) == 0 {
		return &r.all[0]
	}
	n := &r.nodes[0]
	for {
		block := (k.hi - n.base) >> n.shift
		switch {
		case k.hi < n.base:
			return &r.all[n.before]
		case block >= n.blocks:
			return &r.all[n.after]
		}
		s := r.slots[uint64(n.first)+block]
		if s.more != isNode {
			return r.search(k, s.at, s.at+s.more)
		}
		n = &r.nodes[s.at]
	}
}

// search returns the range that k is in, one of those from lo to hi.
func (r *ranges) search(k key, lo, hi uint32) *span {
	for lo < hi {
		middle := (lo + hi + 1) / 2
		if r.all[middle].from.compare(k) <= 0 {
			lo = middle
		} else {
			hi = middle - 1
		}
	}
	return &r.all[lo]
}

// each calls f for every range, with its last address.
func (r *ranges) each(f func(s span, last key)) {
	for i, s := range r.all {
		last := key{^uint64(0), ^uint64(0)}
		if i+1 < len(r.all) {
			last = r.all[i+1].from.before()
		}
		f(s, last)
	}
}

// lookup returns what the longest prefix that holds a stands for.
func (t *table) lookup(a netip.Addr) (id uint16, ok bool) {
	s := t.families[family(a)].find(keyOf(a))
	return s.id, s.prefix != none
}

// prefix returns that prefix too.
func (t *table) prefix(a netip.Addr) (e entry, ok bool) {
	s := t.families[family(a)].find(keyOf(a))
	if s.prefix == none {
		return entry{}, false
	}
	return t.prefixes[s.prefix], true
}
