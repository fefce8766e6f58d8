// SPDX-License-Identifier: Apache-2.0

package report

import (
	"sort"
	"time"
)

// longestHourly is how long a report may be for its trend to go by the hour: more
// hours than that are no longer told apart in a picture.
const longestHourly = 72 * time.Hour

// trend is the steps of a report, from its first hour on without a gap.
type trend struct {
	points []Point
}

// newTrend has steps of an hour, or of a day that begins at midnight where from is. The
// first day may be a part of one.
func newTrend(from, to time.Time) trend {
	t := trend{points: []Point{}}
	next := nextDay
	if to.Sub(from) <= longestHourly {
		next = func(at time.Time) time.Time { return at.Add(time.Hour) }
	}
	for at := from; at.Before(to); at = next(at) {
		t.points = append(t.points, Point{Time: at})
	}
	return t
}

// nextDay is the midnight after a time, in its location; where summer time skips
// midnight, the hour after.
func nextDay(at time.Time) time.Time {
	year, month, day := at.Date()
	next := time.Date(year, month, day+1, 0, 0, 0, 0, at.Location())
	if !next.After(at) {
		next = at.Add(24 * time.Hour)
	}
	return next
}

// step is the index of the step that a time within the report belongs to.
func (t trend) step(at time.Time) int {
	return sort.Search(len(t.points), func(i int) bool { return t.points[i].Time.After(at) }) - 1
}

// byDay reports whether the steps of a trend are days.
func byDay(points []Point) bool {
	return len(points) > 1 && points[len(points)-1].Time.Sub(points[len(points)-2].Time) > time.Hour
}
