// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"

	"op25b/control"
)

// mostTop is how many subscribers and destinations the overview names.
const mostTop = 10

// overviewPage is how the gateway is, and who tries most. Where the second cannot be
// said, the first still is.
type overviewPage struct {
	Status control.Status
	Top    control.Top
	Failed *control.Error // why Top is empty
}

func (s *Server) overview(ctx context.Context, r *http.Request) (*reply, error) {
	return s.showOverview(ctx, r, "")
}

// overviewNow is the part that is asked for again every few seconds.
func (s *Server) overviewNow(_ context.Context, r *http.Request) (*reply, error) {
	if !partial(r) {
		return seeOther("/"), nil
	}
	return s.show(r, view{page: "overview", part: "now", body: &overviewPage{Status: s.gateway.Status()}})
}

// overviewTop is asked for less often: people read it line by line.
func (s *Server) overviewTop(ctx context.Context, r *http.Request) (*reply, error) {
	if !partial(r) {
		return seeOther("/"), nil
	}
	return s.showOverview(ctx, r, "top")
}

func (s *Server) showOverview(ctx context.Context, r *http.Request, part string) (*reply, error) {
	p := &overviewPage{Status: s.gateway.Status()}
	top, err := s.gateway.Top(ctx, control.TopOptions{Most: mostTop})
	if err != nil {
		p.Failed = failure(err)
	}
	p.Top = top
	return s.show(r, view{page: "overview", part: part, title: "Overview", body: p})
}

// calendarPage is the rollout.
type calendarPage struct {
	Calendar control.Calendar
	Policy   control.PolicyStatus
	// Past and Planned are the calendar's events.
	Past, Planned []control.CalendarEvent
}

func (s *Server) calendar(ctx context.Context, r *http.Request) (*reply, error) {
	calendar, err := s.gateway.Calendar(ctx)
	if err != nil {
		return nil, err
	}
	p := &calendarPage{Calendar: calendar, Policy: s.gateway.Status().Policy}
	for _, event := range calendar.Events {
		if event.Past {
			p.Past = append(p.Past, event)
		} else {
			p.Planned = append(p.Planned, event)
		}
	}
	return s.show(r, view{page: "calendar", title: "Rollout calendar", body: p})
}
