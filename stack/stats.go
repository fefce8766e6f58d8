// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"sync/atomic"

	"op25b/filter"
)

// Fate is what became of a frame. Each frame that is read gets exactly one, so
// the fates add up to the frames.
type Fate uint8

const (
	// Forwarded: written to the other port.
	Forwarded Fate = iota
	// AnsweredReset: a RST went back.
	AnsweredReset
	// AnsweredProhibited: an ICMP "administratively prohibited" went back.
	AnsweredProhibited
	// AnsweredTimeExceeded: an ICMP "time exceeded" went back.
	AnsweredTimeExceeded
	// AnsweredTooBig: an ICMP "fragmentation needed" or "packet too big" went back.
	AnsweredTooBig
	// HandedToHost: given to the router's own host side.
	HandedToHost
	// DroppedByVerdict: the policy says drop; see the reasons.
	DroppedByVerdict
	// DroppedByLimit: a refusal without an answer, since its sender had enough of
	// them; see Limits.
	DroppedByLimit
	// DroppedUnanswered: an ICMP error was due and not sent, since too many were,
	// the packet must not be answered, or the router has no address.
	DroppedUnanswered
	// DroppedShort: no IP packet in the frame.
	DroppedShort
	// DroppedByHost: the host side is busy or absent.
	DroppedByHost
	// DroppedOnWrite: the kernel did not take it.
	DroppedOnWrite
	// DroppedByPanic: our code could not cope with it; see Router.Panics.
	DroppedByPanic
	// NumFates sizes arrays that are indexed by Fate.
	NumFates
)

// String returns the name that logs, metrics and --json use.
func (f Fate) String() string {
	return [...]string{
		"forwarded", "answered_reset", "answered_prohibited", "answered_time_exceeded", "answered_too_big",
		"handed_to_host", "dropped_by_verdict", "dropped_by_limit", "dropped_unanswered", "dropped_short", "dropped_by_host",
		"dropped_on_write", "dropped_by_panic",
	}[f]
}

// counters belong to one worker, which alone adds to them; others only load.
// The padding keeps two workers' counters off one cache line.
type counters struct {
	_        [64]byte
	frames   atomic.Uint64
	octets   atomic.Uint64
	fates    [NumFates]atomic.Uint64
	verdicts [filter.NumActions][filter.NumReasons]atomic.Uint64
	_        [64]byte
}

// Stats is a sum over workers at one moment, by direction. Taken while packets
// flow, the parts may be one packet apart.
type Stats struct {
	// Frames and Octets were read; a super-packet is one frame.
	Frames, Octets [filter.NumDirections]uint64
	Fates          [filter.NumDirections][NumFates]uint64
	// Verdicts counts what Decide said.
	Verdicts [filter.NumDirections][filter.NumActions][filter.NumReasons]uint64
}

// Stats adds up the workers' counters. It may be called at any time, from any
// goroutine, and takes nothing from the workers.
func (r *Router) Stats() Stats {
	var s Stats
	for _, w := range r.workers {
		d := w.direction
		s.Frames[d] += w.count.frames.Load()
		s.Octets[d] += w.count.octets.Load()
		for f := range w.count.fates {
			s.Fates[d][f] += w.count.fates[f].Load()
		}
		for a := range w.count.verdicts {
			for reason := range w.count.verdicts[a] {
				s.Verdicts[d][a][reason] += w.count.verdicts[a][reason].Load()
			}
		}
	}
	return s
}

// Refused returns how many outbound packets were refused as connections to a
// blocked port, whatever the answer.
func (s *Stats) Refused() uint64 {
	return s.toBlockedPort(filter.Drop) + s.toBlockedPort(filter.Reset) + s.toBlockedPort(filter.Prohibited)
}

// Monitored returns how many more would have been refused so, and were forwarded.
func (s *Stats) Monitored() uint64 { return s.toBlockedPort(filter.Monitored) }

func (s *Stats) toBlockedPort(a filter.Action) uint64 {
	return s.Verdicts[filter.Outbound][a][filter.ReasonBlockedPort] +
		s.Verdicts[filter.Outbound][a][filter.ReasonEstablished]
}

// Add adds what another router has counted.
func (s *Stats) Add(other *Stats) {
	for d := range filter.NumDirections {
		s.Frames[d] += other.Frames[d]
		s.Octets[d] += other.Octets[d]
		for f := range s.Fates[d] {
			s.Fates[d][f] += other.Fates[d][f]
		}
		for a := range s.Verdicts[d] {
			for r := range s.Verdicts[d][a] {
				s.Verdicts[d][a][r] += other.Verdicts[d][a][r]
			}
		}
	}
}
