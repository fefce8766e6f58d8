// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"
	"testing"
)

// No field of others begins with what a spreadsheet runs, and none breaks a line.
func TestSpreadsheetIsSafe(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`=HYPERLINK("http://192.0.2.1/","x")`, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "|x", "%x", "＝1", "\u202e=1", `"=1`, `a","=1`, "a\r\n=1", ";=1",
	} {
		for _, table := range Tables() {
			var out bytes.Buffer
			if err := hostile(text).WriteCSV(&out, table); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); n != 2 || strings.Count(out.String(), "\r\n") != n {
				t.Errorf("%q in %s makes lines: %q", text, table, out.String())
			}
			rows, err := csv.NewReader(&out).ReadAll()
			if err != nil {
				t.Fatalf("%q in %s: %v", text, table, err)
			}
			for _, row := range rows {
				for _, field := range row {
					if begin := strings.TrimLeft(field, " "); begin != "" && strings.ContainsAny(begin[:1], "=+-@|%") || strings.HasPrefix(begin, "＝") {
						t.Errorf("%q in %s is a formula: %q", text, table, field)
					}
				}
			}
		}
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "",
		"02:00:5e:00:53:01": "02:00:5e:00:53:01",
		"yamada@example.jp": "yamada@example.jp",
		"@home":             "'@home",
		" -1":               "' -1",
		"a\nb":              "a b",
		"山田":                "山田",
	} {
		if got := harmless(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestUnknownTable(t *testing.T) {
	t.Parallel()
	const want = `a report has no table "Pools": ask for one of pools, phases, findings, triangular, exemptions, trend`
	if err := new(Report).WriteCSV(io.Discard, "Pools"); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
