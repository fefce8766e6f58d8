// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// without returns the text without the i-th entry. Comments inside of it go with
// it, those above it and after it stay.
func (d *document) without(i int) []byte {
	t, item := newText(d.text), d.list.Content[i]
	if d.list.Style&yaml.FlowStyle != 0 {
		return t.replaced(t.outOfBrackets(d.list, i))
	}
	indent := d.list.Column - 1
	from, to := t.dash(d.list, item), t.lineOf(t.end(item, indent)-1)
	return t.replaced(splice{t.from(from), t.from(t.below(to, indent)), ""})
}

// outOfBrackets takes an entry out of a list in brackets, with a comma.
func (t *text) outOfBrackets(list *yaml.Node, i int) splice {
	from, to := t.start(list.Content[i]), t.end(list.Content[i], 0)
	first := t.from(t.lineOf(from))
	after := t.skip(to)
	comma := after < len(t.data) && t.data[after] == ','
	if comma {
		to = after + 1
	}
	line := t.lineOf(to - 1)
	rest := t.data[to:t.from(line+1)]
	switch {
	case len(bytes.TrimSpace(t.data[first:from])) == 0 && isRemark(rest):
		return splice{first, t.from(line + 1), ""} // it has its lines for itself
	case comma:
		return splice{from, to + len(rest) - len(bytes.TrimLeft(rest, " ")), ""}
	case i > 0:
		// The comma before it, unless a comment is between.
		if end := t.end(list.Content[i-1], 0); isComma(t.data[end:from]) {
			from = end
		}
	}
	return splice{from, to, ""}
}

func isComma(between []byte) bool { return string(bytes.TrimSpace(between)) == "," }
