// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// text finds places in a document. The parser says where each value begins but not
// where it ends, which is found here for what [document] lets pass. On text that it
// does not understand it stops early: what an edit makes of that is not what was
// wanted, and so is never kept.
type text struct {
	data  []byte
	lines []int // offset of each
}

func newText(data []byte) *text {
	t := &text{data: data, lines: []int{0}}
	for i, b := range data {
		if b == '\n' && i+1 < len(data) {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// start returns the offset of a node. The parser counts columns in characters.
func (t *text) start(n *yaml.Node) int {
	at := t.lines[min(n.Line, len(t.lines))-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(t.data[at:])
		at += size
	}
	return at
}

// lineOf returns the line, from 0, of an offset.
func (t *text) lineOf(offset int) int {
	line, exact := slices.BinarySearch(t.lines, offset)
	if !exact {
		line--
	}
	return line
}

// from returns where a line begins; behind the last one, the end.
func (t *text) from(line int) int {
	if line >= len(t.lines) {
		return len(t.data)
	}
	return t.lines[line]
}

// line returns a line with its end.
func (t *text) line(line int) []byte { return t.data[t.from(line):t.from(line+1)] }

// indent is how many blanks a line begins with.
func (t *text) indent(line int) int {
	return len(t.line(line)) - len(bytes.TrimLeft(t.line(line), " "))
}

// isRemark tells whether there is nothing but a comment, or nothing at all.
func isRemark(text []byte) bool {
	rest := bytes.TrimSpace(text)
	return len(rest) == 0 || rest[0] == '#'
}

// below returns the line after those comments that follow a line and belong to what
// is indented more than by indent.
func (t *text) below(line, indent int) int {
	line++
	for line < len(t.lines) && t.indent(line) > indent && bytes.HasPrefix(bytes.TrimSpace(t.line(line)), []byte("#")) {
		line++
	}
	return line
}

// lineEnd is what lines of the file end with.
func (t *text) lineEnd() string {
	if i := bytes.IndexByte(t.data, '\n'); i > 0 && t.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// end returns the offset after a node inside a group indented by indent.
func (t *text) end(n *yaml.Node, indent int) int {
	at := t.start(n)
	switch {
	case n.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle != 0:
		inside := at + 1
		if len(n.Content) > 0 {
			inside = t.end(n.Content[len(n.Content)-1], indent)
		}
		return min(t.closing(inside)+1, len(t.data))
	case n.Kind != yaml.ScalarNode:
		return t.end(n.Content[len(n.Content)-1], n.Column-1)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return t.quoted(at, '"', '\\')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return t.quoted(at, '\'', '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return t.block(at, indent)
	}
	return t.words(at, n.Value)
}

// closing returns the bracket that ends a list or group in brackets, from the end
// of the last thing in it.
func (t *text) closing(at int) int {
	at = t.skip(at)
	if at < len(t.data) && t.data[at] == ',' {
		at = t.skip(at + 1)
	}
	return at
}

// skip passes blanks, line ends and comments.
func (t *text) skip(at int) int {
	for at < len(t.data) {
		switch t.data[at] {
		case ' ', '\t', '\r', '\n':
			at++
		case '#':
			at = t.from(t.lineOf(at) + 1)
		default:
			return at
		}
	}
	return at
}

// quoted passes a value in quotes. Escape makes the next byte part of it; in single
// quotes that is a quote before another one.
func (t *text) quoted(at int, quote, escape byte) int {
	for at++; at < len(t.data); at++ {
		next := at+1 < len(t.data) && (escape == '\\' || t.data[at+1] == quote)
		switch {
		case t.data[at] == escape && next:
			at++
		case t.data[at] == quote:
			return at + 1
		}
	}
	return len(t.data)
}

// words passes a value without quotes: its words, and whatever is blank between.
func (t *text) words(at int, value string) int {
	for i, word := range strings.FieldsFunc(value, isBlank) {
		next := at
		if i > 0 {
			next = t.skip(at)
		}
		if !bytes.HasPrefix(t.data[next:], []byte(word)) {
			return at
		}
		at = next + len(word)
	}
	return at
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }

// block passes a value of lines of its own, after | or >: as long as they are
// indented like the first.
func (t *text) block(at, indent int) int {
	first := t.lineOf(at)
	header, _, _ := bytes.Cut(t.data[at:t.from(first+1)], []byte("#"))
	inner := 0
	if i := bytes.IndexFunc(header, unicode.IsDigit); i >= 0 {
		inner = indent + int(header[i]-'0')
	}
	end := t.from(first + 1)
	for line := first + 1; line < len(t.lines); line++ {
		if len(bytes.TrimSpace(t.line(line))) == 0 {
			continue
		}
		if inner == 0 {
			inner = t.indent(line)
		}
		if inner <= indent || t.indent(line) < inner {
			break
		}
		end = t.from(line + 1)
	}
	return len(bytes.TrimRight(t.data[:end], "\r\n"))
}

// splice replaces a stretch of text.
type splice struct {
	from, to int
	with     string
}

// replaced returns the text with some stretches replaced, which do not overlap and
// are in order. Nil: they are not, since the text was not understood.
func (t *text) replaced(splices ...splice) []byte {
	out, at := []byte{}, 0
	for _, s := range splices {
		if s.from < at || s.to < s.from {
			return nil
		}
		out = append(append(out, t.data[at:s.from]...), s.with...)
		at = s.to
	}
	return append(out, t.data[at:]...)
}

// insert adds lines before a line, or at the end. A file whose last line has no end
// keeps it that way.
func (t *text) insert(line int, lines ...string) splice {
	at, end := t.from(line), t.lineEnd()
	with := strings.Join(lines, end) + end
	if at == len(t.data) && at > 0 && t.data[at-1] != '\n' {
		with = end + strings.TrimSuffix(with, end)
	}
	return splice{at, at, with}
}
