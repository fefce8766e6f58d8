// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const monthPools = 20

// interval is a phase or brownout in one pool: what a schedule comes down to, in
// the model's way. Times are in minutes of the month.
type interval struct {
	name         string
	phase        bool
	order        int // as listed
	from, to     int // to: -1 for good
	mode         Mode
	share        uint16
	destinations []string
}

// month is a random schedule and the model's own record of it.
type month struct {
	start     time.Time
	schedule  Schedule
	pools     [monthPools][]interval
	scheduled [monthPools]bool
	minutes   map[int]bool // those with a boundary
}

func (m *month) at(minute int) time.Time { return m.start.Add(time.Duration(minute) * time.Minute) }

func poolName(i int) string { return fmt.Sprintf("pool-%02d", i) }

// newMonth fills 31 days: phases, brownouts and ends in full hours, so that many
// fall together, and a few pools that only brownouts name.
func newMonth(start time.Time, dice *rand.Rand) *month {
	m := &month{start: start, minutes: map[int]bool{}}
	hour := func() int { return dice.IntN(31*24) * 60 }
	pick := func(most int) (names []string, members []int) {
		if dice.IntN(8) == 0 {
			for i := range monthPools {
				members = append(members, i)
			}
			return nil, members
		}
		for range 1 + dice.IntN(4) {
			i := dice.IntN(most)
			names, members = append(names, poolName(i)), append(members, i)
		}
		slices.Sort(members)
		return names, slices.Compact(members)
	}
	groups := [][]string{nil, {"mobile"}, {"mobile", "webmail"}}
	for i := range 4 + dice.IntN(12) {
		v := interval{name: fmt.Sprintf("phase-%d", i), phase: true, order: i, from: hour(), to: -1, mode: Refuse, share: uint16(1 + dice.IntN(All)), destinations: groups[dice.IntN(3)]}
		if dice.IntN(4) == 0 {
			v.mode = Monitor
		}
		names, members := pick(monthPools - 4)
		m.schedule.Phases = append(m.schedule.Phases, Phase{v.name, m.at(v.from), names, v.destinations, v.share, v.mode})
		m.minutes[v.from] = true
		for _, pool := range members {
			m.pools[pool] = append(m.pools[pool], v)
			m.scheduled[pool] = true
		}
	}
	for i := range 4 + dice.IntN(12) {
		v := interval{name: fmt.Sprintf("brownout-%d", i), order: i, from: hour(), mode: Refuse, share: All, destinations: groups[dice.IntN(3)]}
		v.to = v.from + []int{30, 60, 120, 24 * 60}[dice.IntN(4)]
		names, members := pick(monthPools)
		m.schedule.Brownouts = append(m.schedule.Brownouts, Brownout{v.name, m.at(v.from), m.at(v.to), names, v.destinations})
		m.minutes[v.from], m.minutes[v.to] = true, true
		for _, pool := range members {
			m.pools[pool] = append(m.pools[pool], v)
		}
	}
	for i := range dice.IntN(6) {
		minute := hour()
		m.schedule.Ends = append(m.schedule.Ends, End{m.at(minute), fmt.Sprintf("relay-%d ends", i)})
		m.minutes[minute] = true
	}
	return m
}

// active is the model: what covers a moment, given as the last full minute.
func (m *month) active(pool, minute int) []Active {
	if !m.scheduled[pool] {
		return nil
	}
	var covering []interval
	for _, v := range m.pools[pool] {
		if v.from <= minute && (v.to == -1 || minute < v.to) {
			covering = append(covering, v)
		}
	}
	slices.SortFunc(covering, func(a, b interval) int {
		if a.phase != b.phase {
			if a.phase {
				return -1
			}
			return 1
		}
		return cmp.Or(a.from-b.from, a.order-b.order)
	})
	var out []Active
	for _, v := range covering {
		a := Active{Name: v.name, Mode: v.mode, Destinations: v.destinations, Share: v.share, Since: m.at(v.from)}
		if v.to != -1 {
			a.Until = m.at(v.to)
		}
		out = append(out, a)
	}
	return out
}

// Twenty pools over a month: at each boundary, and a nanosecond, a second and a
// minute around it, what is in force and what comes next is what the model says.
func TestMonth(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		dice := rand.New(rand.NewPCG(seed, 25))
		start := tokyo(t, "2026-12-01 00:00")
		if seed%2 == 1 {
			start = in(t, "Europe/Berlin", "2027-03-15 00:00") // DST begins on the 28th
		}
		m := newMonth(start, dice)
		boundaries := 0
		for minute := range 33 * 24 * 60 {
			if !m.minutes[minute] {
				continue
			}
			boundaries++
			at := m.at(minute)
			for _, moment := range []struct {
				t    time.Time
				full int // minutes
			}{
				{at.Add(-time.Minute), minute - 1}, {at.Add(-time.Second), minute - 1}, {at.Add(-1), minute - 1},
				{at, minute}, {at.Add(1), minute}, {at.Add(time.Second), minute}, {at.Add(time.Minute), minute + 1},
			} {
				m.compare(t, moment.t, moment.full)
			}
		}
		if boundaries < 10 {
			t.Errorf("seed %d has %d boundaries", seed, boundaries)
		}
	}
}

func (m *month) compare(t *testing.T, at time.Time, minute int) {
	t.Helper()
	for pool := range monthPools {
		if got := m.schedule.Scheduled(poolName(pool)); got != m.scheduled[pool] {
			t.Fatalf("%s is scheduled: %t", poolName(pool), got)
		}
		want, got := m.active(pool, minute), m.schedule.At(poolName(pool), at)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%s at %v (-model +got):\n%s", poolName(pool), at, gocmp.Diff(want, got))
		}
	}
	next, more := minute+1, true
	for ; !m.minutes[next] && more; next++ {
		more = next < 40*24*60
	}
	got, ok := m.schedule.Next(at)
	if ok != more || ok && !got.Equal(m.at(next)) {
		t.Fatalf("after %v comes %v, %t; want %v, %t", at, got, ok, m.at(next), more)
	}
}
