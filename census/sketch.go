// SPDX-License-Identifier: Apache-2.0

package census

import (
	"slices"

	"github.com/axiomhq/hyperloglog"
)

// budget is what may be used in all, so that many subscribers who do their worst at
// the same time do not use more memory than was foreseen.
type budget struct{ used, most int }

// take says whether n more may be used, and counts them if so.
func (b *budget) take(n int) bool {
	if b.used+n > b.most {
		return false
	}
	b.used += n
	return true
}

// Precisions of sketches, as powers of two of their registers of an octet. The
// standard error is 1.04 divided by the root of the registers.
const (
	precisionFine   = 14 // 0.8 percent with 16 KiB
	precisionMiddle = 12 // 1.6 percent with 4 KiB
	precisionCoarse = 8  // 6.5 percent with 256 octets
)

// newSketch returns a sketch with a precision, or a coarse one if no more of them may
// be made.
func newSketch(precision uint8, room *budget) *hyperloglog.Sketch {
	sparse := room.take(1)
	if !sparse {
		precision = precisionCoarse
	}
	s, _ := hyperloglog.NewSketch(precision, sparse) // the only error is a precision beyond 4 to 18
	return s
}

// mostDistinct is up to how many are told apart exactly by a distinct.
const mostDistinct = 64

// distinct counts different hashes: exactly, and from mostDistinct on by a sketch.
type distinct struct {
	exact  []uint64
	sketch *hyperloglog.Sketch
}

func (d *distinct) add(hash uint64, room *budget) {
	if d.sketch != nil {
		d.sketch.InsertHash(hash)
		return
	}
	if slices.Contains(d.exact, hash) {
		return
	}
	if len(d.exact) < mostDistinct {
		d.exact = append(d.exact, hash)
		return
	}
	d.sketch = newSketch(precisionMiddle, room)
	for _, h := range d.exact {
		d.sketch.InsertHash(h)
	}
	d.sketch.InsertHash(hash)
	d.exact = nil
}

// count may reorder what the sketch holds: it is not for concurrent use.
func (d *distinct) count() uint64 {
	if d.sketch != nil {
		return max(d.sketch.Estimate(), mostDistinct+1)
	}
	return uint64(len(d.exact))
}
