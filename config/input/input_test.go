// SPDX-License-Identifier: Apache-2.0

package input_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"op25b/config/input"
)

// The library does not say every line, and not all of them right; these are
// the lines that an editor shows.
func TestMistakeLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       int
	}{
		{"tab", "a: b\n\tc: d\n", 2},
		{"open bracket", "x: 1\ny: 2\na: [1, 2\nb: 3\n", 3},
		{"open bracket, first line", "a: [1, 2\nb: 3\n", 2},
		{"open brace", "x: 1\ny: {a: b\n", 2},
		{"open quote, last line", "x: 1\na: 'x", 2},
		{"two colons", "x: 1\ny: 2\na: b: c\n", 3},
		{"deeper than its parent", "x: 1\na: b\n  c: d\n", 3},
		{"list below a value", "a: b\n- c\n", 2},
		{"key below a list", "- a\nb: c\n", 2},
		{"reserved character, first line", "a: @x\n", 1},
		{"reserved character", "b: c\na: @x\n", 2},
		{"unknown anchor", "a: b\nc: d\ne: *x\n", 3},
		{"tab in a block", "a: |\n x\n  y\n\tz\n b", 4},
		{"IPv6 prefix in a list", "a:\n  b: 1\n  c: [::/48]\n", 3},
		{"second document", "a: b\n---\nc: 'x\n", 3},
		{"not UTF-8", "a: b\nc: \xff\n", 2},
		{"cut UTF-8", "a: b\nc: \xe2\x82", 2},
		{"UTF-16", "\xff\xfea\x00", 1},
		{"control character", "a: b\nc: \x00\n", 2},
		{"old Macintosh's lines", "a: b\n\nc: d\re: f\n", 3},
		{"line break of YAML's alone", "a: b\nc: \u2028\n", 2},
		{"byte order mark inside", "\ufeffa: b\n\ufeffc: d\n", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root, wrong := input.YAML(input.Text([]byte(tt.text)))
			if root != nil || wrong == nil || wrong.What == "" || wrong.Fix == "" || wrong.Line != tt.want {
				t.Errorf("%+v and %+v, want line %d", root, wrong, tt.want)
			}
		})
	}
}

// What is no mistake, and has a root if it says anything.
func TestYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "",
		"# nothing\n":           "",
		"\ufeffa: b\n":          "a b",
		"# \ufffd\r\na: b\r\n":  "a b",
		"---\na: b\n...\n":      "a b",
		"a: *x # the wrong way": "",
	} {
		root, wrong := input.YAML(input.Text([]byte(text)))
		got := ""
		if root != nil {
			got = root.Content[0].Value + " " + root.Content[1].Value
		}
		if got != want || (wrong != nil) != strings.Contains(text, "wrong") {
			t.Errorf("%q: %q, %+v", text, got, wrong)
		}
	}
}

// What cannot be a file of somebody's text is refused before anything is read, and
// without waiting.
func TestRead(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	want := bytes.Repeat([]byte("x"), most)
	for _, err := range []error{
		syscall.Mkfifo(path("fifo"), 0o600), os.WriteFile(path("full"), want, 0o600), os.WriteFile(path("huge"), append(want, 'x'), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := input.Read(path("full"), most); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets, %v", len(got), err)
	}
	for name, fix := range map[string]string{
		"fifo": "name a plain file that can be read", "huge": "divide it among several parts: one has at most 1 MiB",
		"": "name a file inside it", "absent": "name an existing file",
	} {
		_, err := input.Read(path(name), most)
		if !errors.As(err, new(*fs.PathError)) || input.Fix(err, "parts", most) != fix {
			t.Errorf("%s: %v: %s", name, err, input.Fix(err, "parts", most))
		}
	}
	// Root reads everything, so the real thing cannot be had here.
	if got := input.Fix(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "parts", most); !strings.Contains(got, "run as root") {
		t.Error(got)
	}
	if _, err := input.Read("/dev/zero", most); err == nil {
		t.Error("/dev/zero was read")
	}
	// It says nothing of its size.
	if got, err := input.Read("/proc/self/status", most); err != nil || !bytes.HasPrefix(got, []byte("Name:")) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := input.Read("/proc/self/status", 10); !errors.Is(err, syscall.EFBIG) {
		t.Error(err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 7)
	for given, want := range map[string]string{
		"25": `"25"`, "": `""`, "a\x1b[2Jb\n": `"a\x1b[2Jb\n"`, long: `"` + long[:60] + `…"`,
	} {
		if got := input.Quote(given); got != want {
			t.Errorf("%q is %s, want %s", given, got, want)
		}
	}
}
