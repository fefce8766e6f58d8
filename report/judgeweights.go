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
const temper = 1.0

// features is the table that findings come from. To weigh things differently, change it
// here; TestFindings says what became better and what worse.
func features() []feature {
	return []feature{
		{"destinations_per_hour", mostDestinations, []point{
			{1, 0}, {2, 0}, {5, 0}, {10, 0}, {30, 0}, {100, 0}, {300, 0}, {1000, 0},
		}, true, count("%.0f different destinations in one hour", "never more than one destination in an hour")},
		{"usual_destinations", usualDestinations, []point{
			{1, 0}, {3, 0}, {10, 0}, {30, 0}, {100, 0},
		}, true, count("%.0f different destinations in most hours", "one destination in most hours")},
		{"attempts_per_hour", mostAttempts, []point{
			{1, 0}, {10, 0}, {30, 0}, {100, 0}, {300, 0}, {1000, 0},
		}, true, count("%.0f attempts in one hour", "never more than one attempt in an hour")},
		{"attempts_per_destination", perDestination, []point{
			{1, 0}, {2, 0}, {5, 0}, {20, 0}, {60, 0},
		}, true, format("a destination is tried %.1f times an hour")},
		{"top_share", topShare, []point{
			{0, 0}, {0.2, 0}, {0.5, 0}, {0.8, 0}, {1, 0},
		}, false, percent("%.0f%% of the attempts go to no more than three destinations")},
		{"new_destinations", newShare, []point{
			{0, 0}, {0.1, 0}, {0.3, 0}, {0.6, 0}, {0.9, 0},
		}, false, percent("%.0f%% of the destinations of an hour are new")},
		{"known_providers", knownShare, []point{
			{0, 0}, {0.3, 0}, {0.7, 0}, {1, 0},
		}, false, percent("%.0f%% of the named attempts go to known mail providers")},
		{"hours_per_day", hoursPerDay, []point{
			{1, 0}, {4, 0}, {8, 0}, {12, 0}, {18, 0}, {24, 0},
		}, false, format("attempts in %.1f hours of a day")},
		{"night_share", nightShare, []point{
			{0, 0}, {0.1, 0}, {0.25, 0}, {0.5, 0},
		}, false, percent("%.0f%% of the hours are at night, from 0 to 6 o'clock")},
		{"working_hours", workShare, []point{
			{0, 0}, {0.35, 0}, {0.6, 0}, {0.9, 0},
		}, false, percent("%.0f%% of the attempts are in working hours")},
		{"packets_per_attempt", perAttempt, []point{
			{1, 0}, {1.5, 0}, {3, 0}, {5, 0},
		}, false, format("an attempt has %.1f SYNs")},
		{"minutes_per_hour", minutesPerHour, []point{
			{1, 0}, {3, 0}, {10, 0}, {30, 0}, {60, 0},
		}, true, format("attempts in %.0f minutes of an hour")},
		{"same_minutes", sameMinutes, []point{
			{0, 0}, {0.3, 0}, {0.7, 0},
		}, false, percent("%.0f%% of the minutes are those of the hour before: by the clock")},
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

func format(text string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(text, v) }
}

// count has words of its own for one.
func count(many, one string) func(float64) string {
	return func(v float64) string {
		if v <= 1 {
			return one
		}
		return fmt.Sprintf(many, v)
	}
}

func percent(text string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(text, 100*v) }
}
