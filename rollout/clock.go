// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"sync"
	"time"
)

const (
	// settle is how long another time has to last before it is believed.
	settle = time.Minute
	// probation is how long a time has to last before it is stood by.
	probation = 5 * time.Minute
	// loyalty is how long a proven time is stood by against an earlier one.
	loyalty = 24 * time.Hour
	// tolerance is what clocks are set by every day: nothing to be stubborn about.
	tolerance = 10 * time.Second
)

// Reader reads the machine's two clocks at one moment: the wall clock, which may
// jump, and the time since a fixed moment by a clock that does not.
type Reader func() (wall time.Time, monotonic time.Duration)

// System reads the real clocks. The monotonic one is Linux' CLOCK_MONOTONIC, which
// stands still while the machine sleeps.
func System() Reader {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now() // holds both
		return now.Round(0), now.Sub(start)
	}
}

// Clock is the time that a rollout goes by: the wall clock's as it was when it was
// last believed, and on from there with the monotonic clock. It never goes back.
//
// When the wall clock says something else than what was counted, one of the two is
// wrong. The rules, and why:
//
//   - A later time is believed once it has lasted for a minute. A server of NTP
//     that is mad for a moment switches nothing. A machine that has slept does not
//     know it, and catches up after that minute.
//   - An earlier time is not believed for a day; the time goes on as counted. To
//     wait for the wall clock instead would be right if it had been ahead and is
//     now put right, and wrong if it was right and is now behind: what was
//     announced for 02:00 would come an hour late, and a brownout would last an
//     hour too long. Which of the two it is nobody can tell, but a clock that ran
//     well and then went back is more likely behind, and [Clock.Trouble] says so.
//     After a day it has had the time to be looked at. It is believed, and the time
//     stands still until the wall clock has got there.
//   - An earlier time is believed after a minute where the evidence is for it: the
//     time it contradicts is not five minutes old (a machine that has just booted
//     with a wrong clock), or came by a jump ahead that is now undone, or the
//     difference is ten seconds at most.
//
// Lasted means by the monotonic clock, and in every reading: one that agrees with
// what was counted begins it anew, and of many that differ the nearest is believed.
// So a clock that flickers, or fights with another, is not followed, and no
// number of small steps is faster than one large one. It takes a reading every few
// seconds to judge by.
//
// At the start there is nothing to compare with but the floor, the time that was
// reached before. A later wall clock is believed at once: what happened while the
// machine was down has happened, and a brownout that has ended must not be played
// for another minute. An earlier one is wrong, like one that went back: a machine
// that boots in 1970 goes on from the floor, and begins nothing too early.
type Clock struct {
	read Reader

	// mu protects all below and makes readings come one after the other.
	mu   sync.Mutex
	wall time.Time     // as last read
	mono time.Duration // as last read
	now  time.Time     // what the time is: never back

	// Times of the wall clock are kept as what it showed, or would have, when the
	// monotonic clock was at zero: that is the same as long as both run evenly.
	believed time.Time
	since    time.Duration // by the monotonic clock: when this was first seen
	before   time.Time     // what was believed before that
	doubt    doubt
}

// doubt is that the wall clock is on one side of what is believed.
type doubt struct {
	side    int // +1 ahead, -1 behind, 0 none
	nearest time.Time
	since   time.Duration
}

// NewClock starts a clock that is never before floor, the [Clock.Mark] that was
// kept of an earlier one. Zero: there is none.
func NewClock(read Reader, floor time.Time) *Clock {
	c := &Clock{read: read}
	c.look()
	c.accept()
	if floor.After(c.wall) {
		c.now = floor.Round(0).UTC()
		c.believed = c.now.Add(-c.mono)
		c.since -= loyalty // it has proved itself
	}
	return c
}

// Now reads the clocks and returns the time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.weigh(c.look())
	c.advance()
	return c.now
}

// Mark returns the latest time that Now has returned: the floor of the next clock.
// To begin nothing twice, it is kept after each switch; once a minute besides is
// enough to survive a machine that loses its clock.
func (c *Clock) Mark() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Reset believes the wall clock as it is and returns its time, which may be before
// what Now has returned: what has begun in between has not begun yet. It is for an
// operator who says that the clock is right.
func (c *Clock) Reset() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	c.accept()
	c.since -= loyalty // an operator's word is proof
	return c.now
}

// look reads the clocks and returns the wall clock's time at monotonic zero.
func (c *Clock) look() time.Time {
	wall, mono := c.read()
	c.wall, c.mono = wall.Round(0).UTC(), mono
	return c.wall.Add(-c.mono)
}

// accept takes the wall clock at its word.
func (c *Clock) accept() {
	c.now, c.believed, c.since = c.wall, c.wall.Add(-c.mono), c.mono
	c.before, c.doubt = time.Time{}, doubt{}
}

func (c *Clock) advance() {
	if counted := c.believed.Add(c.mono); counted.After(c.now) {
		c.now = counted
	}
}

// weigh judges a reading against what is believed.
func (c *Clock) weigh(seen time.Time) {
	d := &c.doubt
	if seen.Compare(c.believed) != d.side {
		c.begin(seen)
		return
	}
	if seen.Compare(d.nearest) == -d.side {
		d.nearest = seen
	}
	if d.side == 0 || c.mono-d.since < c.patience() {
		return
	}
	if apart(c.believed, d.nearest) > tolerance {
		c.before, c.since = c.believed, d.since
	}
	c.believed = d.nearest
	c.begin(seen)
}

// begin weighs from this reading on.
func (c *Clock) begin(seen time.Time) {
	c.doubt = doubt{side: seen.Compare(c.believed), nearest: seen, since: c.mono}
}

// patience is how long the present doubt has to last.
func (c *Clock) patience() time.Duration {
	held := c.doubt.since - c.since
	switch {
	case c.doubt.side > 0, apart(c.believed, c.doubt.nearest) <= tolerance:
		return settle
	case held < probation:
		return settle
	case held < loyalty && apart(c.before, c.doubt.nearest) <= tolerance:
		return settle
	default:
		return loyalty
	}
}

// apart is how far two times are from each other, 292 years at most.
func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }
