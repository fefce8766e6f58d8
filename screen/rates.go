// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"time"

	"op25b/control"
)

// reading is what a gateway said at one moment, by our clock.
type reading struct {
	at     time.Time
	status *control.Status
	top    *control.Top
}

// flow is what passes in a second.
type flow struct{ frames, bits float64 }

// worker names one of the packet path's goroutines.
type worker struct {
	direction string
	queue     int
}

// rates are per second, between two readings. The zero value knows none.
type rates struct {
	known              bool
	direction          map[string]flow
	workers            map[worker]flow
	refused, monitored float64
	shed               float64
	outcomes           map[string]float64
	packets            map[string]map[string]float64
}

// between compares two readings. Counters begin anew with a process, so that two of
// different processes say nothing together.
func between(before, now *control.Status, elapsed time.Duration) rates {
	if before == nil || elapsed <= 0 || before.PID != now.PID || !before.Started.Equal(now.Started) {
		return rates{}
	}
	per := func(from, to uint64) float64 {
		if to < from { // taken over from a predecessor, or not by us
			return 0
		}
		return float64(to-from) / elapsed.Seconds()
	}
	r := rates{
		known:     true,
		direction: map[string]flow{},
		workers:   map[worker]flow{},
		refused:   per(before.Refused, now.Refused),
		monitored: per(before.Monitored, now.Monitored),
		shed:      per(before.Shed, now.Shed),
		outcomes:  map[string]float64{},
		packets:   map[string]map[string]float64{},
	}
	for direction, counts := range now.Packets {
		r.packets[direction] = map[string]float64{}
		for name, n := range counts {
			r.packets[direction][name] = per(before.Packets[direction][name], n)
		}
		r.direction[direction] = flow{frames: r.packets[direction]["frames"], bits: r.packets[direction]["octets"] * 8}
	}
	for outcome, n := range now.Attempts.Outcomes {
		r.outcomes[outcome] = per(before.Attempts.Outcomes[outcome], n)
	}
	earlier := map[worker]control.WorkerStatus{}
	for _, w := range before.Workers {
		earlier[worker{w.Direction, w.Queue}] = w
	}
	for _, w := range now.Workers {
		key := worker{w.Direction, w.Queue}
		r.workers[key] = flow{frames: per(earlier[key].Frames, w.Frames), bits: per(earlier[key].Octets, w.Octets) * 8}
	}
	return r
}
