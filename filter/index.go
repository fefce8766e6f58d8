// SPDX-License-Identifier: Apache-2.0

package filter

import "math/bits"

// index finds what an address stands for. Its blocks are as narrow as the ranges are
// dense there, down to those in which so few begin that they fit one cache line. So it
// takes two or three cache lines, however many prefixes there are, and the first of them
// are those that every packet needs.
type index struct {
	root  slot
	slots []slot
	jumps []jump
	lines []line
}

// slot is a block of addresses, aligned and as long as a power of two. Its kind says
// what is known of it:
//   - whole: all of it stands for id.
//   - from 1 to stride: it is split into 2^kind blocks, of 2^shift addresses each:
//     slots[at] and those behind.
//   - inLine: the ranges that begin in it do so at multiples of 2^shift: lines[at].
//   - jumps: the ranges that begin in it all do so in a narrower block: jumps[at].
//
// It is one number, since Go keeps those in registers: at, id, shift and kind, from
// the lowest bit on.
type slot uint64

func newSlot(at int, kind int) slot { return slot(at) | slot(kind)<<56 } //nolint:gosec // memory ends before

func wholeSlot(id uint16) slot { return slot(id) << 32 }

func (s slot) at() uint32    { return uint32(s) }       //nolint:gosec // cut
func (s slot) id() uint16    { return uint16(s >> 32) } //nolint:gosec // cut
func (s slot) shift() uint64 { return uint64(s>>48) & 0xff }
func (s slot) kind() uint64  { return uint64(s >> 56) }

const (
	whole  = 0
	stride = 24 // bits
	inLine = stride + 1
	jumps  = stride + 2
)

// jump is the narrower block, and what is before and behind it.
type jump struct {
	first, last           key
	before, inside, after slot
}

// line holds the ranges of a block: where all but the first begin in it, counted in
// multiples of 2^shift, and what each stands for. It is a cache line.
type line struct {
	begins [lineRanges / 4]uint64 // four in each number, from the lowest bits on
	ids    [lineRanges]uint16
}

const (
	lineRanges = 16
	lineBits   = 15                    // of where a range begins
	lineLanes  = 0x0001_0001_0001_0001 // one in each of four
	lineTops   = lineLanes << lineBits // above any
	dense      = (lineRanges - 1) / 3  // ranges to aim at for each block of a split
)

// newIndex indexes ranges that are sorted, of which the first begins at zero.
func newIndex(all []span) index {
	b := indexer{all: all}
	b.root = b.block(0, len(all)-1, 128)
	return b.index
}

// indexer builds an index.
type indexer struct {
	index
	all []span
}

// block makes the index to an aligned block of 2^size addresses, which begins in
// range at; those behind it up to last begin in the block.
func (b *indexer) block(at, last, size int) slot {
	n := last - at
	if n == 0 {
		return wholeSlot(b.all[at].id)
	}
	if shift, fits := b.fits(at, last, size); fits {
		return b.line(at, last, shift)
	}
	// Ranges that begin close together are not worth a split for each bit.
	width := min(bits.Len(uint(n/dense))+1, stride, size) //nolint:gosec // not negative
	if narrow := b.all[at+1].from.common(b.all[last].from); narrow < size-width {
		return b.jump(at, last, narrow)
	}
	if size > 64 { // so that no block needs both halves of an address
		width = min(width, size-64)
	}
	return b.split(at, last, size-width, width)
}

// fits reports whether the ranges that begin in a block fit a line, and in which unit.
func (b *indexer) fits(at, last, size int) (shift int, ok bool) {
	if last-at >= lineRanges {
		return 0, false
	}
	shift = size
	for _, s := range b.all[at+1 : last+1] {
		shift = min(shift, s.from.trailing())
	}
	return shift, size-shift <= lineBits && (size <= 64 || shift >= 64)
}

func (b *indexer) line(at, last, shift int) slot {
	var l line
	s := newSlot(len(b.lines), inLine) | slot(shift)<<48 //nolint:gosec // at most 128
	for i := range lineRanges {
		begin := uint64(1 << lineBits) // behind everything
		if r := at + 1 + i; r <= last {
			begin = s.unit(b.all[r].from)
		}
		l.begins[i/4] |= begin << (16 * (i % 4))
		l.ids[i] = b.all[min(at+i, last)].id
	}
	b.lines = append(b.lines, l)
	return s
}

// jump makes the index to the ranges behind at up to last, which all begin in a block
// of 2^size addresses.
func (b *indexer) jump(at, last, size int) slot {
	first := b.all[at+1].from.first(size)
	j := jump{first: first, last: first.last(128 - size), before: wholeSlot(b.all[at].id), after: wholeSlot(b.all[last].id)}
	// Where the first begins with the block, nothing of the one before is in it.
	if b.all[at+1].from == first {
		at++
	}
	j.inside = b.block(at, last, size)
	b.jumps = append(b.jumps, j)
	return newSlot(len(b.jumps)-1, jumps)
}

// split makes the index to 2^width blocks of 2^shift addresses.
func (b *indexer) split(at, last, shift, width int) slot {
	s := newSlot(len(b.slots), width) | slot(shift)<<48 //nolint:gosec // at most 127
	b.slots = append(b.slots, make([]slot, 1<<width)...)
	for i := range uint64(1) << width {
		// The range at the beginning of the block may begin there itself.
		end := at
		for end < last && s.split(b.all[end+1].from) == i {
			if end++; b.all[end].from.zeros(shift) {
				at = end
			}
		}
		b.slots[uint64(s.at())+i] = b.block(at, end, shift)
		at = end
	}
	return s
}

// bitsOf returns the half of k that the block's addresses differ in, from bit shift on.
func (s slot) bitsOf(k key) uint64 {
	half := k.hi
	if s.shift() < 64 {
		half = k.lo
	}
	return half >> (s.shift() % 64)
}

// split returns in which of its blocks k is.
func (s slot) split(k key) uint64 { return s.bitsOf(k) & (1<<(s.kind()%64) - 1) }

// unit returns where in its line k is.
func (s slot) unit(k key) uint64 { return s.bitsOf(k) & (1<<lineBits - 1) }

// find returns what k stands for.
func (x *index) find(k key) uint16 {
	s := x.root
	for {
		switch s.kind() {
		case whole:
			return s.id()
		case inLine:
			return x.lines[s.at()].find(s.unit(k))
		case jumps:
			s = x.jumps[s.at()].to(k)
		default:
			s = x.slots[uint64(s.at())+s.split(k)]
		}
	}
}

// find counts the ranges that begin at unit or before, four at a time: the topmost bit
// of each lane stays where what is taken away is not greater.
func (l *line) find(unit uint64) uint16 {
	all := unit*lineLanes | lineTops
	n := (all-l.begins[0])>>lineBits&lineLanes + (all-l.begins[1])>>lineBits&lineLanes +
		(all-l.begins[2])>>lineBits&lineLanes + (all-l.begins[3])>>lineBits&lineLanes
	return l.ids[n*lineLanes>>48%lineRanges]
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
