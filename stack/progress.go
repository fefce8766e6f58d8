// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"time"

	"op25b/filter"
)

// Progress is what one worker has done.
type Progress struct {
	Direction filter.Direction
	// Lane is the number of the worker's lane.
	Lane           int
	Frames, Octets uint64
	// Moved is when the worker was last seen to get on, or to have nothing to do.
	Moved time.Time
}

// Progress looks at every worker, at the time that the caller gives. One that has
// something to do and does not get on keeps its old Moved: it is stuck inside a
// packet, or not woken for those that wait. It is to be called every now and then,
// by one goroutine.
func (r *Router) Progress(now time.Time) []Progress {
	all := make([]Progress, 0, len(r.workers))
	for i, w := range r.workers {
		frames, idle := w.count.frames.Load(), w.idle()
		if w.seen.IsZero() || idle || frames != w.before {
			w.seen, w.before = now, frames
		}
		all = append(all, Progress{
			Direction: w.direction, Lane: i % len(r.ports[w.direction].Lanes),
			Frames: frames, Octets: w.count.octets.Load(), Moved: w.seen,
		})
	}
	return all
}

// idle reports whether the worker is between two packets, and none waits.
func (w *worker) idle() bool { return !w.count.inside() && !w.lane.Pending() }

// inside reports whether a frame has been read that has met no fate yet.
func (c *counters) inside() bool {
	// The fates first: what is added meanwhile makes a busy worker look idle or
	// busy, and it gets on either way.
	var fates uint64
	for f := range c.fates {
		fates += c.fates[f].Load()
	}
	return c.frames.Load() > fates
}
