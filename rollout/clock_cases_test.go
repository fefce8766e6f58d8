// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// run is a stretch in which a clock is a fixed amount beside the truth, from a
// moment on. Moments are counted by the monotonic clock from the start of a case.
type run struct{ from, beside time.Duration }

// beside is the last run that has begun, in the order of time.
func beside(runs *[]run, at time.Duration) time.Duration {
	for len(*runs) > 1 && (*runs)[1].from <= at {
		*runs = (*runs)[1:]
	}
	if len(*runs) == 0 || (*runs)[0].from > at {
		return 0
	}
	return (*runs)[0].beside
}

// clockCase is what the wall clock does and, by hand, what should be believed when.
// The model has no more to it: the time is the latest that was ever believed.
type clockCase struct {
	name   string
	floor  *time.Duration // beside the truth at the start; nil: none
	wall   []run
	want   []run
	length time.Duration
}

// readings are when the clock is read: every second where something happens, and
// every 20 s in between.
func (c *clockCase) readings() []time.Duration {
	const coarse, near = 20 * time.Second, 75 * time.Second
	fine := map[time.Duration]bool{}
	for at := time.Duration(0); at <= c.length; at += coarse {
		fine[at] = true
	}
	for _, r := range slices.Concat(c.wall, c.want) {
		for at := r.from - near; at <= r.from+near; at += time.Second {
			if at >= 0 && at <= c.length {
				fine[at] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(fine))
}

// anchors are the moments around which things are announced, and where the wall
// clock does what it does. UTC is said by hand: zones are part of what is tested.
var anchors = []struct{ zone, local, utc string }{
	{"Asia/Tokyo", "2026-12-01 02:00", "2026-11-30 17:00"},          // no DST
	{"Asia/Tokyo", "2027-01-01 00:00", "2026-12-31 15:00"},          // a year ends
	{"Asia/Tokyo", "2028-02-29 00:00", "2028-02-28 15:00"},          // the leap day begins
	{"Asia/Tokyo", "2028-03-01 00:00", "2028-02-29 15:00"},          // and ends
	{"Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00"},       // DST ends
	{"Europe/Berlin", "2027-03-28 03:00", "2027-03-28 01:00"},       // DST begins
	{"America/New_York", "2026-11-01 02:00", "2026-11-01 07:00"},    // DST ends
	{"America/New_York", "2027-03-14 03:00", "2027-03-14 07:00"},    // DST begins
	{"America/New_York", "2028-02-29 02:00", "2028-02-29 07:00"},    // the leap day
	{"Australia/Lord_Howe", "2027-04-04 02:00", "2027-04-03 15:30"}, // DST of half an hour ends
}

// lead is how long before its anchor a case starts.
const lead = 30 * time.Minute

// clockCases are those for an anchor. e is when the wall clock does it.
func clockCases(e time.Duration, start time.Time) []clockCase {
	cases := []clockCase{{name: "nothing happens"}}
	add := func(name string, wall, want []run) {
		cases = append(cases, clockCase{name: name, wall: wall, want: want})
	}
	for _, x := range []time.Duration{11 * time.Second, time.Minute, 59 * time.Minute, time.Hour, day, 366 * day, 56 * year} {
		for _, d := range []time.Duration{time.Second, 90 * time.Second, 100 * time.Minute} {
			add(fmt.Sprintf("back by %v for %v", x, d), []run{{e, -x}, {e + d, 0}}, nil)
		}
		for _, d := range []time.Duration{time.Second, 30 * time.Second, 59 * time.Second} {
			add(fmt.Sprintf("ahead by %v for %v", x, d), []run{{e, x}, {e + d, 0}}, nil)
		}
		add(fmt.Sprintf("asleep for %v", x), []run{{e, x}}, []run{{e + settle, x}})
		add(fmt.Sprintf("asleep for %v, woken by a clock that needs to be told", x),
			[]run{{e, 0}, {e + 5*time.Minute, x}}, []run{{e + 6*time.Minute, x}})
		add(fmt.Sprintf("ahead by %v for two minutes", x),
			[]run{{e, x}, {e + 2*time.Minute, 0}}, []run{{e + settle, x}, {e + 3*time.Minute, 0}})
		add(fmt.Sprintf("ahead by %v for an hour", x),
			[]run{{e, x}, {e + time.Hour, 0}}, []run{{e + settle, x}, {e + time.Hour + settle, 0}})
		add(fmt.Sprintf("ahead by %v twice, a moment apart", x),
			[]run{{e, x}, {e + 40*time.Second, 0}, {e + 41*time.Second, x}, {e + 81*time.Second, 0}}, nil)
		add(fmt.Sprintf("torn between the time and %v ahead", x), torn(e, x, 0), nil)
		add(fmt.Sprintf("torn between the time and %v behind", x), torn(e, -x, 0), nil)
		add(fmt.Sprintf("torn between %v ahead and behind", x), torn(e, x, -x), nil)
		add(fmt.Sprintf("at %v and twice as much behind by turns", x), torn(e, -x, -2*x), nil)
	}
	add("set back by 5 s", []run{{e, -5 * time.Second}}, []run{{e + settle, -5 * time.Second}})
	add("set ahead by 5 s", []run{{e, 5 * time.Second}}, []run{{e + settle, 5 * time.Second}})
	add("a leap second", []run{{e, -time.Second}}, []run{{e + settle, -time.Second}})
	steps, late := corrections()
	add("corrected by 100 ms again and again", steps, late)
	add("asleep for an hour three times",
		[]run{{e, time.Hour}, {e + 2*time.Minute, 2 * time.Hour}, {e + 150*time.Second, 3 * time.Hour}},
		[]run{{e + settle, time.Hour}, {e + 3*time.Minute, 2 * time.Hour}, {e + 4*time.Minute, 3 * time.Hour}})
	add("ahead by an hour, then a day, then the hour",
		[]run{{e, time.Hour}, {e + 20*time.Second, day}, {e + 40*time.Second, time.Hour}}, []run{{e + settle, time.Hour}})
	add("ahead by a day, then an hour", []run{{e, day}, {e + 20*time.Second, time.Hour}}, []run{{e + settle, time.Hour}})
	add("ahead by a day for two minutes, then an hour",
		[]run{{e, day}, {e + 2*time.Minute, time.Hour}}, []run{{e + settle, day}, {e + 3*time.Minute, time.Hour}})
	add("asleep for an hour, then back beyond that",
		[]run{{e, time.Hour}, {e + 10*time.Minute, -time.Hour}}, []run{{e + settle, time.Hour}})

	boot := func(name string, floor time.Duration, wall, want []run) {
		cases = append(cases, clockCase{name: name, floor: &floor, wall: wall, want: want})
	}
	epoch := time.Unix(0, 0).Sub(start)
	add("boots in 1970", []run{{0, epoch}}, []run{{0, epoch}})
	add("boots in 1970, set later", []run{{0, epoch}, {e, 0}}, []run{{0, epoch}, {e + settle, 0}})
	boot("boots in 1970 with a floor", -10*time.Minute, []run{{0, epoch}}, []run{{0, -10 * time.Minute}})
	boot("boots in 1970 with a floor, set later", -40*time.Minute, []run{{0, epoch}, {e, 0}}, []run{{0, -40 * time.Minute}, {e + settle, 0}})
	boot("boots after an hour", -time.Hour, nil, nil)
	boot("boots after a year", -year, nil, nil)
	boot("starts again while the clock is back", 0, []run{{0, -time.Hour}, {e, 0}}, nil)
	boot("starts again while the clock is a little back", 0, []run{{0, -3 * time.Second}}, []run{{0, 0}, {settle, -3 * time.Second}})
	boot("starts with a floor ahead by five years", 5*year, nil, []run{{0, 5 * year}})
	add("boots 9 h ahead, set at once", []run{{0, 9 * time.Hour}, {20 * time.Second, 0}}, []run{{0, 9 * time.Hour}, {80 * time.Second, 0}})
	add("boots 10 min ahead, set at once", []run{{0, 10 * time.Minute}, {20 * time.Second, 0}}, []run{{0, 10 * time.Minute}, {80 * time.Second, 0}})

	for i := range cases {
		cases[i].length = lead + 2*time.Hour
	}
	long := func(c clockCase) {
		c.length = 55 * time.Hour
		cases = append(cases, c)
	}
	hour := time.Hour
	long(clockCase{name: "set back by an hour for good", wall: []run{{e, -time.Hour}}, want: []run{{e + loyalty, -time.Hour}}})
	long(clockCase{name: "back by an hour for 23 hours", wall: []run{{e, -time.Hour}, {e + 23*time.Hour, 0}}})
	long(clockCase{name: "starts with a floor an hour ahead", floor: &hour, want: []run{{0, time.Hour}, {loyalty, 0}}})
	long(clockCase{
		name: "ahead by a day for 20 hours", wall: []run{{e, day}, {e + 20*time.Hour, 0}},
		want: []run{{e + settle, day}, {e + 20*time.Hour + settle, 0}},
	})
	long(clockCase{
		name: "asleep for an hour, back by it a day later", wall: []run{{e, time.Hour}, {e + 25*time.Hour, 0}},
		want: []run{{e + settle, time.Hour}, {e + 25*time.Hour + loyalty, 0}},
	})
	return cases
}

// torn is a wall clock that two others set every 20 s by turns.
func torn(e, a, b time.Duration) (wall []run) {
	for i := range 45 {
		at := e + time.Duration(i)*40*time.Second
		wall = append(wall, run{at, a}, run{at + 20*time.Second, b})
	}
	return append(wall, run{e + 30*time.Minute, 0})
}

// corrections are steps up and down every 3 min, and how they are believed.
func corrections() (wall, want []run) {
	off := time.Duration(0)
	for i := range 50 {
		off += time.Duration([]int{100, 100, -100, 50, -250}[i%5]) * time.Millisecond
		at := time.Duration(i+1) * 3 * time.Minute
		wall, want = append(wall, run{at, off}), append(want, run{at + settle, off})
	}
	return wall, want
}

// Whatever the wall clock does, what is announced begins when the model says, not
// a reading sooner or later.
func TestClockCases(t *testing.T) {
	t.Parallel()
	cases := 0
	for i, a := range anchors {
		anchor := in(t, a.zone, a.local)
		if want := in(t, "UTC", a.utc); !anchor.Equal(want) {
			t.Fatalf("%s in %s is %v, not %v", a.local, a.zone, anchor.UTC(), want)
		}
		start := anchor.Add(-lead)
		near := time.Duration(i%3-1) * time.Second // at the boundary, or right beside
		for _, c := range clockCases(lead+near, start) {
			cases++
			t.Run(a.zone+" "+a.local+" "+c.name, func(t *testing.T) {
				t.Parallel()
				c.play(t, start, around(anchor))
			})
		}
	}
	if cases < 200 {
		t.Errorf("only %d cases", cases)
	}
	t.Logf("%d cases", cases)
}

// around announces things at an anchor, close to it, and wherever a clock that is
// wrong by a usual amount would have it.
func around(anchor time.Time) *Schedule {
	s := &Schedule{}
	for _, x := range []time.Duration{
		0, time.Second, time.Minute, time.Minute + time.Second, 10 * time.Minute, time.Hour - time.Second, time.Hour, 61 * time.Minute, 9 * time.Hour, day, 366 * day, 5 * year,
	} {
		s.Phases = append(s.Phases, Phase{Name: x.String(), Start: anchor.Add(x)})
		s.Ends = append(s.Ends, End{anchor.Add(-x), "before"})
	}
	s.Brownouts = []Brownout{{Name: "brownout", From: anchor.Add(-15 * time.Minute), To: anchor.Add(15 * time.Minute)}}
	return s
}

func (c *clockCase) play(t *testing.T, start time.Time, s *Schedule) {
	t.Helper()
	var at time.Duration
	wall, want := c.wall, c.want
	read := func() (time.Time, time.Duration) {
		return start.Add(at + beside(&wall, at)), at + 12345*time.Second
	}
	var floor time.Time
	if c.floor != nil {
		floor = start.Add(*c.floor)
	}
	clock := NewClock(read, floor)
	model, last := floor, clock.Mark()
	next, more := s.Next(last)
	var passed []time.Time
	for _, at = range c.readings() {
		now := clock.Now()
		if believed := start.Add(at + beside(&want, at)); believed.After(model) {
			model = believed
		}
		if now.Before(last) {
			t.Fatalf("after %v: back from %v to %v", at, last, now)
		}
		if more && !next.After(now) {
			passed = append(passed, s.Boundaries(last, now)...)
			if unintended := s.Boundaries(model, now); len(unintended) > 0 {
				t.Errorf("after %v: unintended switches, it is %v: %v", at, model, unintended)
			}
			next, more = s.Next(now)
		}
		if !now.Equal(model) {
			t.Fatalf("after %v: it is %v, want %v", at, now, model.UTC())
		}
		last = now
	}
	if !slices.EqualFunc(passed, s.Boundaries(first(c, start), model), time.Time.Equal) {
		t.Errorf("passed %v", passed)
	}
	if last != clock.Mark() {
		t.Errorf("the mark is %v, not %v", clock.Mark(), last)
	}
}

// first is the time of a clock when it starts.
func first(c *clockCase, start time.Time) time.Time {
	wall := c.wall
	at := beside(&wall, 0)
	if c.floor != nil {
		at = max(at, *c.floor)
	}
	return start.Add(at)
}
