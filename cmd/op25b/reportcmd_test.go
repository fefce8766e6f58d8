// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
	"op25b/report"
)

// sampleReport is small, and of the time that was asked for.
func sampleReport(opts control.ReportOptions) report.Report {
	counts := report.Counts{Subscribers: 3, Refused: 70}
	return report.Report{
		From: opts.From, To: opts.To, Made: at("2026-11-28 03:07:54"), Notes: []string{}, Totals: report.Totals{Counts: counts, Mailers: 1, Infected: 2},
		Pools:  []report.PoolRow{{Pool: "residential", Counts: counts, Mailers: 1, Infected: 2}},
		Phases: []report.PhaseRow{}, Findings: []report.Finding{}, Triangular: []report.Suspect{}, Exemptions: []report.Exemption{}, Trend: []report.Point{},
	}
}

func december() []string {
	return []string{"--from", "2026-12-01 00:00 Asia/Tokyo", "--to", "2027-01-01T00:00:00+09:00"}
}

// Each form is what package report makes of what the gateway says.
func TestReportCommand(t *testing.T) {
	t.Parallel()
	socket := listen(t, &telling{report: sampleReport})
	file := filepath.Join(t.TempDir(), "december.html")
	want := sampleReport(control.ReportOptions{From: at("2026-11-30 15:00:00"), To: at("2026-12-31 15:00:00")})
	written := func(write func(io.Writer) error) string {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	page := written(want.WriteHTML)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"text": {nil, written(func(w io.Writer) error { return want.WriteText(w, report.TextOptions{Plain: true}) })},
		"CSV":  {[]string{"--csv", "pools"}, written(func(w io.Writer) error { return want.WriteCSV(w, "pools") })},
		"page": {[]string{"--html", "-"}, page},
		"file": {[]string{"--html", file}, ""},
	} {
		code, out, talk := op25b(t, append(append([]string{"report", "--socket", socket}, december()...), tt.args...)...)
		if diff := cmp.Diff(tt.want, out); diff != "" || code != exitOK || talk != "" {
			t.Errorf("%s: exit %d, %s (-want +got):\n%s", name, code, talk, diff)
		}
	}
	saved, err := os.ReadFile(file)
	if diff := cmp.Diff(page, string(saved)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	code, out, _ := op25b(t, append([]string{"report", "--socket", socket, "--json"}, december()...)...)
	var got struct {
		SchemaVersion int `json:"schema_version"`
		report.Report
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || got.SchemaVersion != schemaVersion {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if diff := cmp.Diff(want, got.Report); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReportSpan(t *testing.T) {
	t.Parallel()
	now, begin, end := at("2026-11-28 03:07:54"), at("2026-11-20 00:00:00"), at("2026-11-21 00:00:00")
	const from, to = "2026-11-20T00:00:00Z", "2026-11-21 00:00 UTC"
	for name, tt := range map[string]struct {
		span reportSpan
		want control.ReportOptions
		says string
	}{
		"nothing":          {reportSpan{}, control.ReportOptions{}, ""},
		"both":             {reportSpan{from: from, to: to}, control.ReportOptions{From: begin, To: end}, ""},
		"from":             {reportSpan{from: from}, control.ReportOptions{From: begin}, ""},
		"to":               {reportSpan{to: to}, control.ReportOptions{To: end}, ""},
		"last":             {reportSpan{last: "7d"}, control.ReportOptions{From: now.Add(-7 * 24 * time.Hour), To: now}, ""},
		"last hours":       {reportSpan{last: "36h"}, control.ReportOptions{From: now.Add(-36 * time.Hour), To: now}, ""},
		"last up to a day": {reportSpan{to: to, last: "1d"}, control.ReportOptions{From: begin, To: end}, ""},
		"two beginnings":   {reportSpan{from: from, last: "7d"}, control.ReportOptions{}, "leave one out"},
		"last of nothing":  {reportSpan{last: "0d"}, control.ReportOptions{}, "7d or 36h"},
		"last week":        {reportSpan{last: "1w"}, control.ReportOptions{}, "7d or 36h"},
		"from a day":       {reportSpan{from: "2026-11-20"}, control.ReportOptions{}, `--from "2026-11-20"`},
		"to a day":         {reportSpan{to: "2026-11-20"}, control.ReportOptions{}, `--to "2026-11-20"`},
	} {
		got, err := tt.span.options(now)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %q", name, err, tt.says)
			}
			continue
		}
		if err != nil || !got.From.Equal(tt.want.From) || !got.To.Equal(tt.want.To) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
}

func TestReportErrors(t *testing.T) {
	t.Parallel()
	socket := listen(t, &telling{report: sampleReport})
	failing := listen(t, &telling{report: sampleReport, answers: answers{err: &control.Error{Code: 400, Message: "there is no journal", Fix: "set journal.path"}}})
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no journal":       {[]string{"--socket", failing}, exitFailed, "there is no journal: set journal.path"},
		"no gateway":       {[]string{"--socket", "/nonexistent/s"}, exitNotRunning, "/nonexistent/s"},
		"two forms":        {[]string{"--json", "--html", "-"}, exitUsage, "leave two out"},
		"no such table":    {[]string{"--csv", "customers"}, exitUsage, "there are pools, phases"},
		"no such time":     {[]string{"--last", "week"}, exitUsage, "--last"},
		"backwards":        {[]string{"--socket", socket, "--from", "2026-12-01T00:00:00Z", "--to", "2026-11-01T00:00:00Z"}, exitFailed, "from is not before to"},
		"no such folder":   {[]string{"--socket", socket, "--html", "/nonexistent/r.html"}, exitFailed, "write /nonexistent/r.html"},
		"a device is full": {[]string{"--socket", socket, "--html", "/dev/full"}, exitFailed, "write /dev/full"},
	} {
		if code, out, talk := op25b(t, append([]string{"report"}, tt.args...)...); code != tt.code || out != "" || !strings.Contains(talk, tt.says) {
			t.Errorf("%s: exit %d, want %d: %s%s", name, code, tt.code, out, talk)
		}
	}
}

// A file is replaced whole or stays as it was, and only its owner may read it.
func TestReplaceFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "r.html")
	say := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, text)
			return err
		}
	}
	for _, step := range []struct {
		text string
		err  error
		want string
	}{{"one", nil, "one"}, {"two", nil, "two"}, {"half", os.ErrDeadlineExceeded, "two"}} {
		if err := replaceFile(path, say(step.text, step.err)); (err != nil) != (step.err != nil) {
			t.Errorf("%s: %v", step.text, err)
		}
		got, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(got) != step.want || info.Mode().Perm() != 0o600 {
			t.Errorf("after %s: %s, %v, %v, %v", step.text, got, info.Mode(), err, statErr)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
