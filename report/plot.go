// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	"op25b/human"
)

// plot is a picture of stacked bars over time, in units of an SVG's view box. Its
// colors are the page's, by class, so that they go with light and dark.
type plot struct {
	Width, Height           int
	Narrow                  bool
	Left, Right, Bottom     int // where the axes are
	Text                    string
	Unit                    string
	Bars                    []plotBar
	Horizontal, Along       []tick // values, and times
	largest                 uint64
	baseline, ceiling, room float64
}

// plotBar is one step of time.
type plotBar struct {
	Title  string
	Pieces []piece
}

// piece is one color of a bar.
type piece struct {
	Class               string
	X, Y, Width, Height string
}

// tick is a label at an axis.
type tick struct {
	At    string
	Label string
}

// layer is what is stacked: its class, its name, and its part of a step.
type layer struct {
	Class, Name string
	of          func(*Point) uint64
}

// outcomeLayers are stacked from the axis up. Attempts to relays are left out: they are
// as they should be, and so many that nothing else would be seen.
func outcomeLayers() []layer {
	return []layer{
		{"refused", "refused", func(p *Point) uint64 { return p.Refused }},
		{"monitored", "went through, would have been refused", func(p *Point) uint64 { return p.Monitored }},
		{"later", "went through, no phase in force", func(p *Point) uint64 { return p.NotInForce }},
		{"exempt", "exempt", func(p *Point) uint64 { return p.Exempt }},
	}
}

func subscriberLayers() []layer {
	return []layer{{"subscribers", "subscribers", func(p *Point) uint64 { return p.Subscribers }}}
}

const (
	plotTop     = 26 // for the unit
	plotBottom  = 26 // for the times
	letterWidth = 7  // of the labels, at most
	labelGap    = 8
	leastLeft   = 44   // so that pictures below each other begin at one line
	dayLabel    = 58   // room for the label of a day or an hour
	mostDrawn   = 1e18 // an axis ends before numbers do
)

// draw makes a picture of so many units.
func (r *Report) draw(width, height int, layers []layer, unit string) *plot {
	p := &plot{Width: width, Height: height, Right: width - 1, Bottom: height - plotBottom, Narrow: width <= narrow, Unit: unit}
	for i := range r.Trend {
		p.largest = max(p.largest, stack(&r.Trend[i], layers))
	}
	p.largest = min(p.largest, mostDrawn)
	p.Text = r.inWords(layers, unit)
	p.scale()
	slot := float64(p.Right-p.Left) / float64(max(1, len(r.Trend)))
	for i := range r.Trend {
		p.Bars = append(p.Bars, p.bar(r, i, slot, layers))
	}
	p.times(r, slot)
	return p
}

// LabelsEnd is where the labels of values end.
func (p *plot) LabelsEnd() int { return p.Left - labelGap/2 }

// TimesAt is the line that times are written on.
func (p *plot) TimesAt() int { return p.Bottom + 17 }

func stack(at *Point, layers []layer) (sum uint64) {
	for _, l := range layers {
		sum += l.of(at)
	}
	return sum
}

// scale chooses the values that are written at the axis: up to five, round ones.
func (p *plot) scale() {
	step := uint64(1)
	for factor := uint64(1); p.largest > 4*step; {
		for _, round := range [...]uint64{1, 2, 5} {
			if step = round * factor; p.largest <= 4*step {
				break
			}
		}
		factor *= 10
	}
	top := max(step, (p.largest+step-1)/step*step)
	p.baseline, p.ceiling, p.room = float64(p.Bottom), float64(top), float64(p.Bottom-plotTop)
	p.Left = max(len(human.Count(top))*letterWidth+labelGap, leastLeft)
	for v := uint64(0); v <= top; v += step {
		p.Horizontal = append(p.Horizontal, tick{units(p.y(v)), human.Count(v)})
	}
}

func (p *plot) y(v uint64) float64 { return p.baseline - p.room*float64(v)/p.ceiling }

func (p *plot) bar(r *Report, i int, slot float64, layers []layer) plotBar {
	at := &r.Trend[i]
	b := plotBar{Title: r.stepLabel(at) + ": " + strings.TrimPrefix(said(at, layers), " ")}
	left, breadth := float64(p.Left)+slot*float64(i)+slot*0.1, slot*0.8
	var below uint64
	for _, l := range layers {
		n := l.of(at)
		if n == 0 {
			continue
		}
		top, bottom := p.y(below+n), p.y(below)
		b.Pieces = append(b.Pieces, piece{l.Class, units(left), units(top), units(breadth), units(max(bottom-top, 0.5))})
		below += n
	}
	return b
}

// said is a step in words.
func said(at *Point, layers []layer) string {
	var parts []string
	for _, l := range layers {
		if n := l.of(at); n > 0 {
			parts = append(parts, human.Count(n)+" "+l.Name)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// times labels as many steps as there is room for. Of hours, midnight has the date.
func (p *plot) times(r *Report, slot float64) {
	every := 1
	for _, n := range [...]int{1, 2, 3, 6, 7, 12, 14, 24, 28, 56, 112} {
		if every = n; slot*float64(n) >= dayLabel {
			break
		}
	}
	days := byDay(r.Trend)
	for i := range r.Trend {
		at := r.Trend[i].Time.In(r.From.Location())
		ordinal := i
		if !days {
			ordinal = at.Hour()
		}
		if ordinal%every != 0 {
			continue
		}
		x := float64(p.Left) + slot*(float64(i)+0.5)
		if half := float64(dayLabel) / 2; x+half > float64(p.Width)+labelGap || x < half {
			continue
		}
		p.Along = append(p.Along, tick{units(x), axisLabel(at, days)})
	}
}

func axisLabel(at time.Time, days bool) string {
	if days || at.Hour() == 0 {
		return at.Format("2 Jan")
	}
	return at.Format("15:04")
}

// inWords is the picture for those who do not see it.
func (r *Report) inWords(layers []layer, unit string) string {
	most := 0
	for i := range r.Trend {
		if stack(&r.Trend[i], layers) > stack(&r.Trend[most], layers) {
			most = i
		}
	}
	if len(r.Trend) == 0 || stack(&r.Trend[most], layers) == 0 {
		return "Bars: " + unit + ". There were none."
	}
	return fmt.Sprintf("Bars: %s, from %s to %s. Most at %s: %s. The last, %s.", unit,
		r.stepLabel(&r.Trend[0]), r.stepLabel(&r.Trend[len(r.Trend)-1]), r.stepLabel(&r.Trend[most]), said(&r.Trend[most], layers),
		said(&r.Trend[len(r.Trend)-1], layers))
}

// units writes a length or place in the picture.
func units(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}
