// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// table is a part of a page: numbers at the right, names at the left.
type table struct {
	columns []column
	rows    [][]string
}

// column is one of a table.
type column struct {
	title string
	right bool
}

const (
	gap            = 2 // between columns
	mostTitleLines = 2
)

func names(titles ...string) []column {
	var all []column
	for _, t := range titles {
		all = append(all, column{title: t})
	}
	return all
}

func numbers(titles ...string) []column {
	var all []column
	for _, t := range titles {
		all = append(all, column{title: t, right: true})
	}
	return all
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// lines writes the table within a width. What does not fit beside the rest comes below,
// each time with the first column again, and the text of a last column is broken
// between words: nothing is cut.
func (t *table) lines(most int) []string {
	widths := t.widths()
	var lines []string
	for from := 1; from < len(t.columns); {
		until, used := from, widths[0]
		for until < len(t.columns) && (until == from || used+gap+widths[until] <= most) {
			used += gap + widths[until]
			until++
		}
		if from > 1 {
			lines = append(lines, "")
		}
		if over := used - most; over > 0 && !t.columns[from].right {
			widths[from] = max(widths[from]-over, narrowest/2)
		}
		lines = append(lines, t.block(widths, from, until)...)
		from = until
	}
	return lines
}

// widths are as wide as each column's cells, and as its title in two lines.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		for word := range strings.FieldsSeq(c.title) {
			widths[i] = max(widths[i], cells(word))
		}
		for len(wrap(c.title, widths[i], "")) > mostTitleLines {
			widths[i]++
		}
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	return widths
}

// block writes the first column and those of a range. Titles stand on what is below
// them.
func (t *table) block(widths []int, from, until int) []string {
	columns := []int{0}
	for i := from; i < until; i++ {
		columns = append(columns, i)
	}
	titles := make([][]string, len(columns))
	tallest := 0
	for i, c := range columns {
		titles[i] = wrap(t.columns[c].title, widths[c], "")
		tallest = max(tallest, len(titles[i]))
	}
	for i := range titles {
		titles[i] = append(make([]string, tallest-len(titles[i])), titles[i]...)
	}
	lines := t.side(titles, columns, widths)
	for _, row := range t.rows {
		broken := make([][]string, len(columns))
		for i, c := range columns {
			broken[i] = []string{row[c]}
			if cells(row[c]) > widths[c] {
				broken[i] = wrap(row[c], widths[c], "")
			}
		}
		lines = append(lines, t.side(broken, columns, widths)...)
	}
	return lines
}

// side puts the lines of cells side by side.
func (t *table) side(row [][]string, columns, widths []int) []string {
	var lines []string
	for at := 0; ; at++ {
		var line strings.Builder
		found := false
		for i, c := range columns {
			text := ""
			if at < len(row[i]) {
				text, found = row[i][at], true
			}
			if i > 0 {
				line.WriteString(strings.Repeat(" ", gap))
			}
			line.WriteString(pad(text, widths[c], t.columns[c].right))
		}
		if !found {
			return lines
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
}

// pad fills text with blanks up to a width.
func pad(text string, to int, right bool) string {
	blanks := strings.Repeat(" ", max(0, to-cells(text)))
	if right {
		return blanks + text
	}
	return text + blanks
}

// cells is how many places of a terminal a text takes: two for each Japanese character,
// none for an accent by itself.
func cells(text string) (n int) {
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Mn, r):
		case width.LookupRune(r).Kind() == width.EastAsianWide, width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// wrap breaks text between words into lines of a width. Later lines are indented. A
// word that is longer than a line, as an address may be, stays whole.
func wrap(text string, most int, indent string) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case cells(line)+1+cells(word) <= most:
			line += " " + word
		default:
			lines = append(lines, line)
			line = indent + word
		}
	}
	return append(lines, line)
}
