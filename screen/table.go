// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"strings"

	"charm.land/lipgloss/v2"

	"op25b/human"
)

// table is what a pane shows. The first column is text, at the left; the others are
// numbers, at the right, the most important first.
type table struct {
	titles []string
	lines  []tableLine
	// sorted is the column that the lines are sorted by.
	sorted int
	// empty is said where there are no lines.
	empty string
}

type tableLine struct {
	cells []string
	look  look
}

// rows lays a table out in so many columns and lines: columns that do not fit are left
// out from the right, lines from the end. It begins with the line numbered offset.
func (t *table) rows(p *painter, width, height, offset int) []row {
	if len(t.lines) == 0 {
		return []row{{dim(t.empty)}}
	}
	widths := t.widths(p, width)
	rows := []row{{piece{t.layOut(p, t.titles, widths, t.sorted), lookDim}}}
	room := height - 1
	rest := t.lines[min(offset, len(t.lines)):]
	hidden := 0
	if len(rest) > room {
		hidden = len(rest) - max(0, room-1)
		rest = rest[:max(0, room-1)]
	}
	for _, l := range rest {
		rows = append(rows, row{piece{t.layOut(p, l.cells, widths, -1), l.look}})
	}
	if hidden > 0 {
		rows = append(rows, row{dim(human.Count(uint64(hidden)) + " more below")})
	}
	return rows
}

// widths says how wide each column is that is shown.
func (t *table) widths(p *painter, width int) (widths []int) {
	left := width
	for column, title := range t.titles {
		w := lipgloss.Width(title) + 1 // and the mark of what it is sorted by
		for _, l := range t.lines {
			w = max(w, lipgloss.Width(p.clean(l.cells[column])))
		}
		if column > 0 {
			w += 2 // between columns
		}
		if column > 0 && w > left {
			break
		}
		w = min(w, left)
		left -= w
		widths = append(widths, w)
	}
	return widths
}

func (t *table) layOut(p *painter, cells []string, widths []int, sorted int) string {
	var b strings.Builder
	for i, w := range widths {
		text := p.clean(cells[i])
		if i == sorted {
			text += "*"
		}
		text = p.cut(text, w)
		pad := strings.Repeat(" ", max(0, w-lipgloss.Width(text)))
		if i == 0 {
			b.WriteString(text + pad)
		} else {
			b.WriteString(pad + text)
		}
	}
	return b.String()
}
