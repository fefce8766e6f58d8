// SPDX-License-Identifier: Apache-2.0

package main

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bars are the horizontal bars of one figure, each with its value behind it. It is a
// plot.Plotter and a plot.Thumbnailer.
type bars struct {
	peers     []peer
	figure    string
	row, rows int // which of the bars of a group they are, from the top, and of how many
}

// largest returns the length of the longest bar.
func (b bars) largest() float64 {
	longest := 0.0
	for _, p := range b.peers {
		longest = max(longest, p.Medians[b.figure])
	}
	return longest
}

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	const gap = 3 * point // between a bar and its value
	toX, toY := p.Transforms(&c)
	style := draw.TextStyle{
		Color: color.Black, Font: font.From(sans, small-1), YAlign: draw.YCenter, Handler: p.TextHandler,
	}
	for i, one := range b.peers {
		value, known := one.Medians[b.figure]
		if !known {
			continue
		}
		top := toY(height(i)) + (vg.Length(b.rows)/2-vg.Length(b.row))*barHeight
		end := toX(value)
		fill(&c, b.colour(strings.Contains(label(one.Name), "op25b")), vg.Rectangle{
			Min: vg.Point{X: toX(0), Y: top - barHeight + hair}, Max: vg.Point{X: end, Y: top - hair},
		})
		c.FillText(style, vg.Point{X: end + gap, Y: top - barHeight/2}, number(value))
	}
}

// Thumbnail implements plot.Thumbnailer.
func (b bars) Thumbnail(c *draw.Canvas) { fill(c, b.colour(false), c.Rectangle) }

// colour is one for op25b and another for the rest, so that a reader finds it
// without the labels; the rows get lighter.
func (b bars) colour(ours bool) color.Color {
	shades := [3]color.RGBA{{0x33, 0x50, 0x72, 0xff}, {0x7d, 0x9a, 0xbd, 0xff}, {0xc0, 0xce, 0xdf, 0xff}}
	if ours {
		shades = [3]color.RGBA{{0xb8, 0x3a, 0x0a, 0xff}, {0xee, 0x8a, 0x4c, 0xff}, {0xf9, 0xc3, 0x9f, 0xff}}
	}
	return shades[min(b.row, len(shades)-1)]
}

func fill(c *draw.Canvas, with color.Color, r vg.Rectangle) {
	c.FillPolygon(with, []vg.Point{r.Min, {X: r.Min.X, Y: r.Max.Y}, r.Max, {X: r.Max.X, Y: r.Min.Y}})
}
