// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is one picture: a group of horizontal bars for each peer, a bar for each
// figure.
type chart struct {
	name   string
	title  string
	axis   string // with its unit
	series []series
}

// series is one figure of all peers.
type series struct {
	figure string
	title  string // in the legend; none is needed for a single series
}

func charts() []chart {
	return []chart{
		{"tcp", "Bulk TCP, one flow", "Gbit/s, more is better", []series{{"tcp_up", "up"}, {"tcp_down", "down"}}},
		{"packets", "64-byte UDP packets", "packets a second, more is better",
			[]series{{"udp_64", "at saturation"}, {"udp_64_lossless", "nothing lost"}}},
		{"rtt", "Round trip of a small packet", "microseconds, less is better",
			[]series{{"rtt_idle_p50", "idle, median"}, {"rtt_idle_p99", "idle, p99"}, {"rtt_load_p50", "under TCP load, median"}}},
		{"cpu", "Processor time of the whole machine, TCP up", "seconds for each gigabyte, less is better",
			[]series{{"tcp_up_cpu", ""}}},
	}
}

const (
	point     = vg.Inch / 72
	width     = 18 * vg.Centimeter
	margin    = 10 * point
	barHeight = 10 * point
	groupGap  = 10 * point
	head      = 46 * point // title and legend
	foot      = 36 * point // numbers and title of the axis
	small     = 9 * point
	large     = 13 * point
	hair      = 0.5 * point
)

// Constants, as far as the language is concerned.
var (
	sans = font.Font{Typeface: "Liberation", Variant: "Sans"} //nolint:gochecknoglobals // see above
	grey = color.Gray{0x60}                                   //nolint:gochecknoglobals // see above
)

// draw writes the chart to a file, in the format that its name ends in.
func (c chart) draw(r *report, path string) error {
	c.series = slices.DeleteFunc(slices.Clone(c.series), func(s series) bool { return !measured(r, s.figure) })
	if len(c.series) == 0 {
		return nil
	}
	height := vg.Length(len(r.Peers))*(vg.Length(len(c.series))*barHeight+groupGap) + head + foot + 2*margin
	canvas, err := draw.NewFormattedCanvas(width, height, strings.TrimPrefix(filepath.Ext(path), "."))
	if err != nil {
		return err
	}
	page := draw.New(canvas)
	fill(&page, color.White, page.Rectangle) // on a dark page as well
	page = draw.Crop(page, margin, -margin, margin, -margin)
	p, legend := c.plot(r)
	c.drawHead(page, r, p.TextHandler, legend)
	p.Draw(draw.Crop(page, 0, 0, 0, -head))
	return save(canvas, path)
}

// save writes the picture. An SVG names its typeface only; whoever lacks that gets
// one as wide.
func save(canvas vg.CanvasWriterTo, path string) error {
	var picture bytes.Buffer
	if _, err := canvas.WriteTo(&picture); err != nil {
		return err
	}
	text := bytes.ReplaceAll(picture.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, text, 0o644)
}

// drawHead writes the title, what was measured where, and the legend.
func (c chart) drawHead(page draw.Canvas, r *report, handler text.Handler, legend plot.Legend) {
	style := draw.TextStyle{Color: color.Black, Font: font.From(sans, large), YAlign: draw.YTop, Handler: handler}
	at := vg.Point{X: page.Min.X, Y: page.Max.Y}
	page.FillText(style, at, c.title)
	style.Font, style.Color = font.From(sans, small), grey
	at.Y -= large + 5*point
	page.FillText(style, at, fmt.Sprintf("%s, %d processors, Linux %s; %s", r.Machine, r.Processors, r.Kernel, r.basis()))
	legend.Draw(page)
}

// plot makes all but the head.
func (c chart) plot(r *report) (*plot.Plot, plot.Legend) {
	p, legend := plot.New(), plot.NewLegend()
	legend.Top, legend.ThumbnailWidth, legend.Padding = true, barHeight, 2*point
	legend.TextStyle.Font = font.From(sans, small)
	c.style(p, r)
	largest := 0.0
	for i, s := range c.series {
		b := bars{peers: r.Peers, figure: s.figure, row: i, rows: len(c.series)}
		p.Add(b)
		if len(c.series) > 1 {
			legend.Add(s.title, b)
		}
		largest = max(largest, b.largest())
	}
	p.X.Min, p.X.Max = 0, largest*1.1 // room for the values
	p.Y.Min, p.Y.Max = -float64(len(r.Peers))+0.5, 0.5
	return p, legend
}

// measured reports whether any peer has the figure.
func measured(r *report, figure string) bool {
	return slices.ContainsFunc(r.Peers, func(p peer) bool { _, ok := p.Medians[figure]; return ok })
}

// style sets all but the bars.
func (c chart) style(p *plot.Plot, r *report) {
	p.X.Label.Text = c.axis
	p.X.Label.Padding = 2 * point
	p.X.Label.TextStyle.Font = font.From(sans, small)
	p.X.Label.TextStyle.Color = grey
	p.X.Tick.Label.Font = font.From(sans, small)
	p.Y.Tick.Label.Font = font.From(sans, small+1)
	p.X.Tick.Marker = plot.TickerFunc(ticks)
	p.X.Tick.Label.Color = grey
	p.X.LineStyle.Width = 0
	p.X.Tick.LineStyle.Width = 0
	p.Y.LineStyle.Width = hair
	p.Y.Tick.LineStyle.Width = 0
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	grid.Vertical = draw.LineStyle{Color: color.Gray{0xdd}, Width: hair}
	p.Add(grid)
	var names []plot.Tick
	for i, one := range r.Peers {
		names = append(names, plot.Tick{Value: height(i), Label: label(one.Name)})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(names)
}

// height is where a peer's bars are: the first is on top.
func height(peer int) float64 { return -float64(peer) }

// ticks are four to eight round numbers.
func ticks(_, largest float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10(largest)))
	switch {
	case largest/step < 2:
		step /= 4
	case largest/step < 4:
		step /= 2
	case largest/step > 8:
		step *= 2
	}
	var found []plot.Tick
	for v := 0.0; v <= largest; v += step {
		found = append(found, plot.Tick{Value: v, Label: thousands(v, -1)})
	}
	return found
}

// number writes a value with three digits that matter, four below ten thousand.
func number(v float64) string {
	switch {
	case v >= 10_000:
		return thousands(math.Round(v/100)*100, 0)
	case v >= 100:
		return thousands(v, 0)
	case v >= 10:
		return thousands(v, 1)
	default:
		return thousands(v, 2)
	}
}

// thousands writes a value with so many digits behind the point (-1: as many as there
// are) and its thousands apart.
func thousands(v float64, digits int) string {
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, fraction, found := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return whole
}
