// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written makes a file that holds text, and returns its path.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exemptions.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func newcomer() Exemption {
	return Exemption{
		Prefix: netip.MustParsePrefix("192.0.2.9/32"), Reason: "moves: \"soon\"", Ticket: "CS-9", By: "sato",
		Added: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), Until: time.Date(2027, 1, 1, 0, 0, 0, 999, time.UTC),
	}
}

const (
	lines = `- prefix: 192.0.2.9
  reason: "moves: \"soon\""
  ticket: CS-9
  by: sato
  added: 2026-12-01T09:00:00Z
  until: 2027-01-01T00:00:00Z
`
	braces = `{prefix: 192.0.2.9, reason: "moves: \"soon\"", ticket: CS-9, by: sato, added: 2026-12-01T09:00:00Z, until: 2027-01-01T00:00:00Z}`
)

// indented returns the lines of the newcomer as they are in a file.
func indented(by int, gap string) string {
	blank := strings.Repeat(" ", by)
	text := blank + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n"+blank) + "\n"
	if gap == " " {
		return text
	}
	text = strings.Replace(text, "- ", "-"+gap, 1)
	return strings.ReplaceAll(text, "\n"+blank+"  ", "\n"+blank+" "+gap)
}

// TestAdd has < for where the newcomer is, and nothing else changed.
func TestAdd(t *testing.T) {
	t.Parallel()
	const (
		until  = "until: 2027-03-31T00:00:00+09:00"
		a      = "{prefix: 192.0.2.1, reason: a, " + until + "}"
		b      = "{prefix: 192.0.2.2, reason: b, " + until + "}"
		header = "# who may, and why\n"
	)
	tests := map[string]struct{ before, after string }{
		"empty":                    {"", "exemptions:\n" + indented(2, " ")},
		"remarks":                  {header, header + "exemptions:\n" + indented(2, " ")},
		"remarks, no end":          {"# who", "# who\nexemptions:\n" + strings.TrimSuffix(indented(2, " "), "\n")},
		"mark":                     {"\ufeff" + header, "\ufeff" + header + "exemptions:\n" + indented(2, " ")},
		"only a start":             {"---\n", "---\nexemptions:\n" + indented(2, " ")},
		"heading":                  {"exemptions: # none\n# end\n", "exemptions: # none\n" + indented(2, " ") + "# end\n"},
		"heading and remarks":      {"exemptions:\n  # who\n# end\n", "exemptions:\n  # who\n" + indented(2, " ") + "# end\n"},
		"heading, no end":          {"exemptions:", "exemptions:\n" + strings.TrimSuffix(indented(2, " "), "\n")},
		"none":                     {header + "exemptions: []\n", header + "exemptions:\n" + indented(2, " ")},
		"none and remarks":         {"exemptions: [] # none yet\n# end\n", "exemptions:  # none yet\n" + indented(2, " ") + "# end\n"},
		"none, no end":             {"exemptions: []", "exemptions:\n" + strings.TrimSuffix(indented(2, " "), "\n")},
		"none, with a remark":      {"exemptions: [ # none\n]\n", "exemptions: [ # none\n" + braces + "]\n"},
		"braces":                   {"{}\n", "{exemptions: [" + braces + "]}\n"},
		"braces and a heading":     {"{exemptions}\n", "{exemptions: [" + braces + "]}\n"},
		"braces and no value":      {"{ exemptions : }\n", "{ exemptions : [" + braces + "] }\n"},
		"braces and none":          {"{exemptions: []}\n", "{exemptions: [" + braces + "]}\n"},
		"braces and one":           {"{exemptions: [" + a + "]}\n", "{exemptions: [" + a + ", " + braces + "]}\n"},
		"in brackets":              {"exemptions: [" + a + ", " + b + "] # end\n", "exemptions: [" + a + ", " + b + ", " + braces + "] # end\n"},
		"in brackets, comma":       {"exemptions: [" + a + ",]\n", "exemptions: [" + a + ", " + braces + "]\n"},
		"in brackets, on lines":    {"exemptions: [\n  " + a + ",\n  " + b + "  # b\n]\n", "exemptions: [\n  " + a + ",\n  " + b + ",  # b\n  " + braces + "\n]\n"},
		"in brackets, commas":      {"exemptions: [\n  " + a + ", # a\n  # end\n]\n", "exemptions: [\n  " + a + ", # a\n  " + braces + ",\n  # end\n]\n"},
		"in brackets, closed":      {"exemptions: [\n  " + a + ",\n  " + b + "]\n", "exemptions: [\n  " + a + ",\n  " + b + ",\n  " + braces + "]\n"},
		"in brackets, comma below": {"exemptions: [" + a + "\n , ]\n", "exemptions: [" + a + "\n , " + braces + " ]\n"},
		"dashes and braces":        {"exemptions:\n- " + a + "\n-  " + b + " # b\n# end\n", "exemptions:\n- " + a + "\n-  " + b + " # b\n-  " + braces + "\n# end\n"},
		"wide braces":              {"exemptions:\n- { " + a[1:] + "\n", "exemptions:\n- { " + a[1:] + "\n- { " + braces[1:len(braces)-1] + " }\n"},
		"not indented": {
			"exemptions:\n# first\n- prefix: 192.0.2.1\n  reason: it's a # why\n  " + until + "\n  # of the first\n# end\n",
			"exemptions:\n# first\n- prefix: 192.0.2.1\n  reason: it's a # why\n  " + until + "\n  # of the first\n" + indented(0, " ") + "# end\n",
		},
		"far": {
			"exemptions:\n    -   prefix: 192.0.2.1\n        reason: 'it''s'\n        " + until + "\n\n\n",
			"exemptions:\n    -   prefix: 192.0.2.1\n        reason: 'it''s'\n        " + until + "\n" + indented(4, "   ") + "\n\n",
		},
		"dash alone": {
			"exemptions:\n  -\n    # why\n      prefix: 192.0.2.1\n      reason: a\n      " + until,
			"exemptions:\n  -\n    # why\n      prefix: 192.0.2.1\n      reason: a\n      " + until + "\n" + strings.TrimSuffix(indented(2, " "), "\n"),
		},
		"folded": {
			"exemptions:\n  - " + until + "\n    prefix: 192.0.2.1\n    reason: >-\n      long\n      # and more\n    # remark\n",
			"exemptions:\n  - " + until + "\n    prefix: 192.0.2.1\n    reason: >-\n      long\n      # and more\n    # remark\n" + indented(2, " "),
		},
		"wrapped": {
			"exemptions:\n  - " + until + "\n    prefix: 192.0.2.1\n    reason: \"日本\\\n      # and more\"\n",
			"exemptions:\n  - " + until + "\n    prefix: 192.0.2.1\n    reason: \"日本\\\n      # and more\"\n" + indented(2, " "),
		},
		"document end": {"exemptions:\n- " + a + "\n...\n", "exemptions:\n- " + a + "\n- " + braces + "\n...\n"},
	}
	for name, test := range tests {
		for _, end := range []string{"\n", "\r\n"} {
			t.Run(fmt.Sprintf("%s, %q", name, end), func(t *testing.T) {
				t.Parallel()
				before, after := strings.ReplaceAll(test.before, "\n", end), strings.ReplaceAll(test.after, "\n", end)
				if before == test.before {
					after = test.after // it cannot be seen how lines end
				}
				path := written(t, before)
				if err := Add(path, newcomer()); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(after, content(t, path)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

const three = `# head
exemptions:

  # of the first
  - prefix: 192.0.2.1   # 1
    # inside
    reason: one
    until: 2027-03-31 00:00 Asia/Tokyo # soon
    # of the first, too

  # of the second
  - {prefix: 192.0.2.2, reason: "two, # [", until: '2027-03-31 00:00 UTC'} # 2
  -
    until: "2027-03-31T00:00:00+09:00"
    prefix: 2001:db8::/56
    reason: >-
      three
      # is more

# end
`

func TestRemove(t *testing.T) {
	t.Parallel()
	const (
		a = "{prefix: 192.0.2.1, reason: a, until: 2027-03-31T00:00:00Z}"
		b = "{prefix: 192.0.2.2, reason: b, until: 2027-03-31T00:00:00Z}"
		c = "{prefix: 192.0.2.3, reason: c, until: 2027-03-31T00:00:00Z}"
	)
	first := three[strings.Index(three, "  - prefix"):strings.Index(three, "\n  # of the second")]
	second := three[strings.Index(three, "  - {"):strings.Index(three, "  -\n")]
	third := three[strings.Index(three, "  -\n"):strings.Index(three, "\n# end")]
	tests := map[string]struct{ before, prefix, after string }{
		"first":                 {three, "192.0.2.1/32", strings.Replace(three, first, "", 1)},
		"second":                {three, "192.0.2.2/32", strings.Replace(three, second, "", 1)},
		"third":                 {three, "2001:db8::/56", strings.Replace(three, third, "", 1)},
		"the only one":          {"exemptions:\n- " + a, "192.0.2.1/32", "exemptions:\n"},
		"the only in brackets":  {"exemptions: [" + a + "]\n", "192.0.2.1/32", "exemptions: []\n"},
		"first in brackets":     {"exemptions: [" + a + ", " + b + "]\n", "192.0.2.1/32", "exemptions: [" + b + "]\n"},
		"last in brackets":      {"exemptions: [" + a + ", " + b + "]\n", "192.0.2.2/32", "exemptions: [" + a + "]\n"},
		"middle in brackets":    {"exemptions: [" + a + ", " + b + ", " + c + "]\n", "192.0.2.2/32", "exemptions: [" + a + ", " + c + "]\n"},
		"own line":              {"exemptions: [\n # of a\n " + a + ", # a\n " + b + "\n]\n", "192.0.2.1/32", "exemptions: [\n # of a\n " + b + "\n]\n"},
		"own line, last":        {"exemptions: [\n " + a + ", # a\n " + b + " # b\n]\n", "192.0.2.2/32", "exemptions: [\n " + a + ", # a\n]\n"},
		"own line, closed":      {"exemptions: [\n " + a + ",\n " + b + "]\n", "192.0.2.2/32", "exemptions: [\n " + a + "]\n"},
		"remark before closing": {"exemptions: [\n " + a + ", # a\n " + b + "]\n", "192.0.2.2/32", "exemptions: [\n " + a + ", # a\n ]\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := written(t, test.before)
			got, err := Remove(path, netip.MustParsePrefix(test.prefix))
			if err != nil || got.Prefix.String() != test.prefix || got.Line == 0 {
				t.Errorf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(test.after, content(t, path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 24, 3, 4, 5, 6, time.UTC)
	tests := map[string]struct{ before, prefix, old, now string }{
		"plain":      {three, "192.0.2.1/32", "2027-03-31 00:00 Asia/Tokyo", "2026-12-24T12:04:05+09:00"},
		"in single":  {three, "192.0.2.2/32", "'2027-03-31 00:00 UTC'", "'2026-12-24T03:04:05Z'"},
		"in double":  {three, "2001:db8::/56", `"2027-03-31T00:00:00+09:00"`, `"2026-12-24T12:04:05+09:00"`},
		"over lines": {strings.Replace(three, "2027-03-31 00:00 A", "2027-03-31\n      00:00\n      A", 1), "192.0.2.1/32", "2027-03-31\n      00:00\n      Asia/Tokyo", "2026-12-24T12:04:05+09:00"},
		"folded":     {strings.Replace(three, "2027-03-31 00:00 Asia/Tokyo # soon", ">-\n      2027-03-31 00:00\n      Asia/Tokyo", 1), "192.0.2.1/32", ">-\n      2027-03-31 00:00\n      Asia/Tokyo", "2026-12-24T12:04:05+09:00"},
		"ended":      {strings.Replace(three, "2027-03-31 00:00 Asia/Tokyo", "2026-01-01 00:00 Asia/Tokyo", 1), "192.0.2.1/32", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := written(t, test.before)
			got, err := Expire(path, netip.MustParsePrefix(test.prefix), at)
			if err != nil || got.Prefix.String() != test.prefix || got.Until.After(at) {
				t.Errorf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(strings.Replace(test.before, test.old, test.now, 1), content(t, path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be edited is left alone.
func TestEditRefused(t *testing.T) {
	t.Parallel()
	const good = "exemptions:\n- {prefix: 192.0.2.9, reason: a, until: 2027-03-31T00:00:00Z}\n"
	add := func(change func(*Exemption)) func(string) error {
		return func(path string) error {
			e := newcomer()
			e.Prefix = netip.MustParsePrefix("192.0.2.10/32")
			change(&e)
			return Add(path, e)
		}
	}
	unknown := netip.MustParsePrefix("192.0.2.1/32")
	tests := map[string]struct {
		text string
		edit func(path string) error
		want string
	}{
		"twice":         {good, func(path string) error { return Add(path, newcomer()) }, "192.0.2.9/32 is exempt at FILE:2 already"},
		"no reason":     {good, add(func(e *Exemption) { e.Reason = "" }), "reason is empty: write some text"},
		"two lines":     {good, add(func(e *Exemption) { e.Ticket = "a\nb" }), "ticket has several lines, or a tab: write one line; after > it may be folded"},
		"no end":        {good, add(func(e *Exemption) { e.Until = time.Time{} }), "until is missing: an exemption ends at some time"},
		"far end":       {good, add(func(e *Exemption) { e.Until = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), `"10000-01-01T00:00:00Z" is no time: ` + momentFix},
		"no prefix":     {good, add(func(e *Exemption) { e.Prefix = netip.Prefix{} }), "is no prefix: write one such as 192.0.2.1/32"},
		"not masked":    {good, add(func(e *Exemption) { e.Prefix = netip.MustParsePrefix("192.0.2.1/24") }), "192.0.2.1/24 has bits set after its length: write 192.0.2.0/24"},
		"mistakes":      {good + "x: 1\n", add(func(*Exemption) {}), "FILE:3: unknown key \"x\": remove it; keys here are exemptions"},
		"by hand":       {"---\n...\n", add(func(*Exemption) {}), "FILE is written in a way that only an editor can change: write each exemption on lines of its own, after a dash"},
		"nobody":        {good, func(path string) error { _, err := Remove(path, unknown); return err }, "192.0.2.1/32: not exempt in FILE"},
		"nobody's end":  {good, func(path string) error { _, err := Expire(path, unknown, time.Now()); return err }, "192.0.2.1/32: not exempt in FILE"},
		"not a list":    {"exemptions: ~\n", add(func(*Exemption) {}), "FILE:1: exemptions: is nothing where a list belongs: write each exemption after a dash, or [] for none"},
		"too early end": {good, func(path string) error { _, err := Expire(path, newcomer().Prefix, time.Time{}); return err }, "until is missing: an exemption ends at some time"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := written(t, test.text)
			err := test.edit(path)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.ReplaceAll(err.Error(), path, "FILE")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := content(t, path); got != test.text {
				t.Errorf("changed to:\n%s", got)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestEditMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "exemptions.yaml")
	if _, err := Remove(path, newcomer().Prefix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove: %v", err)
	}
	if err := Add(path, newcomer()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Remove(path, newcomer().Prefix); err != nil {
		t.Error(err)
	}
	if all, err := Load(path); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if err := Add(filepath.Join(path, "x"), newcomer()); err == nil {
		t.Error("made below a file")
	}
}
