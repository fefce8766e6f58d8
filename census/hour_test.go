// SPDX-License-Identifier: Apache-2.0

package census

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The records of two subscribers in an hour, whole.
func TestRecords(t *testing.T) {
	t.Parallel()
	b, handed := newBook(Options{})
	for _, a := range []Attempt{
		try(after(30*time.Second), bob, mx2),
		try(after(2*time.Minute), alice, mx2),
		try(after(2*time.Minute+time.Second), alice, mx2),
		try(after(10*time.Minute), alice, mx1),
		try(after(59*time.Minute+59*time.Second), alice, mx1),
		try(after(60*time.Minute), alice, mx1), // a retry in the hour after
	} {
		b.Add(a)
	}
	b.AddReply(Reply{Time: after(61 * time.Minute), Pool: "home", Subscriber: bob, Peer: mx1, Kind: ReplyData})
	b.Tick(after(61 * time.Minute))
	b.Tick(after(62 * time.Minute))
	b.Close()
	b.Close()
	one := noon.Add(time.Hour)
	want := map[time.Time][]Record{
		noon: {
			{Hour: noon, Subscriber: alice, Pool: "home", Attempts: [NumOutcomes]uint64{3}, Packets: 4,
				Destinations: 2, Minutes: 1<<2 | 1<<10 | 1<<59, Top: []Destination{
					{Prefix: host(mx1), Port: 25, Attempts: 2, Packets: 2, First: after(10 * time.Minute), Last: after(59*time.Minute + 59*time.Second)},
					{Prefix: host(mx2), Port: 25, Attempts: 1, Packets: 2, First: after(2 * time.Minute), Last: after(2*time.Minute + time.Second)},
				}},
			{Hour: noon, Subscriber: bob, Pool: "home", Attempts: [NumOutcomes]uint64{1}, Packets: 1,
				Destinations: 1, Minutes: 1, Top: []Destination{
					{Prefix: host(mx2), Port: 25, Attempts: 1, Packets: 1, First: after(30 * time.Second), Last: after(30 * time.Second)},
				}},
		},
		one: {
			{Hour: one, Subscriber: alice, Pool: "home", Packets: 1, Top: []Destination{}},
			{Hour: one, Subscriber: bob, Pool: "home", Top: []Destination{}, Unsolicited: Unsolicited{Data: 1, Peers: 1, DataPeers: 1}},
		},
	}
	if d := cmp.Diff(want, handed.records, equal()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]time.Time{noon, one}, handed.hours); d != "" {
		t.Error(d)
	}
	b.Add(try(after(2*time.Hour), alice, mx1))
	b.Tick(after(3 * time.Hour))
	if len(handed.hours) != 2 || b.Health().Packets != 6 {
		t.Error("a closed book counts")
	}
}

// When hours are handed on, whatever the clock does. A packet of an attempt of its own
// comes with each time; with tick, Tick has come before it.
func TestHours(t *testing.T) {
	t.Parallel()
	type step struct {
		minutes int
		tick    bool
	}
	for _, row := range []struct {
		name  string
		steps []step
		want  map[int]uint64 // attempts by the hour after noon
		order []int
	}{
		{"forward", []step{{0, true}, {59, true}, {60, true}, {61, true}, {125, true}},
			map[int]uint64{0: 2, 1: 2, 2: 1}, []int{0, 1, 2}},
		{"packets alone", []step{{0, false}, {60, false}, {120, false}}, map[int]uint64{0: 1, 1: 1, 2: 1}, []int{0, 1, 2}},
		{"hours without packets", []step{{0, true}, {300, true}}, map[int]uint64{0: 1, 5: 1}, []int{0, 5}},
		{"a packet that waited while the hour began", []step{{59, true}, {60, true}, {58, false}}, map[int]uint64{0: 1, 1: 2}, []int{0, 1}},
		{"the clock's last second of the hour before", []step{{60, true}, {59, true}}, map[int]uint64{1: 2}, []int{1}},
		{"back into an hour that was handed on", []step{{0, true}, {60, true}, {30, true}, {70, true}, {125, true}},
			map[int]uint64{0: 1, 1: 3, 2: 1}, []int{0, 1, 2}},
		{"far ahead and back", []step{{0, true}, {6000, true}, {10, true}, {59, true}, {60, true}, {61, true}},
			map[int]uint64{0: 1, 100: 3, 1: 2}, []int{0, 100, 1}},
		{"back over hours that nobody has seen", []step{{300, true}, {125, true}, {190, true}},
			map[int]uint64{5: 1, 2: 1, 3: 1}, []int{5, 2, 3}},
		{"on through an hour that was handed on", []step{{300, true}, {240, true}, {310, true}, {365, true}},
			map[int]uint64{5: 1, 4: 2, 6: 1}, []int{5, 4, 6}},
		{"packets alone do not set the clock", []step{{300, true}, {125, false}}, map[int]uint64{5: 2}, []int{5}},
		{"before 1970", []step{{-60 * 24 * 365 * 60, true}, {-60*24*365*60 + 60, true}},
			map[int]uint64{-24 * 365 * 60: 1, -24*365*60 + 1: 1}, []int{-24 * 365 * 60, -24*365*60 + 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b, handed := newBook(Options{})
			for i, s := range row.steps {
				at := after(time.Duration(s.minutes) * time.Minute)
				if s.tick {
					b.Tick(at)
				}
				b.Add(try(at, alice, server(i)))
			}
			b.Close()
			got := map[int]uint64{}
			for hour, records := range handed.records {
				for _, r := range records {
					got[int(hour.Sub(noon)/time.Hour)] += r.Total()
					if d := r.Top[0]; d.First.Before(hour) || !d.Last.Before(hour.Add(time.Hour)) || r.Minutes>>60 != 0 {
						t.Errorf("times are outside of the hour: %+v", r)
					}
				}
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Error(d)
			}
			var order []int
			for _, hour := range handed.hours {
				order = append(order, int(hour.Sub(noon)/time.Hour))
			}
			if d := cmp.Diff(row.order, order); d != "" {
				t.Error(d)
			}
		})
	}
}

// Since is the book's beginning at first, and then the hour.
func TestSince(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	if s := b.Top(1); !s.Since.IsZero() || s.Subscribers == nil || s.Destinations == nil || len(b.Current()) != 0 {
		t.Errorf("%+v of an empty book", s)
	}
	for _, step := range []struct{ at, since time.Duration }{
		{10 * time.Minute, 10 * time.Minute},
		{20 * time.Minute, 10 * time.Minute},
		{61 * time.Minute, 60 * time.Minute},
		{200 * time.Minute, 200 * time.Minute}, // an hour is missing: the clock was set
	} {
		b.Tick(after(step.at))
		if s := b.Top(1); !s.Since.Equal(after(step.since)) {
			t.Errorf("at %s: since %s", step.at, s.Since)
		}
	}
}
