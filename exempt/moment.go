// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"op25b/config/input"
)

const momentFix = "write a date, a time and a zone such as 2027-03-31 00:00 Asia/Tokyo, or 2027-03-31T00:00:00+09:00"

// ParseTime reads RFC 3339, or a date, a time and a zone: YYYY-MM-DD HH:MM[:SS] ZONE.
// A time of day that the zone's clocks skip, or show twice, is refused. The error
// says what to write instead.
func ParseTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	wall, zone, ok := wallClock(text)
	if !ok {
		return time.Time{}, notATime(text)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return time.Time{}, &mistake{input.Quote(zone) + " is no time zone", "write a name such as Asia/Tokyo, or UTC"}
	}
	switch meant := readings(wall, location); len(meant) {
	case 1:
		return meant[0], nil
	case 0:
		next := wall.Add(-offset(wall.AddDate(0, 0, -1), location)).In(location)
		return time.Time{}, &mistake{text + " does not exist: the clocks skip it", "write " + next.Format(time.RFC3339)}
	default:
		return time.Time{}, &mistake{text + " exists twice: the clocks are set back",
			fmt.Sprintf("write %s or %s", meant[0].Format(time.RFC3339), meant[1].Format(time.RFC3339))}
	}
}

// wallClock divides what is written for people. The time is the clock's, as if in UTC.
func wallClock(text string) (wall time.Time, zone string, ok bool) {
	parts := strings.Fields(text)
	if len(parts) != 3 {
		return time.Time{}, "", false
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if wall, err := time.Parse(layout, parts[0]+" "+parts[1]); err == nil && wall.Nanosecond() == 0 {
			return wall, parts[2], true
		}
	}
	return time.Time{}, "", false
}

// readings are the times at which the zone's clocks show wall: one, but for the
// hours in which they are changed.
func readings(wall time.Time, location *time.Location) []time.Time {
	var found []time.Time
	for _, day := range []int{-1, 1} { // before and after any change
		t := wall.Add(-offset(wall.AddDate(0, 0, day), location)).In(location)
		if offset(t, location) == wall.Sub(t) && !slices.ContainsFunc(found, t.Equal) {
			found = append(found, t)
		}
	}
	return found
}

// offset is how far the zone's clocks are ahead of UTC at a time.
func offset(t time.Time, location *time.Location) time.Duration {
	_, seconds := t.In(location).Zone()
	return time.Duration(seconds) * time.Second
}

// notATime looks for what is missing.
func notATime(text string) *mistake {
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		return &mistake{text + " has no time and no zone", "write " + text + " 00:00 and a zone such as Asia/Tokyo: it ends as that day begins"}
	}
	if _, _, ok := wallClock(text + " UTC"); ok {
		return &mistake{text + " has no zone", "write " + text + " and a zone such as Asia/Tokyo"}
	}
	return &mistake{input.Quote(text) + " is no time", momentFix}
}
