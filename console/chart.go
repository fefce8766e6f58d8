// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"strconv"
	"time"

	"op25b/human"
)

// chart is attempts over time, for a drawing that needs no script. It is chartHeight
// high, and as wide as it has steps; the page stretches it.
type chart struct {
	Width    int
	Bars     []bar
	Marks    []int // where days begin
	Most     uint64
	Total    uint64
	From, To time.Time
	Each     string // what a bar stands for
}

// bar is one step: what is or will be refused, and above it what may pass.
type bar struct {
	X, Width      int
	BlockedY      string
	BlockedHeight string
	PassedY       string
	PassedHeight  string
	Title         string
}

// step is what was counted from one moment to the next step's.
type step struct {
	from            time.Time
	blocked, passed uint64
}

const (
	chartHeight = 100
	barWidth    = 10
	barGap      = 2
)

// draw makes a chart of steps that are in order.
func (s *Server) draw(steps []step) chart {
	c := chart{Width: max(1, len(steps)*barWidth), Each: "hour"}
	if len(steps) == 0 {
		return c
	}
	c.From, c.To = steps[0].from, steps[len(steps)-1].from
	layout := "2006-01-02 15:04 MST"
	if len(steps) > 1 && steps[1].from.Sub(steps[0].from) >= 23*time.Hour { // the day that summer begins has so many
		c.Each, layout = "day", "2006-01-02"
	}
	for _, one := range steps {
		c.Most = max(c.Most, one.blocked+one.passed)
		c.Total += one.blocked + one.passed
	}
	for i, one := range steps {
		local := one.from.In(s.zone)
		if c.Each == "hour" && local.Hour() == 0 || c.Each == "day" && local.Day() == 1 {
			c.Marks = append(c.Marks, i*barWidth)
		}
		if one.blocked+one.passed == 0 {
			continue
		}
		blocked, passed := share(one.blocked, c.Most), share(one.passed, c.Most)
		c.Bars = append(c.Bars, bar{
			X: i*barWidth + barGap/2, Width: barWidth - barGap,
			BlockedY: units(chartHeight - blocked), BlockedHeight: units(blocked),
			PassedY: units(chartHeight - blocked - passed), PassedHeight: units(passed),
			Title: fmt.Sprintf("%s: %s blocked, %s passed", local.Format(layout), human.Count(one.blocked), human.Count(one.passed)),
		})
	}
	return c
}

// share is how high n stands. What is there at all can be seen.
func share(n, most uint64) float64 {
	if n == 0 {
		return 0
	}
	return max(1.5, chartHeight*float64(n)/float64(most)*0.985) //nolint:mnd // leaves the least that another may need
}

func units(n float64) string { return strconv.FormatFloat(n, 'f', 2, 64) }
