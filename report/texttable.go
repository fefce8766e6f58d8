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

const gap = 2 // between columns

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
// each time with the first column again: nothing is cut.
func (t *table) lines(most int) []string {
	widths := t.widths()
	var lines []string
	for from := 1; from < len(t.columns) || from == 1; {
		until, used := from, widths[0]
		for until < len(t.columns) && (until == from || used+gap+widths[until] <= most) {
			used += gap + widths[until]
			until++
		}
		if from > 1 {
			lines = append(lines, "")
		}
		lines = append(lines, t.block(widths, from, until)...)
		from = max(until, from+1)
	}
	return lines
}

func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = cells(c.title)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	return widths
}

// block writes the first column and those of a range.
func (t *table) block(widths []int, from, until int) []string {
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	var lines []string
	for _, row := range append([][]string{titles}, t.rows...) {
		line := pad(row[0], widths[0], t.columns[0].right)
		for i := from; i < until; i++ {
			line += strings.Repeat(" ", gap) + pad(row[i], widths[i], t.columns[i].right)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
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
