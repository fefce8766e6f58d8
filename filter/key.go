// SPDX-License-Identifier: Apache-2.0

package filter

import "math/bits"

// key is an address as a number of 128 bits. One of IPv4 is in the topmost 32, so
// that prefix lengths mean the same.
type key struct{ hi, lo uint64 }

func (k key) less(other key) bool {
	return k.hi < other.hi || k.hi == other.hi && k.lo < other.lo
}

// last returns the last address of the prefix of so many bits that begins at k.
func (k key) last(length int) key {
	if length > 64 {
		return key{k.hi, k.lo | ^uint64(0)>>(length-64)}
	}
	return key{k.hi | ^uint64(0)>>length, ^uint64(0)}
}

// first returns the first address of the aligned block of 2^size that k is in.
func (k key) first(size int) key {
	if size >= 64 {
		return key{hi: k.hi >> (size - 64) << (size - 64)}
	}
	return key{k.hi, k.lo >> size << size}
}

// zeros reports whether k is the first address of such a block.
func (k key) zeros(size int) bool { return k == k.first(size) }

// trailing returns how many bits at the end of k are zero.
func (k key) trailing() int {
	if k.lo == 0 {
		return 64 + bits.TrailingZeros64(k.hi)
	}
	return bits.TrailingZeros64(k.lo)
}

// common returns the size of the narrowest aligned block that holds both.
func (k key) common(other key) int {
	if k.hi != other.hi {
		return 64 + bits.Len64(k.hi^other.hi)
	}
	return bits.Len64(k.lo ^ other.lo)
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
