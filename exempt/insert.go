// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// with returns the text with another entry, written like the last one.
func (d *document) with(e *Exemption) []byte {
	t := newText(d.text)
	inBraces := strings.Join(e.fields(true), ", ")
	switch {
	case d.root == nil:
		return t.replaced(t.insert(len(t.lines), append([]string{heading + ":"}, dashed(e, 2, 1)...)...))
	case d.list == nil && len(d.root.Content) == 0: // {}
		at := t.closing(t.start(d.root) + 1)
		return t.replaced(splice{at, at, heading + ": [{" + inBraces + "}]"})
	case d.list == nil && d.root.Style&yaml.FlowStyle != 0: // {exemptions: }
		return t.replaced(t.intoHeading(d.root.Content[0], "[{"+inBraces+"}]"))
	case d.list == nil:
		indent := d.root.Column - 1
		line := t.below(d.root.Content[0].Line-1, indent)
		return t.replaced(t.insert(line, dashed(e, indent+2, 1)...))
	case d.list.Style&yaml.FlowStyle == 0:
		return t.replaced(t.intoLines(d.list, e))
	case len(d.list.Content) == 0:
		return t.replaced(t.intoEmpty(d, e)...)
	}
	return t.replaced(t.intoBrackets(d.list, "{"+inBraces+"}")...)
}

// intoHeading gives the heading of a group in braces a value.
func (t *text) intoHeading(key *yaml.Node, value string) splice {
	at := t.end(key, 0)
	if colon := t.skip(at); colon < len(t.data) && t.data[colon] == ':' {
		return splice{colon + 1, colon + 1, " " + value}
	}
	return splice{at, at, ": " + value}
}

// dashed returns an exemption as lines after a dash; gap is from the dash to the
// first key.
func dashed(e *Exemption, indent, gap int) []string {
	lines := e.fields(false)
	for i := range lines {
		before := strings.Repeat(" ", indent) + "-" + strings.Repeat(" ", gap)
		if i > 0 {
			before = strings.Repeat(" ", len(before))
		}
		lines[i] = before + lines[i]
	}
	return lines
}

// intoLines adds to a list with a dash for each entry.
func (t *text) intoLines(list *yaml.Node, e *Exemption) splice {
	last := list.Content[len(list.Content)-1]
	indent, gap := list.Column-1, 1
	if t.dash(list, last) == last.Line-1 {
		gap = last.Column - list.Column - 1
	}
	lines := dashed(e, indent, gap)
	if last.Style&yaml.FlowStyle != 0 {
		inside := strings.Join(e.fields(true), ", ")
		if bytes.HasPrefix(t.data[t.start(last):], []byte("{ ")) {
			inside = " " + inside + " "
		}
		lines = []string{strings.Repeat(" ", indent) + "-" + strings.Repeat(" ", gap) + "{" + inside + "}"}
	}
	end := t.lineOf(t.end(last, indent) - 1)
	return t.insert(t.below(end, indent), lines...)
}

// dash returns the line of an entry's dash, above which there may be comments only.
func (t *text) dash(list, item *yaml.Node) int {
	line := item.Line - 1
	for line > list.Line-1 && !bytes.HasPrefix(bytes.TrimLeft(t.line(line), " "), []byte("-")) {
		line--
	}
	return line
}

// intoEmpty adds to a list that is []. Where that can be, lines take its place.
func (t *text) intoEmpty(d *document, e *Exemption) []splice {
	from := t.start(d.list)
	closing := t.closing(from + 1)
	to, line := min(closing+1, len(t.data)), t.lineOf(from)
	if d.root.Style&yaml.FlowStyle != 0 || closing != from+1 || !isRemark(t.data[to:t.from(line+1)]) {
		return []splice{{closing, closing, "{" + strings.Join(e.fields(true), ", ") + "}"}}
	}
	rest := t.data[to:t.from(line+1)]
	if len(bytes.TrimSpace(rest)) == 0 {
		from = len(bytes.TrimRight(t.data[:from], " "))
	}
	indent := d.root.Column - 1
	return []splice{{from, to, ""}, t.insert(line+1, dashed(e, indent+2, 1)...)}
}

// intoBrackets adds to a list in brackets: on a line of its own if the last entry
// has one.
func (t *text) intoBrackets(list *yaml.Node, entry string) []splice {
	last := list.Content[len(list.Content)-1]
	from, to := t.start(last), t.end(last, 0)
	first, line := t.lineOf(from), t.lineOf(to-1)
	before := t.data[t.from(first):from]
	comma, after := ",", to // of the entry that is last now
	if at := t.skip(to); at < len(t.data) && t.data[at] == ',' {
		comma, after = "", at+1
	}
	switch {
	case len(bytes.TrimSpace(before)) > 0:
		return []splice{{after, after, comma + " " + entry}}
	case t.lineOf(after) == line && isRemark(t.data[after:t.from(line+1)]):
		trailing := ","
		if comma != "" {
			trailing = ""
		}
		return []splice{{to, to, comma}, t.insert(line+1, string(before)+entry+trailing)}
	}
	return []splice{{after, after, comma + t.lineEnd() + string(before) + entry}}
}
