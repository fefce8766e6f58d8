// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"time"
)

// Trouble is that the machine's clock does not say what the rollout goes by.
type Trouble struct {
	// Wall is what the machine's clock says, Time what the rollout goes by.
	Wall, Time time.Time
	// What is wrong, what its effect is, and what to do, for people.
	What, Effect, Fix string
}

// Error says what is wrong.
func (t *Trouble) Error() string { return t.What }

// Trouble returns a [*Trouble] if the clocks differed by more than ten seconds when
// they were last read, and nil otherwise.
func (c *Clock) Trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	gap := c.wall.Sub(c.now)
	if gap.Abs() <= tolerance {
		return nil
	}
	t := &Trouble{Wall: c.wall, Time: c.now}
	said := c.wall.Format(time.DateTime) + " UTC"
	reached := c.now.Format(time.DateTime) + " UTC"
	amount := inWords(gap.Abs())
	if gap > 0 {
		t.What = fmt.Sprintf("the clock has jumped ahead: it says %s, %s more than was counted", said, amount)
		t.Effect = fmt.Sprintf("the rollout stays at %s until the clock has been there for a minute; then it is believed, and all that was due in between begins or ends", reached)
		t.Fix = "nothing, if the machine has slept or the clock was behind; else set the clock at once"
		return t
	}
	t.What = fmt.Sprintf("the clock says %s, and the rollout has already reached %s, %s later", said, reached, amount)
	t.Effect = "phases, brownouts and exemptions go on by the time counted since, for a day at most"
	if !c.believed.Add(c.mono).After(c.wall.Add(tolerance)) {
		t.Effect = "nothing begins or ends until the clock has got there"
	}
	t.Fix = "set the clock; if it is right and the rollout is ahead, type: op25b reload --accept-clock"
	return t
}

// inWords rounds a duration to what a person wants to know: "3 s", "1 h 0 min",
// "12 d 3 h".
func inWords(d time.Duration) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d >= 2*year:
		return fmt.Sprintf("%d years", d/year)
	case d >= day:
		return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}
