// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"op25b/control"
	"op25b/report"
)

// mostRows is how many rows of a list a page shows: the downloads have all.
const mostRows = 200

// reportsPage is the form, and the report that it asked for.
type reportsPage struct {
	From, To time.Time
	Ranges   []period
	Failed   *control.Error
	Made     *made
}

// period is a stretch of time that is asked for often.
type period struct {
	Name  string
	Query template.URL
}

// made is a report on a page.
type made struct {
	report.Report

	Query  template.URL // that asks for the same again
	Tables []string
	Chart  chart
	Most   int
	// More are how many rows of a list are not shown.
	MoreFindings, MoreSuspects, MoreExemptions int
}

// reports shows a report, or, before one is asked for, the form alone: a report of many
// days takes the gateway a while.
func (s *Server) reports(ctx context.Context, r *http.Request) (*reply, error) {
	p := &reportsPage{Ranges: s.periods()}
	code := http.StatusOK
	p.To = s.now().Truncate(time.Hour)
	p.From = p.To.AddDate(0, 0, -7) //nolint:mnd // a week
	if r.Form.Has("from") || r.Form.Has("to") {
		opts, made, err := s.makeReport(ctx, r)
		if err == nil {
			p.Made = s.lay(made)
			p.From, p.To = made.From, made.To
		} else {
			p.Failed = failure(err)
			code = p.Failed.Code
			if opts.From.Before(opts.To) && !opts.From.IsZero() {
				p.From, p.To = opts.From, opts.To
			}
		}
	}
	a, err := s.show(r, view{page: "reports", part: "result", title: "Reports", body: p})
	if err != nil {
		return nil, err
	}
	a.code = code
	return a, nil
}

// periods end now.
func (s *Server) periods() []period {
	now := s.now().Truncate(time.Hour)
	all := []period{{Name: "24 hours"}, {Name: "7 days"}, {Name: "30 days"}, {Name: "90 days"}}
	for i, days := range []int{1, 7, 30, 90} {
		all[i].Query = s.query(now.AddDate(0, 0, -days), now)
	}
	return all
}

func (s *Server) query(from, to time.Time) template.URL {
	return template.URL(url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)}}.Encode()) // encoded already
}

// makeReport has one made, after whichever is being made.
func (s *Server) makeReport(ctx context.Context, r *http.Request) (opts control.ReportOptions, made *report.Report, err error) {
	if opts.From, err = s.moment("from", r.Form.Get("from")); err != nil {
		return opts, nil, err
	}
	if opts.To, err = s.moment("to", r.Form.Get("to")); err != nil {
		return opts, nil, err
	}
	if !opts.From.IsZero() && !opts.To.IsZero() && !opts.From.Before(opts.To) {
		return opts, nil, &control.Error{Code: http.StatusBadRequest, Message: "The report would end before it begins", Fix: "Choose a beginning before the end."}
	}
	wait := time.NewTimer(s.patience)
	defer wait.Stop()
	select {
	case s.reporting <- struct{}{}:
		defer func() { <-s.reporting }()
	case <-ctx.Done():
		return opts, nil, ctx.Err()
	case <-wait.C:
		return opts, nil, &control.Error{Code: http.StatusServiceUnavailable, Message: "Another report is being made, and there is only one at a time",
			Fix: "Try again in a moment."}
	}
	one, err := s.gateway.Report(ctx, opts)
	return opts, &one, err
}

// lay cuts lists to what a page can hold.
func (s *Server) lay(r *report.Report) *made {
	m := &made{Report: *r, Query: s.query(r.From, r.To), Tables: report.Tables(), Most: mostRows}
	m.Findings, m.MoreFindings = cut(r.Findings)
	m.Triangular, m.MoreSuspects = cut(r.Triangular)
	m.Exemptions, m.MoreExemptions = cut(r.Exemptions)
	steps := make([]step, len(r.Trend))
	for i := range r.Trend {
		c := &r.Trend[i].Counts
		steps[i] = step{from: r.Trend[i].Time, blocked: c.Refused + c.Monitored + c.NotInForce, passed: c.Exempt + c.Relayed}
	}
	m.Chart = s.draw(steps)
	return m
}

func cut[T any](rows []T) (shown []T, more int) {
	shown = rows[:min(len(rows), mostRows)]
	return shown, len(rows) - len(shown)
}

func (s *Server) reportCSV(ctx context.Context, r *http.Request) (*reply, error) {
	table := r.Form.Get("table")
	if !slices.Contains(report.Tables(), table) {
		return nil, &control.Error{Code: http.StatusBadRequest, Message: "A report has no such table", Fix: "Choose one of " + strings.Join(report.Tables(), ", ") + "."}
	}
	return s.download(ctx, r, table+".csv", "text/csv; charset=utf-8", func(made *report.Report, out *bytes.Buffer) error {
		return made.WriteCSV(out, table)
	})
}

func (s *Server) reportHTML(ctx context.Context, r *http.Request) (*reply, error) {
	return s.download(ctx, r, "report.html", "text/html; charset=utf-8", func(made *report.Report, out *bytes.Buffer) error {
		return made.WriteHTML(out)
	})
}

func (s *Server) reportJSON(ctx context.Context, r *http.Request) (*reply, error) {
	return s.download(ctx, r, "report.json", "application/json", func(made *report.Report, out *bytes.Buffer) error {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(made)
	})
}

// download makes a report to keep. The file's name says what it is about.
func (s *Server) download(ctx context.Context, r *http.Request, name, contentType string, write func(*report.Report, *bytes.Buffer) error) (*reply, error) {
	_, made, err := s.makeReport(ctx, r)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := write(made, &out); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	const day = "20060102T15"
	file := fmt.Sprintf("op25b-%s-%s-%s", made.From.UTC().Format(day), made.To.UTC().Format(day), name)
	a := &reply{contentType: contentType, body: out.Bytes()}
	return a.with("Content-Disposition", `attachment; filename="`+file+`"`), nil
}
