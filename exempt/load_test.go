// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func comparePrefixes() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}

func TestLoad(t *testing.T) {
	t.Parallel()
	one := written(t, `exemptions:
  - prefix: 100.64.3.7
    reason: mail server that moves to a static line
    ticket: 1234   # a number is text as well
    by: tanaka
    added: 2026-11-24T10:00:00+09:00
    until: 2027-03-31 00:00 Asia/Tokyo
  - {prefix: "2001:db8:a::/56", reason: two, until: 2027-01-01 00:00:30 UTC}
`)
	two := written(t, "# nobody\n")
	three := written(t, "exemptions: [{prefix: 100.64.3.0/24, reason: around, until: 2027-01-01T00:00:00Z}]")
	got, err := Load(one, two, three)
	if err != nil {
		t.Fatal(err)
	}
	want := []Exemption{
		{
			Prefix: netip.MustParsePrefix("100.64.3.7/32"), Reason: "mail server that moves to a static line", Ticket: "1234", By: "tanaka",
			Added: time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC), Until: time.Date(2027, 3, 30, 15, 0, 0, 0, time.UTC), File: one, Line: 2,
		},
		{Prefix: netip.MustParsePrefix("2001:db8:a::/56"), Reason: "two", Until: time.Date(2027, 1, 1, 0, 0, 30, 0, time.UTC), File: one, Line: 8},
		{Prefix: netip.MustParsePrefix("100.64.3.0/24"), Reason: "around", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), File: three, Line: 1},
	}
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLoadBad has every mistake, with its whole message.
func TestLoadBad(t *testing.T) {
	t.Parallel()
	const rest = ", reason: r, until: 2027-01-01T00:00:00Z}"
	item := func(s string) string { return "exemptions:\n- {" + s + "}" }
	until := func(s string) string { return item(`prefix: 192.0.2.1, reason: r, until: "` + s + `"`) }
	prefix := func(s string) string { return item(`prefix: "` + s + `"` + rest[:len(rest)-1]) }
	const keys = "remove it; keys here are prefix, reason, ticket, by, added, until"
	tests := map[string]struct{ text, want string }{
		"list":             {"- a\n", "FILE:1: is a list where a group of keys belongs: write its keys one per line, as in exemptions: …"},
		"null":             {"exemptions: null\n", "FILE:1: exemptions: is nothing where a list belongs: write each exemption after a dash, or [] for none"},
		"group":            {"exemptions:\n  prefix: 192.0.2.1\n", "FILE:2: exemptions: is a group of keys where a list belongs: write each exemption after a dash, or [] for none"},
		"text":             {"exemptions: [192.0.2.1]\n", "FILE:1: exemptions[0]: is one value where a group of keys belongs: write its keys one per line, as in prefix: …"},
		"unknown key":      {"exemption: []\n", `FILE:1: unknown key "exemption": remove it; keys here are exemptions`},
		"unknown key here": {item("prefix: 192.0.2.1, raeson: a" + rest[:len(rest)-1]), `FILE:2: exemptions[0]: unknown key "raeson": ` + keys},
		"merge key":        {item("<<: {}, prefix: 192.0.2.1" + rest[:len(rest)-1]), `FILE:2: exemptions[0]: unknown key "<<": ` + keys},
		"list for a key":   {item("[a]: b, prefix: 192.0.2.1" + rest[:len(rest)-1]), `FILE:2: exemptions[0]: has a list for a key: ` + keys},
		"key twice":        {"exemptions:\n- reason: a\n  prefix: 192.0.2.1\n  reason: b\n  until: 2027-01-01T00:00:00Z", "FILE:4: exemptions[0].reason: is written twice, first on line 2: keep one of the two"},
		"heading twice":    {"exemptions: []\nexemptions: []", "FILE:2: exemptions: is written twice, first on line 1: keep one of the two"},
		"prefix twice":     {"exemptions:\n- {prefix: 192.0.2.1" + rest + "\n- {prefix: 192.0.2.1/32" + rest, "FILE:3: exemptions[1].prefix: 192.0.2.1/32 is exempt at FILE:2 already: keep one of the two"},
		"alias":            {"exemptions:\n- &a {prefix: 192.0.2.1" + rest + "\n- *a", "FILE:2: exemptions[0]: has the anchor &a: remove it\nFILE:3: exemptions[1]: uses the alias *a: write the value out"},
		"unknown alias":    {"exemptions:\n- *b", "FILE:2: is not valid YAML: unknown anchor 'b' referenced: check indentation, brackets and quotes here and just above; use spaces, not tabs, and quote IPv6 prefixes inside [ ]"},
		"tag":              {item("prefix: !!str 192.0.2.1" + rest[:len(rest)-1]), `FILE:2: exemptions[0].prefix: has the tag "!!str": remove it`},
		"empty entry":      {"exemptions:\n-\n", "FILE:2: exemptions[0]: is nothing where a group of keys belongs: write its keys one per line, as in prefix: …"},
		"nothing": {item(""), "FILE:2: exemptions[0]: prefix is missing: write prefix: 192.0.2.1\n" +
			"FILE:2: exemptions[0]: reason is missing: write reason: mail server that moves to a static line\n" +
			"FILE:2: exemptions[0]: until is missing: write until: 2027-03-31 00:00 Asia/Tokyo"},
		"no value":        {item("ticket: , prefix: 192.0.2.1" + rest[:len(rest)-1]), "FILE:2: exemptions[0].ticket: has no value: write one, or remove the line"},
		"many values":     {item("ticket: [a, b], prefix: 192.0.2.1" + rest[:len(rest)-1]), "FILE:2: exemptions[0].ticket: is a list where one value belongs: write one value"},
		"empty text":      {item(`ticket: " ", prefix: 192.0.2.1` + rest[:len(rest)-1]), "FILE:2: exemptions[0].ticket: is empty: write some text"},
		"several lines":   {"exemptions:\n- prefix: 192.0.2.1\n  until: 2027-01-01T00:00:00Z\n  reason: |\n    a\n    b\n", "FILE:4: exemptions[0].reason: has several lines, or a tab: write one line; after > it may be folded"},
		"escape":          {item(`ticket: "\e[1m", prefix: 192.0.2.1` + rest[:len(rest)-1]), "FILE:2: exemptions[0].ticket: has a control character: write plain text"},
		"no prefix":       {prefix("example.net"), `FILE:2: exemptions[0].prefix: "example.net" is neither an IP address nor a prefix: write one such as 192.0.2.1, 192.0.2.0/28 or 2001:db8:a::/56`},
		"zone":            {prefix("fe80::1%eth0"), `FILE:2: exemptions[0].prefix: "fe80::1%eth0" is neither an IP address nor a prefix: write one such as 192.0.2.1, 192.0.2.0/28 or 2001:db8:a::/56`},
		"bits":            {prefix("192.0.2.1/24"), "FILE:2: exemptions[0].prefix: 192.0.2.1/24 has bits set after its length: write 192.0.2.0/24"},
		"everything":      {prefix("0.0.0.0/0"), "FILE:2: exemptions[0].prefix: 0.0.0.0/0 is the whole address family: nobody would be refused anything: write the prefixes that are meant"},
		"mapped":          {prefix("::ffff:192.0.2.1"), "FILE:2: exemptions[0].prefix: ::ffff:192.0.2.1/128 is IPv4 written as IPv6: write 192.0.2.1/32"},
		"mapped all":      {prefix("::ffff:0:0/96"), "FILE:2: exemptions[0].prefix: ::ffff:0.0.0.0/96 is IPv4 written as IPv6: write the IPv4 prefix that is meant"},
		"date":            {until("2027-03-31"), "FILE:2: exemptions[0].until: 2027-03-31 has no time and no zone: write 2027-03-31 00:00 and a zone such as Asia/Tokyo: it ends as that day begins"},
		"no zone":         {until("2027-03-31 00:00"), "FILE:2: exemptions[0].until: 2027-03-31 00:00 has no zone: write 2027-03-31 00:00 and a zone such as Asia/Tokyo"},
		"no time":         {until("next year"), `FILE:2: exemptions[0].until: "next year" is no time: ` + momentFix},
		"no such day":     {until("2027-02-29 00:00 UTC"), `FILE:2: exemptions[0].until: "2027-02-29 00:00 UTC" is no time: ` + momentFix},
		"no such zone":    {until("2027-03-31 00:00 Asia/Tokio"), `FILE:2: exemptions[0].until: "Asia/Tokio" is no time zone: write a name such as Asia/Tokyo, or UTC`},
		"this machine's":  {until("2027-03-31 00:00 Local"), `FILE:2: exemptions[0].until: "Local" is no time zone: write a name such as Asia/Tokyo, or UTC`},
		"skipped":         {until("2027-03-28 02:30 Europe/Berlin"), "FILE:2: exemptions[0].until: 2027-03-28 02:30 Europe/Berlin does not exist: the clocks skip it: write 2027-03-28T03:30:00+02:00"},
		"twice":           {until("2027-10-31 02:30 Europe/Berlin"), "FILE:2: exemptions[0].until: 2027-10-31 02:30 Europe/Berlin exists twice: the clocks are set back: write 2027-10-31T02:30:00+02:00 or 2027-10-31T02:30:00+01:00"},
		"syntax":          {"exemptions:\n- {prefix\n", "FILE:2: is not valid YAML: did not find expected ',' or '}': check indentation, brackets and quotes here and just above; use spaces, not tabs, and quote IPv6 prefixes inside [ ]"},
		"second document": {"exemptions: []\n---\nexemptions: []", "FILE:2: a second YAML document starts here: keep one, and remove the line ---"},
		"not UTF-8":       {"exemptions: []\n# \xff", "FILE:2: has a byte that is not UTF-8: save the file as plain UTF-8 text"},
		"control":         {"exemptions: []\n# \x1b", "FILE:2: has a control character: save the file as plain UTF-8 text"},
		"return":          {"exemptions: []\n# \r#", "FILE:2: has a carriage return inside the line: save the file as plain UTF-8 text"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := written(t, test.text)
			all, err := Load(path)
			if err == nil || all != nil {
				t.Fatalf("%+v, %v", all, err)
			}
			if diff := cmp.Diff(test.want, strings.ReplaceAll(err.Error(), path, "FILE")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Every mistake of every file is told, and whichever file is to blame.
func TestLoadManyBad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := written(t, "exemptions: [{prefix: 192.0.2.1, reason: a, until: 2027-01-01T00:00:00Z}]")
	again := written(t, "exemptions: [{prefix: 192.0.2.1, reason: b, until: 2028-01-01T00:00:00Z}, {}]")
	missing, large, fifo := filepath.Join(dir, "missing"), filepath.Join(dir, "large"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(large, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(good, again, missing, dir, large, fifo)
	var problems Problems
	if !errors.As(err, &problems) || !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.EISDIR) || !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("%v", err)
	}
	want := []string{
		again + ":1: exemptions[1]: prefix is missing: write prefix: 192.0.2.1",
		again + ":1: exemptions[1]: reason is missing: write reason: mail server that moves to a static line",
		again + ":1: exemptions[1]: until is missing: write until: 2027-03-31 00:00 Asia/Tokyo",
		again + ":1: exemptions[0].prefix: 192.0.2.1/32 is exempt at " + good + ":1 already: keep one of the two",
		missing + ": cannot be read: no such file or directory: name an existing file; one without exemptions can be empty",
		dir + ": cannot be read: is a directory: name a file inside it",
		large + ": cannot be read: file too large: divide it among several files: one has at most 16 MiB",
		fifo + ": cannot be read: not a regular file: name a plain file that can be read",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestActive(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	all := []Exemption{{Reason: "far", Until: at.Add(9 * time.Hour)}, {Reason: "now", Until: at}, {Reason: "edge", Until: at.Add(2 * time.Hour)}, {Reason: "soon", Until: at.Add(1)}}
	reasons := func(es []Exemption) string {
		var words []string
		for _, e := range es {
			words = append(words, e.Reason)
		}
		return strings.Join(words, " ")
	}
	if got := reasons(Active(all, at)); got != "far edge soon" {
		t.Error(got)
	}
	if got := reasons(Expiring(all, at, 2*time.Hour)); got != "soon edge" {
		t.Error(got)
	}
	if reasons(all) != "far now edge soon" {
		t.Error("changed what was given")
	}
}
