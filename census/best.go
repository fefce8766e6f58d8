// SPDX-License-Identifier: Apache-2.0

package census

import "slices"

// best keeps the first few of many, in an order, without sorting them all: it sorts
// twice as many as it keeps when it has them, and from then on takes only what is
// better than the last of those kept.
type best[T any] struct {
	most    int
	compare func(a, b T) int
	kept    []T
	// bounded: the entry at most-1 is the one to be better than.
	bounded bool
}

func newBest[T any](most int, compare func(a, b T) int) best[T] {
	return best[T]{most: max(most, 0), compare: compare}
}

func (b *best[T]) add(v T) {
	if b.most == 0 || b.bounded && b.compare(v, b.kept[b.most-1]) >= 0 {
		return
	}
	b.kept = append(b.kept, v)
	if len(b.kept) == 2*b.most {
		b.trim()
	}
}

func (b *best[T]) trim() {
	slices.SortFunc(b.kept, b.compare)
	if len(b.kept) >= b.most {
		b.kept = b.kept[:b.most]
		b.bounded = b.most > 0
	}
}

// sorted returns what was kept, the best first. It ends the adding.
func (b *best[T]) sorted() []T {
	b.trim()
	return b.kept
}
