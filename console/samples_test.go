// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
	"op25b/human"
)

func TestRing(t *testing.T) {
	t.Parallel()
	var g ring
	at := then()
	next := func(c counters) {
		at = at.Add(2 * time.Second)
		c.time = at
		g.add(c)
	}
	next(counters{outbound: 1000, inbound: 5000, refused: 1, attempts: 2})
	if n := len(g.after(time.Time{})); n != 0 {
		t.Fatalf("one look makes %d samples", n)
	}
	next(counters{outbound: 1250, inbound: 5000, refused: 3, attempts: 9})
	want := []sample{{time: at, outbound: 1000, refused: 1, attempts: 3.5}}
	if diff := cmp.Diff(want, g.after(time.Time{}), cmp.AllowUnexported(sample{})); diff != "" {
		t.Error(diff)
	}
	next(counters{outbound: 1, attempts: 1}) // another process
	if n := len(g.after(time.Time{})); n != 1 {
		t.Errorf("%d samples after the counters went back", n)
	}
	for i := range uint64(2 * sampleRoom) {
		next(counters{outbound: 1 + i, attempts: 1})
	}
	all := g.after(time.Time{})
	if len(all) != sampleRoom || !all[sampleRoom-1].time.Equal(at) || !all[0].time.Equal(at.Add(-time.Duration(sampleRoom-1)*2*time.Second)) {
		t.Errorf("%d samples, from %v to %v", len(all), all[0].time, all[len(all)-1].time)
	}
	if later := g.after(at.Add(-5 * time.Second)); len(later) != 3 {
		t.Errorf("%d samples are later", len(later))
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	at := then()
	b := openSocket(t, Options{}, func(s *Server) {
		for i := range uint64(5) {
			s.samples.add(counters{time: at.Add(time.Duration(i) * 2 * time.Second), outbound: i * 250_000, inbound: i * 500_000, refused: i * 4, attempts: i * 6})
		}
	})
	var d samplesDocument
	if err := json.Unmarshal([]byte(b.do("/samples?after="+"1799749804000", nil).body), &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(samplesDocument{
		Interval: 2, Room: 450, Time: []int64{1799749806000, 1799749808000}, Outbound: []float64{1e6, 1e6}, Inbound: []float64{2e6, 2e6},
		Refused: []float64{2, 2}, Attempts: []float64{3, 3},
	}, d); diff != "" {
		t.Error(diff)
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	s := &Server{now: then, zone: time.FixedZone("JST", 9*60*60)}
	hour := then().Truncate(time.Hour)
	record := func(ago time.Duration, refused, relayed uint64) census.Record {
		return census.Record{Hour: hour.Add(-ago), Attempts: [census.NumOutcomes]uint64{census.Refused: refused, census.Relayed: relayed}}
	}
	c := s.chartOf([]census.Record{record(0, 10, 0), record(5*time.Hour, 30, 10), record(23*time.Hour, 0, 1), record(24*time.Hour, 99, 0)}, 1)
	if c.Each != "hour" || c.Width != 240 || c.Most != 40 || c.Total != 51 || !c.To.Equal(hour) || !c.From.Equal(hour.Add(-23*time.Hour)) {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]int{40}, c.Marks); diff != "" { // midnight in Japan, 19 hours before 19:00
		t.Error(diff)
	}
	want := []bar{
		{X: 1, Width: 8, BlockedY: "100.00", BlockedHeight: "0.00", PassedY: "97.54", PassedHeight: "2.46", Title: "2027-01-11 20:00 JST: 0 blocked, 1 passed"},
		{X: 181, Width: 8, BlockedY: "26.12", BlockedHeight: "73.88", PassedY: "1.50", PassedHeight: "24.62", Title: "2027-01-12 14:00 JST: 30 blocked, 10 passed"},
		{X: 231, Width: 8, BlockedY: "75.38", BlockedHeight: "24.62", PassedY: "75.38", PassedHeight: "0.00", Title: "2027-01-12 19:00 JST: 10 blocked, 0 passed"},
	}
	if diff := cmp.Diff(want, c.Bars); diff != "" {
		t.Error(diff)
	}
	// By days, each is the zone's: 16:00 UTC is the next day in Japan.
	c = s.chartOf([]census.Record{record(18*time.Hour, 1, 0), record(20*time.Hour, 2, 0)}, 30)
	if len(c.Bars) != 2 || c.Each != "day" || c.Bars[1].Title != "2027-01-12: 1 blocked, 0 passed" || c.Bars[0].Title != "2027-01-11: 2 blocked, 0 passed" {
		t.Errorf("%+v", c)
	}
	if c := s.chartOf(nil, 7); len(c.Bars) != 0 || c.Total != 0 {
		t.Errorf("%+v", c)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[string]string{"0": "0", "999": "999", "1000": "1,000", "123456": "123,456", "1234567": "1,234,567", "-100": "-100", "-1000": "-1,000"} {
		if got := human.Grouped(n); got != want {
			t.Errorf("human.Grouped(%s) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Hour: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min", 150 * time.Minute: "2 h 30 min", 49 * time.Hour: "2 d 1 h",
	} {
		if got := human.Span(d); got != want {
			t.Errorf("human.Span(%v) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 octets", 1023: "1,023 octets", 1024: "1.0 KiB", 19_293_798: "18.4 MiB", 3 << 40: "3.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := octets(n); got != want {
			t.Errorf("octets(%d) = %s, want %s", n, got, want)
		}
	}
}
