// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drawn is a picture of so many refused attempts by day or hour.
func drawn(width int, step time.Duration, refused ...uint64) *plot {
	r := Report{From: time.Date(2026, 11, 1, 0, 0, 0, 0, japan())}
	for i, n := range refused {
		r.Trend = append(r.Trend, Point{Time: r.From.Add(time.Duration(i) * step), Counts: Counts{Refused: n, Exempt: n / 2}})
	}
	return r.draw(width, outcomeHeight, outcomeLayers(), "attempts")
}

func labels(ticks []tick) []string {
	var all []string
	for _, t := range ticks {
		all = append(all, t.Label)
	}
	return all
}

func TestScale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		largest uint64
		want    []string
	}{
		{0, []string{"0", "1"}},
		{1, []string{"0", "1"}},
		{4, []string{"0", "1", "2", "3", "4"}},
		{5, []string{"0", "2", "4", "6"}},
		{9, []string{"0", "5", "10"}},
		{2610, []string{"0", "1,000", "2,000", "3,000"}},
		{1_000_000, []string{"0", "500,000", "1,000,000"}},
	} {
		p := plot{largest: c.largest, Bottom: 200}
		p.scale()
		if diff := cmp.Diff(c.want, labels(p.Horizontal)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", c.largest, diff)
		}
	}
}

// Nothing is drawn outside of the axes, pieces of a bar stand on each other, and
// numbers that a counter never has do not hang it.
func TestBarsStayInside(t *testing.T) {
	t.Parallel()
	for _, refused := range [][]uint64{
		{0}, {1}, {7, 0, 3}, {1, math.MaxUint64 / 2}, make([]uint64, 400), {1e18, 1, 1e9},
	} {
		for _, width := range []int{wide, narrow} {
			p := drawn(width, 24*time.Hour, refused...)
			for _, b := range p.Bars {
				bottom := float64(p.Bottom)
				for _, piece := range b.Pieces {
					x, y, w, h := number(t, piece.X), number(t, piece.Y), number(t, piece.Width), number(t, piece.Height)
					if x < float64(p.Left) || x+w > float64(p.Right)+0.01 || w <= 0 {
						t.Errorf("%v: a piece is at %v, %v wide", refused, x, w)
					}
					if p.largest < mostDrawn && (y < plotTop-0.01 || math.Abs(y+h-bottom) > 0.51) {
						t.Errorf("%v: a piece is from %v to %v, want on %v", refused, y, y+h, bottom)
					}
					bottom = y
				}
			}
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		width int
		step  time.Duration
		steps int
		want  []string
	}{
		{"a week", wide, 24 * time.Hour, 7, []string{"1 Nov", "2 Nov", "3 Nov", "4 Nov", "5 Nov", "6 Nov", "7 Nov"}},
		{"a week on a telephone", narrow, 24 * time.Hour, 7, []string{"1 Nov", "3 Nov", "5 Nov", "7 Nov"}},
		{"two days by hour", narrow, time.Hour, 48, []string{"1 Nov", "12:00", "2 Nov", "12:00"}},
		{"a year", narrow, 24 * time.Hour, 360, []string{"1 Nov", "21 Feb", "13 Jun"}},
	} {
		got := labels(drawn(c.width, c.step, make([]uint64, c.steps)...).Along)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPictureInWords(t *testing.T) {
	t.Parallel()
	const some = "Bars: attempts, from Sun 2026-11-01 to Tue 2026-11-03. Most at Mon 2026-11-02: 1,200 refused, 600 exempt. The last, 3 refused, 1 exempt."
	if got := drawn(wide, 24*time.Hour, 0, 1200, 3).Text; got != some {
		t.Errorf("%q, want %q", got, some)
	}
	const none = "Bars: attempts. There were none."
	if got := drawn(wide, 24*time.Hour, 0, 0).Text; got != none {
		t.Errorf("%q, want %q", got, none)
	}
}
