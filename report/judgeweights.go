// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
)

// A feature is one thing that people can check, and what it weighs.
type feature struct {
	name string
	// measure returns its value, and false if the records do not tell.
	measure func(*habits) (float64, bool)
	// points say what values weigh, with values rising. Between two it is a straight line;
	// beyond the ends it stays. By ratio: values go by their logarithms.
	points  []point
	byRatio bool
	text    func(float64) string
}

// point is a value and its weight: above zero for infected, below for mailer.
type point struct{ value, weight float64 }

// temper turns scores into confidences. Like the weights it comes from the simulated
// populations of seeds 1 to 20: see docs/findings.md, and TestTune, which computes them.
const temper = 1.15

// features is the table that findings come from. To weigh things differently, change it
// here; TestFindings says what became better and what worse.
func features() []feature {
	return []feature{
		{"destinations_per_hour", mostDestinations, []point{
			{1, -1.7}, {2, -1.3}, {5, 0.5}, {10, 0.5}, {100, 0.5}, {1000, 0.5},
		}, true, sayCount("up to %.0f different destinations in an hour", "never more than one destination in an hour")},
		{"usual_destinations", usualDestinations, []point{
			{1, -2.3}, {3, -1.4}, {10, 1.4}, {100, 1.4},
		}, true, sayCount("%.0f different destinations in a typical hour", "one destination in a typical hour")},
		{"attempts_per_destination", perDestination, []point{
			{1, 3.3}, {2, -2.3}, {5, -2.3}, {20, -2.3},
		}, true, say("each destination is tried %.1f times in an hour, on average")},
		{"new_destinations", newShare, []point{
			{0.1, -1.4}, {0.3, -0.8}, {0.6, 1.5},
		}, false, sayShare("%.0f%% of an hour's destinations were not tried before")},
		{"known_providers", knownShare, []point{
			{0.7, 0.9}, {1, -0.8},
		}, false, sayShare("%.0f%% of the named attempts go to known mail providers")},
		{"hours_per_day", hoursPerDay, []point{
			{1, -1.0}, {4, -0.6}, {8, 0.3}, {24, 0.3},
		}, false, sayCount("active in %.1f hours of a day", "active in one hour of a day")},
		{"working_hours", workShare, []point{
			{0.35, 0.3}, {0.6, -0.3}, {0.9, -0.9},
		}, false, sayShare("%.0f%% of the attempts are in working hours")},
		{"minutes_per_hour", minutesPerHour, []point{
			{1, -2.5}, {3, -2.5}, {10, -2.1}, {30, 2.4}, {60, 3.8},
		}, true, sayCount("active in %.0f minutes of a typical hour", "active in one minute of a typical hour")},
	}
}

// weigh returns the weight of a value.
func (f *feature) weigh(value float64) (weight float64) {
	i, share := f.place(value)
	weight = f.points[i].weight
	if share > 0 {
		weight += share * (f.points[i+1].weight - weight)
	}
	return weight
}

// place returns the last point that is not above a value, and how much of the way to the
// next is behind: from 0 to less than 1.
func (f *feature) place(value float64) (i int, share float64) {
	scale := func(v float64) float64 { return v }
	if f.byRatio {
		scale = func(v float64) float64 { return math.Log(max(v, 1)) }
	}
	for i < len(f.points)-1 && f.points[i+1].value <= value {
		i++
	}
	if i == len(f.points)-1 || value <= f.points[i].value {
		return i, 0
	}
	low, high := scale(f.points[i].value), scale(f.points[i+1].value)
	return i, (scale(value) - low) / (high - low)
}

func say(text string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(text, v) }
}

// sayCount has words of its own for one.
func sayCount(many, one string) func(float64) string {
	return func(v float64) string {
		if v <= 1 {
			return one
		}
		return fmt.Sprintf(many, v)
	}
}

func sayShare(text string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(text, 100*v) }
}
