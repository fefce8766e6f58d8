// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// machine has the two clocks that a test sets.
type machine struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func (m *machine) read() (time.Time, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wall, m.mono
}

func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.mono = m.wall.Add(d), m.mono+d
}

func (m *machine) jump(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall = m.wall.Add(d)
}

// beats reads a clock every second.
func (m *machine) beats(c *Clock, d time.Duration) (now time.Time) {
	for range d / time.Second {
		m.pass(time.Second)
		now = c.Now()
	}
	return now
}

func noon(t testing.TB) time.Time { t.Helper(); return tokyo(t, "2026-12-01 12:00") }

// An operator accepts a clock that is right: the one way back. His word is proof, and
// what was in doubt before is no longer.
func TestReset(t *testing.T) {
	t.Parallel()
	const while = 23 * time.Hour
	m := &machine{wall: noon(t)}
	c := NewClock(m.read, noon(t).Add(5*year))
	if now := m.beats(c, while); !now.Equal(noon(t).Add(5*year + while)) {
		t.Errorf("above the floor: %v", now)
	}
	if now := c.Reset(); !now.Equal(m.wall) || !c.Mark().Equal(now) || c.Trouble() != nil {
		t.Errorf("accepted: %v, mark %v, %v", now, c.Mark(), c.Trouble())
	}
	m.jump(-time.Hour)
	if now := m.beats(c, 2*time.Hour); !now.Equal(m.wall.Add(time.Hour)) {
		t.Errorf("two hours later: %v", now)
	}
}

// The time is in UTC and has nothing monotonic in it, wherever it comes from.
func TestPlainTime(t *testing.T) {
	t.Parallel()
	for _, floor := range []time.Time{{}, time.Now().Add(time.Hour)} {
		c := NewClock(System(), floor)
		for _, got := range []time.Time{c.Mark(), c.Now(), c.Reset()} {
			if got != got.Round(0) || got.Location() != time.UTC {
				t.Errorf("%#v", got)
			}
		}
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		floor, wall  time.Duration // beside noon
		jump         time.Duration // once it runs
		pass         time.Duration
		what, effect string // a part of it; empty: no trouble
	}{
		{"all is well", 0, 0, 0, time.Hour, "", ""},
		{"after a rest", 0, year, 0, time.Second, "", ""},
		{"within what is usual", 0, 0, -10 * time.Second, time.Second, "", ""},
		{"ahead", 0, 0, time.Hour, 20 * time.Second, "it says 2026-12-01 04:00:20 UTC, 1 h 0 min more", "stays at 2026-12-01 03:00:20 UTC"},
		{"ahead by a week", 0, 0, 7*day + time.Hour, time.Second, "7 d 1 h more", "stays at"},
		{"ahead for good", 0, 0, time.Hour, 2 * time.Minute, "", ""},
		{"back", time.Minute, 0, -time.Hour, time.Hour, "says 2026-12-01 03:00:00 UTC, and the rollout has already reached 2026-12-01 04:01:00 UTC, 1 h 1 min later", "time counted since"},
		{"back for good", time.Minute, 0, -time.Hour, 24*time.Hour + time.Second, "1 h 0 min later", "until the clock has got there"},
		{"a floor a little ahead", 80 * time.Second, 0, 0, time.Second, "1 min 20 s later", "time counted since"},
		{"a floor in the future", 5 * year, 0, 0, time.Second, "5 years later", "time counted since"},
		{"a mad floor", 100000 * day, 0, 0, time.Second, "273 years later", "time counted since"},
		{"1970", 0, -56 * year, 0, time.Second, "56 years later", "time counted since"},
	} {
		m := &machine{wall: noon(t).Add(tt.wall)}
		c := NewClock(m.read, noon(t).Add(tt.floor))
		m.jump(tt.jump)
		m.beats(c, tt.pass)
		err := c.Trouble()
		if tt.what == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		trouble, ok := errors.AsType[*Trouble](err)
		if !ok {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.what) || !strings.Contains(trouble.Effect, tt.effect) || trouble.Fix == "" {
			t.Errorf("%s:\n%s\n%s\n%s", tt.name, trouble.What, trouble.Effect, trouble.Fix)
		}
		if !trouble.Time.Equal(c.Mark()) || !trouble.Wall.Equal(m.wall) {
			t.Errorf("%s: %v, %v", tt.name, trouble.Time, trouble.Wall)
		}
	}
}

// A clock that creeps ahead by less at each reading than anybody would mind, like
// one that jumps by ever more, gets no further than what has lasted a minute.
func TestCreeping(t *testing.T) {
	t.Parallel()
	m := &machine{wall: noon(t)}
	c := NewClock(m.read, time.Time{})
	for i := range 3600 {
		m.jump(time.Second)
		m.pass(time.Second)
		ahead := c.Now().Sub(noon(t)) - time.Duration(i+1)*time.Second
		if most := time.Duration(max(0, i+1-60)) * time.Second; ahead > most {
			t.Fatalf("after %d s it is %v ahead", i+1, ahead)
		}
	}
	if gap := m.wall.Sub(m.beats(c, 2*time.Minute)) + 2*time.Minute; gap > 2*time.Minute {
		t.Errorf("%v late in the end", gap)
	}
}

// A clock that NTP slews, at most 500 parts in a million, is followed within a
// tenth of a second.
func TestSlew(t *testing.T) {
	t.Parallel()
	for _, rate := range []time.Duration{500 * time.Microsecond, -500 * time.Microsecond} {
		m := &machine{wall: noon(t)}
		c := NewClock(m.read, time.Time{})
		last := c.Now()
		for range 6 * 3600 {
			m.jump(rate)
			m.pass(time.Second)
			now := c.Now()
			if gap := now.Sub(m.wall).Abs(); gap > 100*time.Millisecond || now.Before(last) {
				t.Fatalf("at %v: %v", m.wall, now)
			}
			last = now
		}
	}
}

// A day and a half on the real clocks, once a second: every boundary is passed at
// the beat that reaches it, in order, and the next one was known a beat before.
func TestBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Round(0)
		s := &Schedule{
			Phases: []Phase{{Name: "now", Start: begin}, {Name: "hour", Start: begin.Add(time.Hour)}, {Name: "half", Start: begin.Add(90*time.Minute + time.Second/2)}},
			Brownouts: []Brownout{
				{Name: "short", From: begin.Add(2 * time.Hour), To: begin.Add(2*time.Hour + 300*time.Millisecond)},
				{Name: "long", From: begin.Add(time.Hour), To: begin.Add(30 * time.Hour)},
			},
		}
		c := NewClock(System(), time.Time{})
		last, passed := c.Mark(), 0
		due, _ := s.Next(last)
		for range 36 * 3600 {
			time.Sleep(time.Second)
			now := c.Now()
			for i, b := range s.Boundaries(last, now) {
				passed++
				if i == 0 && !b.Equal(due) || now.Sub(b) >= time.Second {
					t.Errorf("%v passed at %v, due was %v", b, now, due)
				}
			}
			last = now
			due, _ = s.Next(now)
		}
		if passed != 5 || c.Trouble() != nil {
			t.Errorf("%d passed, %v", passed, c.Trouble())
		}
	})
}

// Many ask at once; the time never goes back for any of them.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	m := &machine{wall: noon(t)}
	c := NewClock(m.read, time.Time{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			last := c.Mark()
			for range 1000 {
				m.pass(time.Millisecond)
				m.jump(time.Duration(i-3) * time.Second)
				now := c.Now()
				if now.Before(last) {
					t.Errorf("from %v to %v", last, now)
					return
				}
				_ = c.Trouble()
				last = c.Mark()
			}
		})
	}
	all.Wait()
}
