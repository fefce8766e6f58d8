// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

// The library does not say every line, and not all of them right; these are
// the lines that an editor shows.
func TestSyntaxErrorLine(t *testing.T) {
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src := parse("x.yaml", []byte(tt.text))
			if !src.unreadable || len(src.problems) != 1 {
				t.Fatalf("problems: %v", src.problems)
			}
			if got := src.problems[0]; got.Line != tt.want || got.Path != "" {
				t.Errorf("line %d, want %d: %v", got.Line, tt.want, got)
			}
		})
	}
}

func TestParseHarmless(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"byte order mark":       "\ufefflog: {level: info}\n",
		"replacement character": "# \ufffd\nlog: {level: info}\n",
		"Windows line ends":     "log:\r\n  level: info\r\n",
		"start and end marks":   "---\nlog: {level: info}\n...\n",
		"anchor nobody uses":    "log: &log {level: info}\n",
		"explicit tag":          "log: !!map {level: !!str info}\n",
		"quoted key":            "\"log\": {'level': \"info\"}\n",
	} {
		if src := parse("x.yaml", []byte(text)); len(src.problems) > 0 {
			t.Errorf("%s: %v", name, src.problems)
		}
	}
}
