// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what reports look like into testdata")

// golden compares what is written with a file in testdata.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test ./report -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs (-file +written); if that is meant, go test ./report -update:\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	r := sampleReport(t)
	golden(t, "sample-plain.txt", func(w io.Writer) error { return r.WriteText(w, TextOptions{Width: 100, Plain: true}) })
	golden(t, "sample-narrow.txt", func(w io.Writer) error { return r.WriteText(w, TextOptions{Width: 60, Findings: 2}) })
	golden(t, "sample.html", r.WriteHTML)
	for _, table := range Tables() {
		golden(t, table+".csv", func(w io.Writer) error { return r.WriteCSV(w, table) })
	}
	golden(t, "sample.json", func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
}

// A report that came over the control socket is shown as the gateway would show it.
func TestShownAfterJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(sampleReport(t))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	r.From = r.From.In(japan()) // JSON has no names of zones
	golden(t, "sample-plain.txt", func(w io.Writer) error { return r.WriteText(w, TextOptions{Width: 100, Plain: true}) })
}

func TestNothingHappened(t *testing.T) {
	t.Parallel()
	in := newSample().input()
	r := build(t, Input{From: in.From, To: in.To, Made: in.Made, Judge: scripted{}})
	golden(t, "nothing.txt", func(w io.Writer) error { return r.WriteText(w, TextOptions{Plain: true}) })
	golden(t, "nothing.html", r.WriteHTML)
	for _, table := range Tables() {
		var out bytes.Buffer
		if err := r.WriteCSV(&out, table); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(out.Bytes(), []byte("\r\n"))
		if want := map[bool]int{true: 1 + sampleDays, false: 1}[table == "trend"]; lines != want {
			t.Errorf("table %s has %d lines, want %d:\n%s", table, lines, want, out.String())
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("null")) {
		t.Errorf("a list is null: %s", text)
	}
}
