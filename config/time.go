// SPDX-License-Identifier: Apache-2.0

package config

import (
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on a machine that has no list of them

	"op25b/config/input"
)

// Time is a moment as an operator writes it, in the zone that was written. Zero:
// there is none.
type Time struct {
	time.Time
	text string
}

// String returns the time as it was written. Empty: there is none.
func (t Time) String() string { return t.text }

const (
	// timeExample is the form that people write.
	timeExample = "2026-12-01 02:00 Asia/Tokyo"
	timeFix     = "write a time such as " + timeExample + " or 2026-12-01T02:00:00+09:00"
	zoneFix     = "write the name of a zone such as Asia/Tokyo, or UTC"
	// wallClock is a time of day in any zone, for messages.
	wallClock = "2006-01-02 15:04:05"
)

var (
	localForm = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})(:[0-9]{2})? ([^ ]+)$`)
	// rfc3339Form is that of RFC 3339 section 5.6, in capitals and whole seconds.
	rfc3339Form = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[-+][0-9]{2}:[0-9]{2})$`)
	bareForm    = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?: ([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?$`)
	// looseForm is what YAML and others take for RFC 3339 too.
	looseForm = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]+([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,][0-9]+)? *([Zz]|[-+][0-9]{2}:[0-9]{2})$`)
	zoneForm  = regexp.MustCompile(`^[A-Za-z]+(/[A-Za-z0-9_+-]+)+$`)
)

// parseTime understands both forms in which a time is written.
func parseTime(text string) (Time, error) {
	if rfc3339Form.MatchString(text) {
		return parseRFC3339(text)
	}
	if m := looseForm.FindStringSubmatch(text); m != nil {
		return Time{}, &mistake{input.Quote(text) + " is not RFC 3339 in capitals and whole seconds",
			"write " + m[1] + "T" + m[2] + orSeconds(m[3]) + strings.ToUpper(m[4])}
	}
	if m := localForm.FindStringSubmatch(text); m != nil {
		return parseLocal(text, m[1]+" "+m[2]+orSeconds(m[3]), m[4])
	}
	if m := bareForm.FindStringSubmatch(text); m != nil {
		clock := m[2]
		if clock == "" {
			clock = "00:00"
		}
		return Time{}, &mistake{show(text) + " does not say " + missing(m[2]), "write it out, as in " + m[1] + " " + clock + " Asia/Tokyo"}
	}
	return Time{}, &mistake{input.Quote(text) + " is not a time", timeFix}
}

// orSeconds completes a clock that was written without.
func orSeconds(seconds string) string {
	if seconds == "" {
		return ":00"
	}
	return seconds
}

// missing says what a bare date lacks, or a date with a clock but no zone.
func missing(clock string) string {
	if clock == "" {
		return "at what time of day, and in which zone"
	}
	return "in which zone"
}

func parseRFC3339(text string) (Time, error) {
	t, err := time.ParseInLocation(time.RFC3339, text, time.UTC) // else the machine's own zone gets in
	if err != nil {
		return Time{}, notInCalendar(text)
	}
	return inRange(t, text)
}

// parseLocal reads what the clocks of a zone show.
func parseLocal(text, wall, zone string) (Time, error) {
	shown, err := time.Parse(wallClock, wall)
	if err != nil {
		return Time{}, notInCalendar(text)
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Time{}, err
	}
	switch moments := momentsOf(shown, loc); len(moments) {
	case 0:
		return Time{}, skipped(text, shown, loc)
	case 1:
		return inRange(moments[0], text)
	default:
		return Time{}, &mistake{input.Quote(text) + " is twice, since clocks are put back",
			"write " + rfc3339(moments[0]) + " for the first, or " + rfc3339(moments[len(moments)-1]) + " for the second"}
	}
}

func notInCalendar(text string) error {
	return &mistake{input.Quote(text) + " is on no calendar or clock", "check day, hour and offset, and " + timeFix}
}

// inRange keeps to years that every part of the program can count in nanoseconds.
func inRange(t time.Time, text string) (Time, error) {
	if year := t.UTC().Year(); year < 2000 || year > 2199 {
		return Time{}, &mistake{input.Quote(text) + " is too far away", "write a year from 2000 to 2199"}
	}
	return Time{Time: t, text: text}, nil
}

// loadZone returns the zone of that name. Names without a slash are left to
// nobody: most are abbreviations, which mean different zones to different people.
func loadZone(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if zone, ok := abbreviated(name); ok {
		return nil, &mistake{show(name) + " is not the name of a zone", "write " + zone}
	}
	// Where there are these, the first count leap seconds.
	odd := strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/")
	if zoneForm.MatchString(name) && !odd {
		if loc, err := time.LoadLocation(name); err == nil {
			return loc, nil
		}
	}
	return nil, &mistake{show(name) + " is not a zone that is known", zoneFix}
}

// abbreviated tells what is meant by some short names, if it is clear.
func abbreviated(name string) (zone string, ok bool) {
	switch strings.ToUpper(name) {
	case "JST", "JAPAN":
		return "Asia/Tokyo", true
	case "KST":
		return "Asia/Seoul", true
	case "UTC", "GMT", "Z", "ZULU", "UCT":
		return "UTC", true
	case "CET", "CEST", "MET", "MEZ", "MESZ":
		return "the city, as in Europe/Berlin", true
	case "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT":
		return "the city, as in America/New_York", true
	}
	return "", false
}

// momentsOf are those at which the clocks of loc show what shown does in UTC, in
// their order: one, none where clocks are put forward, two where they are put back.
func momentsOf(shown time.Time, loc *time.Location) []time.Time {
	var out []time.Time
	for _, change := range changesNear(shown, loc) {
		_, offset := change.Zone()
		t := shown.Add(-time.Duration(offset) * time.Second).In(loc)
		if wall(t) != wall(shown) {
			continue
		}
		if len(out) == 0 || t.After(out[len(out)-1]) {
			out = append(out, t)
		}
	}
	return out
}

// changesNear are the moments, within a day or so of what shown is in UTC, at which
// clocks of loc are changed, and before them the beginning of that time. No zone is
// as far from UTC as that.
func changesNear(shown time.Time, loc *time.Location) []time.Time {
	const reach = 26 * time.Hour
	out := []time.Time{shown.Add(-reach).In(loc)}
	for {
		_, end := out[len(out)-1].ZoneBounds()
		if end.IsZero() || end.After(shown.Add(reach)) {
			return out
		}
		out = append(out, end)
	}
}

// skipped tells what to write instead of a time that clocks jump over: the moment
// when they do.
func skipped(text string, shown time.Time, loc *time.Location) error {
	m := &mistake{input.Quote(text) + " does not exist, since clocks are put forward", timeFix}
	for _, change := range changesNear(shown, loc) {
		if wall(change) > wall(shown) {
			m.fix = "write " + rfc3339(change) + ", when they are, or another time"
			break
		}
	}
	return m
}

// wall is what a clock on the wall shows; later ones are greater.
func wall(t time.Time) string { return t.Format(wallClock) }

func rfc3339(t time.Time) string { return t.Format(time.RFC3339) }
