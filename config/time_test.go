// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want, zone string }{
		{"2026-12-01 02:00 Asia/Tokyo", "2026-11-30T17:00:00Z", "Asia/Tokyo"},
		{"2026-12-01 02:00:30 Asia/Tokyo", "2026-11-30T17:00:30Z", "Asia/Tokyo"},
		{"2026-12-01 02:00 UTC", "2026-12-01T02:00:00Z", "UTC"},
		{"2026-12-01T02:00:00Z", "2026-12-01T02:00:00Z", "UTC"},
		{"2026-12-01T02:00:00+09:00", "2026-11-30T17:00:00Z", ""},
		{"2026-12-01T02:00:00-03:30", "2026-12-01T05:30:00Z", ""},
		{"2028-02-29 00:00 America/Argentina/Buenos_Aires", "2028-02-29T03:00:00Z", "America/Argentina/Buenos_Aires"},
		{"2026-12-01 02:00 Etc/GMT+9", "2026-12-01T11:00:00Z", "Etc/GMT+9"},
		// The hour around each change of Central Europe's clocks, and inside an offset
		// that says which.
		{"2027-03-28 01:59:59 Europe/Berlin", "2027-03-28T00:59:59Z", "Europe/Berlin"},
		{"2027-03-28 03:00 Europe/Berlin", "2027-03-28T01:00:00Z", "Europe/Berlin"},
		{"2026-10-25 01:59:59 Europe/Berlin", "2026-10-24T23:59:59Z", "Europe/Berlin"},
		{"2026-10-25 03:00 Europe/Berlin", "2026-10-25T02:00:00Z", "Europe/Berlin"},
		{"2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z", ""},
		{"2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z", ""},
	}
	for _, tt := range tests {
		got, err := parseTime(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if utc := got.UTC().Format(time.RFC3339); utc != tt.want || got.Location().String() != tt.zone || got.String() != tt.text {
			t.Errorf("%s is %s in %q, want %s in %q", got, utc, got.Location(), tt.want, tt.zone)
		}
	}
}

func TestParseTimeWrong(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, fix string }{
		// Put forward by an hour, by half an hour, and by a whole day.
		{"2027-03-28 02:00 Europe/Berlin", "write 2027-03-28T03:00:00+02:00, "},
		{"2027-03-28 02:59:59 Europe/Berlin", "write 2027-03-28T03:00:00+02:00, "},
		{"2026-10-04 02:15 Australia/Lord_Howe", "write 2026-10-04T02:30:00+11:00, "},
		{"2011-12-30 12:00 Pacific/Apia", "write 2011-12-31T00:00:00+14:00, "},
		{"2026-09-06 00:30 America/Santiago", "write 2026-09-06T01:00:00-03:00, "},
		// Put back.
		{"2026-10-25 02:00 Europe/Berlin", "write 2026-10-25T02:00:00+02:00 for the first, or 2026-10-25T02:00:00+01:00 for"},
		{"2026-10-25 02:59:59 Europe/Berlin", "write 2026-10-25T02:59:59+02:00 for the first, or 2026-10-25T02:59:59+01:00 for"},
		{"2026-04-05 01:45 Australia/Lord_Howe", "write 2026-04-05T01:45:00+11:00 for the first, or 2026-04-05T01:45:00+10:30 for"},
		{"2026-11-01 01:30 America/New_York", "write 2026-11-01T01:30:00-04:00 for the first, or 2026-11-01T01:30:00-05:00 for"},
		// Zones that are none, or mean several.
		{"2026-12-01 02:00 JST", "write Asia/Tokyo"},
		{"2026-12-01 02:00 jst", "write Asia/Tokyo"},
		{"2026-12-01 02:00 GMT", "write UTC"},
		{"2026-12-01 02:00 CET", "write the city, as in Europe/Berlin"},
		{"2026-12-01 02:00 EST", "write the city, as in America/New_York"},
		{"2026-12-01 02:00 Local", zoneFix},
		{"2026-12-01 02:00 localtime", zoneFix},
		{"2026-12-01 02:00 EST5EDT", zoneFix},
		{"2026-12-01 02:00 asia/tokyo", zoneFix},
		{"2026-12-01 02:00 Asia", zoneFix},
		{"2026-12-01 02:00 Asia/", zoneFix},
		{"2026-12-01 02:00 Asia/../Asia/Tokyo", zoneFix},
		{"2026-12-01 02:00 /etc/localtime", zoneFix},
		{"2026-12-01 02:00 right/Asia/Tokyo", zoneFix},
		// Other spellings of RFC 3339.
		{"2026-12-01 02:00 +09:00", "write 2026-12-01T02:00:00+09:00"},
		{"2026-12-01t02:00:00z", "write 2026-12-01T02:00:00Z"},
		{"2026-12-01T02:00+09:00", "write 2026-12-01T02:00:00+09:00"},
		{"2026-12-01T02:00:00,123Z", "write 2026-12-01T02:00:00Z"},
		{"2026-12-01T02:00:00", timeFix},
		{"2026-12-01T02:00:00+0900", timeFix},
		{"2026-12-01T02:00:00 Asia/Tokyo", timeFix},
		// Neither date nor time.
		{"2026-13-01 02:00 Asia/Tokyo", "check day"},
		{"2026-12-01 24:00 Asia/Tokyo", "check day"},
		{"2026-12-01 23:59:60 UTC", "check day"},
		{"2027-02-29T00:00:00Z", "check day"},
		{"2027-02-28T00:00:00+25:00", "check day"},
		{"1999-12-31 23:59 UTC", "write a year"},
		{"2200-01-01T00:00:00Z", "write a year"},
		{"2026-12-1 02:00 Asia/Tokyo", timeFix},
		{" 2026-12-01 02:00 Asia/Tokyo", timeFix},
		{"2026-12-01  02:00 Asia/Tokyo", timeFix},
		{"2026-12-01 2:00 Asia/Tokyo", timeFix},
		{"2026-12-01 02:00", "write it out, as in 2026-12-01 02:00 Asia/Tokyo"},
		{"2026-12-01", "write it out, as in 2026-12-01 00:00 Asia/Tokyo"},
		{"", timeFix},
	}
	for _, tt := range tests {
		got, err := parseTime(tt.text)
		var m *mistake
		if !errors.As(err, &m) {
			t.Errorf("%q is %s (%v)", tt.text, got.UTC(), err)
			continue
		}
		if !strings.HasPrefix(m.fix, tt.fix) || !got.IsZero() {
			t.Errorf("%q: %v, want the fix %q", tt.text, err, tt.fix)
		}
	}
}

// What the clocks of zones show around every change within three years is compared
// with what is found by trying all offsets.
func TestMomentsOf(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Asia/Gaza", "Pacific/Apia"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := time.Date(2010, 6, 1, 0, 0, 0, 0, loc); at.Year() < 2014; {
				_, end := at.ZoneBounds()
				if end.IsZero() {
					return
				}
				for minutes := -26 * 60; minutes <= 26*60; minutes += 45 {
					compareMoments(t, time.Unix(end.Unix(), 0).UTC().Add(time.Duration(minutes)*time.Minute), loc)
				}
				at = end
			}
		})
	}
}

func compareMoments(t *testing.T, shown time.Time, loc *time.Location) {
	t.Helper()
	var want []time.Time
	for minutes := 14 * 60; minutes >= -12*60; minutes -= 15 {
		if at := shown.Add(time.Duration(-minutes) * time.Minute).In(loc); wall(at) == wall(shown) {
			want = append(want, at)
		}
	}
	if got := momentsOf(shown, loc); !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%s in %s: %v, want %v", wall(shown), loc, got, want)
	}
}

// FuzzTime: what is accepted is what was written, in years that can be counted; what
// is refused gets a short answer that says what to write.
func FuzzTime(f *testing.F) {
	for _, text := range []string{
		"2026-12-01 02:00 Asia/Tokyo", "2026-12-01T02:00:00+09:00", "2027-03-28 02:30 Europe/Berlin", "2026-10-25 02:30 Europe/Berlin",
		"2026-12-01 02:00 JST", "2026-12-01", "2026-12-01 02:00", "2026-12-01 02:00:00.5+09:00", "0000-01-01 00:00 Europe/Amsterdam", "9999-12-31T23:59:59-23:59",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTime(text)
		if err != nil {
			var m *mistake
			if !errors.As(err, &m) || m.what == "" || m.fix == "" || len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		written := strings.Replace(text[:16], "T", " ", 1)
		if got.String() != text || got.Format("2006-01-02 15:04") != written || got.Nanosecond() != 0 {
			t.Errorf("%q is %s", text, got.Time)
		}
		if again, err := parseTime(got.Format(time.RFC3339)); err != nil || !again.Equal(got.Time) {
			t.Errorf("%q is %s, which is then %s (%v)", text, got.Time, again.Time, err)
		}
		if time.Unix(0, got.UnixNano()).Unix() != got.Unix() {
			t.Errorf("%q cannot be counted in nanoseconds", text)
		}
	})
}
