// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"time"

	"op25b/rollout"
)

// A machine sleeps through the beginning of a phase and a whole brownout.
func Example() {
	wall, counted := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
	schedule := rollout.Schedule{
		Phases: []rollout.Phase{{Name: "trial", Start: wall.Add(time.Hour), Destinations: []string{"mobile"}, Share: 1000}},
		Brownouts: []rollout.Brownout{
			{Name: "rehearsal", From: wall.Add(2 * time.Hour), To: wall.Add(3 * time.Hour)},
		},
	}
	clock := rollout.NewClock(func() (time.Time, time.Duration) { return wall, counted }, time.Time{})
	last := clock.Mark()
	wall = wall.Add(8 * time.Hour) // and the monotonic clock stood still
	for range 100 {
		wall, counted = wall.Add(time.Second), counted+time.Second
		now := clock.Now()
		for _, at := range schedule.Boundaries(last, now) {
			fmt.Printf("%v awake: passed %s, %d in force\n", counted, at.Format(time.TimeOnly), len(schedule.At("residential", at)))
		}
		last = now
	}
	// Output:
	// 1m1s awake: passed 01:00:00, 1 in force
	// 1m1s awake: passed 02:00:00, 2 in force
	// 1m1s awake: passed 03:00:00, 1 in force
}
