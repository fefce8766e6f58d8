// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of operators, wherever the test runs

	"github.com/google/go-cmp/cmp"
)

// in reads "2006-01-02 15:04:05", seconds or not, as clocks in a zone show it.
func in(t testing.TB, zone, text string) time.Time {
	t.Helper()
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	layout := time.DateTime
	if len(text) == len("2006-01-02 15:04") {
		layout = "2006-01-02 15:04"
	}
	at, err := time.ParseInLocation(layout, text, place)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func tokyo(t testing.TB, text string) time.Time { t.Helper(); return in(t, "Asia/Tokyo", text) }

// announced is a rollout as an ISP would write it.
func announced(t testing.TB) *Schedule {
	t.Helper()
	return &Schedule{
		Phases: []Phase{
			{Name: "all", Start: tokyo(t, "2027-01-15 02:00")},
			{Name: "census", Start: tokyo(t, "2026-11-01 00:00"), Pools: []string{"residential", "hotel"}, Mode: Monitor},
			{Name: "trial", Start: tokyo(t, "2026-12-01 02:00"), Pools: []string{"residential"}, Destinations: []string{"mobile"}, Share: 1000},
			{Name: "mobile", Start: tokyo(t, "2026-12-15 02:00"), Pools: []string{"residential"}, Destinations: []string{"mobile"}, Mode: Refuse},
		},
		Brownouts: []Brownout{
			{Name: "second", From: tokyo(t, "2026-11-25 10:00"), To: tokyo(t, "2026-11-25 10:30")},
			{Name: "first", From: tokyo(t, "2026-11-18 10:00"), To: tokyo(t, "2026-11-25 10:15"), Pools: []string{"residential"}, Destinations: []string{"mobile"}},
		},
		Ends: []End{{tokyo(t, "2027-01-15 02:00"), "relay reseller-msa ends"}},
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	s := announced(t)
	names := func(active []Active) (out []string) {
		for _, a := range active {
			out = append(out, a.Name)
		}
		return out
	}
	for _, tt := range []struct {
		pool, at string
		want     []string
	}{
		{"residential", "2026-10-31 23:59:59", nil},
		{"residential", "2026-11-01 00:00", []string{"census"}},
		{"hotel", "2026-11-01 00:00", []string{"census"}},
		{"wholesale", "2026-11-01 00:00", nil},
		{"residential", "2026-11-18 10:00", []string{"census", "first"}},
		{"residential", "2026-11-25 09:59:59", []string{"census", "first"}},
		{"residential", "2026-11-25 10:00", []string{"census", "first", "second"}},
		{"wholesale", "2026-11-25 10:00", []string{"second"}},
		{"residential", "2026-11-25 10:15", []string{"census", "second"}},
		{"residential", "2026-11-25 10:29:59", []string{"census", "second"}},
		{"residential", "2026-11-25 10:30", []string{"census"}},
		{"residential", "2026-12-01 02:00", []string{"census", "trial"}},
		{"residential", "2027-01-15 01:59:59", []string{"census", "trial", "mobile"}},
		{"residential", "2027-01-15 02:00", []string{"census", "trial", "mobile", "all"}},
		{"wholesale", "2027-01-15 02:00", []string{"all"}},
		{"wholesale", "2099-01-01 00:00", []string{"all"}},
	} {
		if diff := cmp.Diff(tt.want, names(s.At(tt.pool, tokyo(t, tt.at)))); diff != "" {
			t.Errorf("%s at %s (-want +got):\n%s", tt.pool, tt.at, diff)
		}
	}
}

// What is active says all that a policy is built from, with nothing left to guess.
func TestActive(t *testing.T) {
	t.Parallel()
	s := announced(t)
	got := append(s.At("residential", tokyo(t, "2026-11-25 10:00")), s.At("residential", tokyo(t, "2027-01-15 02:00"))...)
	want := []Active{
		{"census", Monitor, nil, All, tokyo(t, "2026-11-01 00:00"), time.Time{}},
		{"first", Refuse, []string{"mobile"}, All, tokyo(t, "2026-11-18 10:00"), tokyo(t, "2026-11-25 10:15")},
		{"second", Refuse, nil, All, tokyo(t, "2026-11-25 10:00"), tokyo(t, "2026-11-25 10:30")},
		{"census", Monitor, nil, All, tokyo(t, "2026-11-01 00:00"), time.Time{}},
		{"trial", Refuse, []string{"mobile"}, 1000, tokyo(t, "2026-12-01 02:00"), time.Time{}},
		{"mobile", Refuse, []string{"mobile"}, All, tokyo(t, "2026-12-15 02:00"), time.Time{}},
		{"all", Refuse, nil, All, tokyo(t, "2027-01-15 02:00"), time.Time{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a phase that names it, a pool is refused everything as ever.
func TestScheduled(t *testing.T) {
	t.Parallel()
	at := tokyo(t, "2026-12-01 00:00")
	rehearsal := Brownout{Name: "rehearsal", From: at, To: at.Add(time.Hour), Pools: []string{"a", "b"}}
	everywhere := Brownout{Name: "everywhere", From: at, To: at.Add(time.Hour)}
	for _, tt := range []struct {
		name string
		s    Schedule
		want map[string]int // scheduled pools, and how much is active
	}{
		{"nothing", Schedule{}, nil},
		{"an end", Schedule{Ends: []End{{at, "x"}}}, nil},
		{"brownouts alone", Schedule{Brownouts: []Brownout{rehearsal, everywhere}}, nil},
		{"a phase", Schedule{Phases: []Phase{{Name: "p", Start: at, Pools: []string{"a"}}}}, map[string]int{"a": 1}},
		{"a phase to come", Schedule{Phases: []Phase{{Name: "p", Start: at.Add(1), Pools: []string{"a"}}}}, map[string]int{"a": 0}},
		{"a phase of all", Schedule{Phases: []Phase{{Name: "p", Start: at.Add(1)}}}, map[string]int{"a": 0, "b": 0, "c": 0}},
		{
			"a brownout of a pool with a phase and one without",
			Schedule{Phases: []Phase{{Name: "p", Start: at.Add(1), Pools: []string{"a"}}}, Brownouts: []Brownout{rehearsal, everywhere}},
			map[string]int{"a": 2},
		},
	} {
		for _, pool := range []string{"a", "b", "c"} {
			active, scheduled := tt.want[pool]
			if got := tt.s.Scheduled(pool); got != scheduled {
				t.Errorf("%s: pool %s is scheduled: %t", tt.name, pool, got)
			}
			if got := tt.s.At(pool, at); len(got) != active {
				t.Errorf("%s: in pool %s there is %v, want %d", tt.name, pool, got, active)
			}
		}
	}
}
