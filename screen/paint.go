// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
)

// look is what a piece of text means, from which follows how it is shown. None is told
// by color alone: terminals may have none, and people may not see it.
type look uint8

const (
	lookPlain look = iota
	lookDim
	lookStrong
	lookGood
	lookWarn
	lookBad
	lookChosen
	lookGraph
	numLooks
)

// piece is text with one look, row is a line of them.
type piece struct {
	text string
	look look
}

type row []piece

func say(text string) piece    { return piece{text: text} }
func dim(text string) piece    { return piece{text, lookDim} }
func strong(text string) piece { return piece{text, lookStrong} }

// painter turns rows into what a terminal understands.
type painter struct {
	// ascii: the terminal shows nothing else.
	ascii bool
	// styles by look. Empty: there are none.
	styles []lipgloss.Style
}

// newPainter uses the terminal's own 16 colors, which its owner has chosen to be
// readable. Where NO_COLOR is set, bubbletea takes them out again.
func newPainter(ascii bool) *painter {
	styles := make([]lipgloss.Style, numLooks)
	for i := range styles {
		styles[i] = lipgloss.NewStyle()
	}
	styles[lookDim] = styles[lookDim].Faint(true)
	styles[lookStrong] = styles[lookStrong].Bold(true)
	styles[lookGood] = styles[lookGood].Foreground(lipgloss.Green).Bold(true)
	styles[lookWarn] = styles[lookWarn].Foreground(lipgloss.Yellow)
	styles[lookBad] = styles[lookBad].Foreground(lipgloss.Red).Bold(true)
	styles[lookChosen] = styles[lookChosen].Reverse(true)
	styles[lookGraph] = styles[lookGraph].Foreground(lipgloss.Cyan)
	return &painter{ascii: ascii, styles: styles}
}

// paint writes rows below each other, none wider than width.
func (p *painter) paint(rows []row, width int) string {
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = p.line(r, width)
	}
	return strings.Join(lines, "\n")
}

func (p *painter) line(r row, width int) string {
	var b strings.Builder
	for _, piece := range r {
		text := p.cut(p.clean(piece.text), width)
		width -= lipgloss.Width(text)
		if text == "" {
			continue
		}
		if p.styles != nil && piece.look != lookPlain {
			text = p.styles[piece.look].Render(text)
		}
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), " ")
}

// clean takes out what a terminal would act on, or could not show.
func (p *painter) clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r), p.ascii && r > unicode.MaxASCII:
			return '?'
		default:
			return r
		}
	}, text)
}

// cut shortens a text to so many columns; where something is missing, a mark says so.
func (p *painter) cut(text string, width int) string {
	if lipgloss.Width(text) <= width {
		return text
	}
	mark := "…"
	if p.ascii {
		mark = "~"
	}
	left := width - 1
	var b strings.Builder
	for _, r := range text {
		left -= lipgloss.Width(string(r))
		if left < 0 {
			break
		}
		b.WriteRune(r)
	}
	if width < 1 {
		return ""
	}
	return b.String() + mark
}

// spark draws the latest values, as many as there is width for, against the largest.
func (p *painter) spark(values []float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	if p.ascii {
		bars = []rune("_.:-=+*#")
	}
	values = values[max(0, len(values)-max(0, width)):]
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	drawn := make([]rune, len(values))
	for i, v := range values {
		drawn[i] = bars[0]
		if top > 0 {
			drawn[i] = bars[min(len(bars)-1, int(v/top*float64(len(bars))))]
		}
	}
	return string(drawn)
}

// rule fills the rest of a line of so many columns after a title.
func (p *painter) rule(n int) string {
	if p.ascii {
		return strings.Repeat("-", max(0, n))
	}
	return strings.Repeat("─", max(0, n))
}
