// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
	"op25b/human"
)

// hostile has text of others in every field that may have some.
func hostile(text string) *Report {
	at := time.Date(2026, 11, 28, 0, 0, 0, 0, japan())
	top := []census.Destination{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Port: 25, Attempts: 1}}
	return &Report{
		From: at, To: at.Add(time.Hour), Made: at.Add(time.Hour), Notes: []string{text},
		Totals: Totals{Counts: Counts{Subscribers: 1, Refused: 1}, Unclear: 1},
		Pools:  []PoolRow{{Pool: text}},
		Phases: []PhaseRow{{Phase: text, Mode: text, State: text, Start: at}},
		Findings: []Finding{{Subscriber: "100.64.0.1/32", Pool: text, Kind: Kind(text), Top: top, Holder: text,
			Evidence: []Evidence{{Feature: text, Weight: 1, Text: text}}, Attempts: map[string]uint64{"refused": 1}}},
		Triangular: []Suspect{{Subscriber: "100.64.0.1/32", Pool: text, Kind: text, Holder: text}},
		Exemptions: []Exemption{{Prefix: "100.64.0.0/29", Until: at, Reason: text, Ticket: text, By: text}},
		Trend:      []Point{{Time: at, Counts: Counts{Subscribers: 1, Refused: 1}}},
	}
}

// A host name that a subscriber chose cannot write to the operator's terminal.
func TestTerminalIsSafe(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"\x1b]0;owned\x07", "\x1b[2J", "a\rb\nc\td", "\u202egnp.exe", "\u200b\u2066", "\x9b31m", "\xff\xfe", "\u0085", "\x00", "\ue000", "\ufffd",
	} {
		var out bytes.Buffer
		if err := hostile(text).WriteText(&out, TextOptions{Plain: true}); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && (!unicode.IsPrint(r) || r == unicode.ReplacementChar) {
				t.Errorf("%q writes %q", text, r)
			}
		}
	}
}

// No number, address or name is cut, however narrow the terminal is.
func TestNothingIsCut(t *testing.T) {
	t.Parallel()
	r := sampleReport(t)
	for _, width := range []int{1, 40, 59, 80, 132, 500} {
		var out bytes.Buffer
		if err := r.WriteText(&out, TextOptions{Width: width, Plain: true, Findings: -1}); err != nil {
			t.Fatal(err)
		}
		words := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			for word := range strings.FieldsSeq(line) {
				words[strings.Trim(word, ",;:()")] = true
			}
			if n := cells(strings.TrimSuffix(line, "\n")); n > max(width, narrowest) {
				t.Errorf("width %d has a line of %d: %q", width, n, line)
			}
		}
		for _, f := range r.Findings {
			if !words[address(f.Subscriber)] || !words[f.Holder] || !words[human.Count(tries(f.Attempts))] {
				t.Errorf("width %d lacks some of %s", width, f.Subscriber)
			}
		}
		for _, e := range r.Exemptions {
			if !words[e.Prefix] || !words[e.Ticket] {
				t.Errorf("width %d lacks some of %s", width, e.Prefix)
			}
		}
	}
}

func TestPlainHasNoEscapes(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{true, false} {
		var out bytes.Buffer
		if err := sampleReport(t).WriteText(&out, TextOptions{Plain: plain, Width: 100}); err != nil {
			t.Fatal(err)
		}
		if has := strings.ContainsAny(out.String(), "\x1b█▒░"); has == plain {
			t.Errorf("plain %v: escapes or blocks %v", plain, has)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := table{columns: append(names("pool"), numbers("not in force")...)}
	table.columns = append(table.columns, names("holder")...)
	table.row("a", "1", "山田 太郎")
	table.row("residential", "12,345", "x y")
	for _, c := range []struct {
		width int
		want  string
	}{
		{80, "" +
			"             not in\n" +
			"pool          force  holder\n" +
			"a                 1  山田 太郎\n" +
			"residential  12,345  x y\n"},
		{26, "" +
			"             not in\n" +
			"pool          force\n" +
			"a                 1\n" +
			"residential  12,345\n" +
			"\n" +
			"pool         holder\n" +
			"a            山田 太郎\n" +
			"residential  x y\n"},
	} {
		got := strings.Join(table.lines(c.width), "\n") + "\n"
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", c.width, diff)
		}
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "山田": 4, "ｱ": 1, "Ａ": 2, "e\u0301": 1, "█▒": 2} {
		if got := cells(text); got != want {
			t.Errorf("%q takes %d, want %d", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one two", []string{"one two"}},
		{"one two three four", []string{"one two", "  three", "  four"}},
		{"2001:db8:1234:5678::/56 is long", []string{"2001:db8:1234:5678::/56", "  is long"}},
	} {
		if diff := cmp.Diff(c.want, wrap(c.text, 9, "  ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestStretch(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 11, 28, 9, 0, 0, 0, japan())
	berlin := berlin(t)
	for _, c := range []struct {
		from, to, made time.Time
		want           string
	}{
		{end.AddDate(0, 0, -7), end, end.Add(time.Minute), "the last 7 days"},
		{end.AddDate(0, 0, -1), end, end.Add(time.Minute), "the last 24 hours"},
		{end.Add(-time.Hour), end, end.Add(-59 * time.Minute), "the last hour"},
		{end.Add(-31 * time.Hour), end, end, "the last 31 hours"},
		{end.AddDate(0, 0, -7).Add(-5 * time.Hour), end, end, "the last 173 hours"},
		{end.AddDate(0, 0, -30), end, end.AddDate(0, 0, 1), "the 30 days up to 2026-11-28 09:00 JST"},
		{time.Date(2026, 3, 27, 0, 0, 0, 0, berlin), time.Date(2026, 4, 3, 0, 0, 0, 0, berlin), end, "the 7 days up to 2026-04-03 00:00 CEST"},
		{time.Date(2026, 10, 23, 0, 0, 0, 0, berlin), time.Date(2026, 10, 30, 0, 0, 0, 0, berlin), end, "the 7 days up to 2026-10-30 00:00 CET"},
	} {
		r := Report{From: c.from, To: c.to, Made: c.made}
		if got := r.stretch(); got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestHeadlines(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 11, 28, 9, 0, 0, 0, japan())
	r := Report{From: end.AddDate(0, 0, -7), To: end, Made: end}
	for _, c := range []struct {
		set  func()
		want []string
	}{
		{func() {}, []string{"In the last 7 days nobody in the dynamic pools tried a blocked port that is or would be refused."}},
		{func() {
			r.Totals = Totals{Counts: Counts{Subscribers: 1, NotInForce: 1, Exempt: 1, Relayed: 1}, Infected: 1}
		}, []string{
			"In the last 7 days 1 subscriber in dynamic pools tried a blocked port: 1 looks like an infected computer.",
			"Of 1 attempt 1 went through since no phase takes it in yet.",
			"Beside these, 1 attempt went through by an exemption and 1 attempt went to a relay, as it should.",
		}},
		{func() {
			r.Totals = Totals{Counts: Counts{Subscribers: 312, Refused: 48_000, Monitored: 211}, Mailers: 291, Infected: 14, Unclear: 7}
			r.Triangular = []Suspect{{Kind: Backscatter}, {Kind: Backscatter}}
			r.Exemptions = []Exemption{{Until: end}, {Until: end.Add(1)}, {Until: end.Add(2)}}
		}, []string{
			"In the last 7 days 312 subscribers in dynamic pools tried a blocked port: 291 look like misconfigured mail programs, " +
				"14 look like infected computers and 7 are unclear.",
			"Of 48,211 attempts 48,000 were refused and 211 went through and would have been refused.",
			"2 subscribers have addresses that somebody else forges.",
			"1 exemption has ended and still stands in the file and 2 exemptions end soon.",
		}},
	} {
		c.set()
		if diff := cmp.Diff(c.want, r.headlines()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// Any attempt is seen, and no bar is longer than there is room.
func TestBar(t *testing.T) {
	t.Parallel()
	marks := [3]string{"#", "=", "-"}
	for _, c := range []struct {
		counts Counts
		want   string
	}{
		{Counts{}, ""},
		{Counts{Refused: 1000}, "##########"},
		{Counts{Refused: 1, Monitored: 1, NotInForce: 1}, "#=-"},
		{Counts{Refused: 500, NotInForce: 500, Exempt: 9999}, "#####-----"},
		{Counts{Refused: 998, Monitored: 1, NotInForce: 1}, "#########="},
	} {
		if got := bar(&c.counts, 1000, 10, marks); got != c.want {
			t.Errorf("%+v: %q, want %q", c.counts, got, c.want)
		}
	}
}

var errFull = errors.New("no space left on device")

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWritersTellOfErrors(t *testing.T) {
	t.Parallel()
	r := sampleReport(t)
	for name, write := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return r.WriteText(w, TextOptions{}) },
		"csv":  func(w io.Writer) error { return r.WriteCSV(w, "pools") },
		"html": r.WriteHTML,
	} {
		if err := write(full{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want %v", name, err, errFull)
		}
	}
}
