// SPDX-License-Identifier: Apache-2.0

package lease

import "strings"

// word is one word of dhcpd's grammar.
type word struct {
	text string // of a string: what is between the quotes, escapes and all
	kind wordKind
}

type wordKind uint8

const (
	wordPlain  wordKind = iota
	wordMark            // ; { or }
	wordString          // in quotes
	wordOpen            // in quotes that the line does not close
)

func (w word) is(mark byte) bool { return w.kind == wordMark && w.text[0] == mark }

// nextWord cuts the first word off a line; false when there is none.
func nextWord(line string) (w word, rest string, ok bool) {
	line = strings.TrimLeft(line, " \t")
	if line == "" || line[0] == '#' {
		return word{}, "", false
	}
	switch line[0] {
	case ';', '{', '}':
		return word{line[:1], wordMark}, line[1:], true
	case '"':
		return quoted(line[1:])
	}
	end := 0
	for end < len(line) && !endsWord(line[end]) {
		end++
	}
	return word{line[:end], wordPlain}, line[end:], true
}

func endsWord(c byte) bool {
	switch c {
	case ' ', '\t', ';', '{', '}', '"', '#':
		return true
	default:
		return false
	}
}

// quoted cuts a string off a line that begins behind its first quote.
func quoted(line string) (w word, rest string, ok bool) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return word{line[:i], wordString}, line[i+1:], true
		}
	}
	return word{line, wordOpen}, "", true
}

// plain returns what a string says, with its escapes undone: a backslash and up to
// three octal digits, or a backslash and the character itself.
func (w word) plain() string {
	if w.kind == wordPlain || !strings.Contains(w.text, "\\") {
		return w.text
	}
	var b strings.Builder
	for s := w.text; s != ""; {
		c := s[0]
		s = s[1:]
		if c == '\\' && s != "" {
			c, s = unescape(s)
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unescape takes what follows a backslash.
func unescape(s string) (c byte, rest string) {
	n := 0
	for value := 0; n < len(s) && n < 3 && '0' <= s[n] && s[n] <= '7'; n++ {
		value = 8*value + int(s[n]-'0')
		c = byte(value)
	}
	if n == 0 {
		return s[0], s[1:]
	}
	return c, s[n:]
}

// octets returns what a string says, or what octets in hexadecimal with colons
// between them say: dhcpd writes either (lease-id-format).
func (w word) octets() ([]byte, bool) {
	if w.kind != wordPlain {
		return []byte(w.plain()), true
	}
	var octets []byte
	for part := range strings.SplitSeq(w.text, ":") {
		if len(part) == 0 || len(part) > 2 || !isDigit(part[0]) || !isDigit(part[len(part)-1]) {
			return nil, false
		}
		o := byte(0)
		for i := range len(part) {
			o = o<<4 | digit(part[i])
		}
		octets = append(octets, o)
	}
	return octets, true
}

// digit returns the value of a hexadecimal digit.
func digit(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
