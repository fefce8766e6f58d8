// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// What the bytes of FuzzClock make the machine do: one that says what, two that say
// how much of it.
const (
	opSeconds      = iota // pass
	opMinutes             // pass
	opAheadSeconds        // the wall clock alone
	opAheadHours
	opBackSeconds
	opBackHours
	opRestart // with the mark as floor
	numOps
)

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func ops(of ...uint16) (text []byte) {
	for i := 0; i < len(of); i += 2 {
		text = binary.BigEndian.AppendUint16(append(text, byte(of[i])), of[i+1])
	}
	return text
}

// reading is what the clocks showed once: the wall clock, taken back to monotonic
// zero.
type reading struct {
	mono time.Duration
	zero time.Time
}

// common is the most that the last reading and those of a minute before it have in
// common, and false if there is no minute. It looks at all of them anew, unlike the
// clock; more of them would have less in common.
func common(all []reading) (least time.Time, ok bool) {
	last := all[len(all)-1]
	least = last.zero
	for _, r := range slices.Backward(all) {
		if r.zero.Before(least) {
			least = r.zero
		}
		if last.mono-r.mono >= settle {
			return least, true
		}
	}
	return least, false
}

// Whatever the wall clock does, the time never goes back and never gets ahead of
// the best that could be believed; and when the wall clock goes on evenly, it is
// caught up with in minutes, and after a day followed or waited for.
func FuzzClock(f *testing.F) {
	for _, seed := range [][]byte{
		{},
		ops(opSeconds, 30, opAheadHours, 1, opSeconds, 59, opBackHours, 1, opSeconds, 60),
		ops(opSeconds, 30, opAheadHours, 1, opSeconds, 60, opSeconds, 60, opBackHours, 1, opSeconds, 90, opSeconds, 1),
		ops(opMinutes, 60, opBackHours, 1, opSeconds, 10, opMinutes, 1500, opSeconds, 1, opAheadHours, 2, opSeconds, 61),
		ops(opAheadSeconds, 5, opSeconds, 1, opAheadSeconds, 5, opSeconds, 1, opAheadSeconds, 5, opSeconds, 60),
		ops(opMinutes, 120, opBackHours, 255, opRestart, 0, opSeconds, 100, opAheadHours, 255, opSeconds, 100),
		ops(opAheadHours, 255, opRestart, 0, opBackHours, 254, opSeconds, 9, opRestart, 0, opMinutes, 12000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := &machine{wall: noon(t), mono: time.Hour}
		c := NewClock(m.read, time.Time{})
		best, last := m.wall.Add(-m.mono), c.Mark() // best at monotonic zero, like readings
		var all []reading
		look := func() {
			all = append(all, reading{m.mono, m.wall.Add(-m.mono)})
			if lasted, ok := common(all); ok && lasted.After(best) {
				best = lasted
			}
			now := c.Now()
			if now.Before(last) {
				t.Fatalf("from %v back to %v", last, now)
			}
			if most := best.Add(m.mono); now.After(most) && now.After(last) {
				t.Fatalf("it is %v, and at most %v was believed", now, most)
			}
			if !c.Mark().Equal(now) {
				t.Fatalf("the mark is %v at %v", c.Mark(), now)
			}
			last = now
		}
		for ; len(text) >= 3 && len(all) < 200; text = text[3:] {
			much := int(binary.BigEndian.Uint16(text[1:]))
			short, long := seconds(much), seconds(much*3600)
			switch text[0] % numOps {
			case opSeconds:
				m.pass(short)
			case opMinutes:
				m.pass(seconds(much * 60))
			case opAheadSeconds:
				m.jump(short)
			case opAheadHours:
				m.jump(long)
			case opBackSeconds:
				m.jump(-short)
			case opBackHours:
				m.jump(-long)
			case opRestart:
				c = NewClock(m.read, last)
				best, all, last = c.Mark().Add(-m.mono), nil, c.Mark()
			}
			look()
		}
		for range 4 { // two doubts at most: one that was, and one that is
			m.pass(settle)
			look()
		}
		if last.Before(m.wall) {
			t.Fatalf("it is %v, and the clock was at %v for long", last, m.wall)
		}
		for range 4 {
			m.pass(loyalty)
			look()
		}
		m.pass(time.Hour)
		want := m.wall
		if last.After(want) {
			want = last
		}
		if look(); !last.Equal(want) {
			t.Fatalf("in the end it is %v, and not %v", last, want)
		}
	})
}
