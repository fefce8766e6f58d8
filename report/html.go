// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"op25b/human"
)

//go:embed templates
var templates embed.FS

// htmlPage is what the template is given.
type htmlPage struct {
	*Report

	Style     template.CSS
	Headlines []string
	// The pictures are there twice, for a wide page and for a telephone.
	Outcomes, Subscribers []*plot
	Legend                []layer
}

// Sizes of pictures, wide and narrow, in the units of a letter's size.
const (
	wide          = 920
	narrow        = 340
	outcomeHeight = 250
	countHeight   = 170
)

// WriteHTML writes the report as one page that needs nothing else: no script, no
// style, no picture from anywhere. Text of others is escaped by html/template. The error
// is the writer's.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report.html").Funcs(r.functions()).ParseFS(templates, "templates/report.html")
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	style, err := templates.ReadFile("templates/report.css")
	if err != nil {
		return fmt.Errorf("read the page's style: %w", err)
	}
	unit := "attempts by " + r.stepName()
	who := "subscribers by " + r.stepName()
	page := htmlPage{
		Report:    r,
		Style:     template.CSS(style), // ours
		Headlines: r.headlines(),
		Legend:    outcomeLayers(),
		Outcomes: []*plot{
			r.draw(wide, outcomeHeight, outcomeLayers(), unit), r.draw(narrow, outcomeHeight, outcomeLayers(), unit),
		},
		Subscribers: []*plot{
			r.draw(wide, countHeight, subscriberLayers(), who), r.draw(narrow, countHeight, subscriberLayers(), who),
		},
	}
	var b bytes.Buffer // half a page would look like a whole one
	if err := t.Execute(&b, page); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (r *Report) functions() template.FuncMap {
	return template.FuncMap{
		"n":        human.Count,
		"when":     r.when,
		"clean":    clean,
		"address":  address,
		"looks":    looksLike,
		"sure":     sure,
		"outcomes": outcomes,
		"tries":    tries,
		"counted":  human.Counted,
		"dash":     orNothing,
		"ended":    func(e Exemption) string { return r.ended(&e) },
		"step":     func(p Point) string { return r.stepLabel(&p) },
		"stepName": r.stepName,
		"signed":   func(w float64) string { return fmt.Sprintf("%+.1f", w) },
		"scale":    newScale,
	}
}

// scale makes bars of evidence of one finding: the strongest is as long as there is
// room.
type scale struct{ largest float64 }

func newScale(all []Evidence) scale {
	s := scale{}
	for _, e := range all {
		s.largest = max(s.largest, math.Abs(e.Weight))
	}
	return s
}

// Bar is one, from the middle of 100 units to the right if it speaks for an infected
// computer, to the left if for a mail program.
func (s scale) Bar(e Evidence) piece {
	if s.largest == 0 || math.IsNaN(e.Weight) || math.IsInf(s.largest, 0) {
		return piece{Class: "for-mailer", X: "50", Width: "0"}
	}
	length := 50 * math.Abs(e.Weight) / s.largest
	if e.Weight < 0 {
		return piece{Class: "for-mailer", X: units(50 - length), Width: units(length)}
	}
	return piece{Class: "for-infected", X: "50", Width: units(length)}
}
