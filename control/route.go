// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	_ "embed" // openapi.yaml
	"net/http"
	"time"
)

//go:embed openapi.yaml
var openAPI []byte

// long is how long an answer may take that needs all of a history.
const long = 60 * time.Second

// How many may do the same at once. What takes long must not take every connection
// from those who only want to know how the gateway is.
const (
	mostTails   = 8
	mostReports = 2
	mostBundles = 2
)

// route is what can be asked on one path. It has an answer, which is sent when the
// gateway has all of it, or a stream.
type route struct {
	method string
	// within is how long the gateway may take. Zero: until the client hangs up.
	within time.Duration
	answer func(s *Server, ctx context.Context, body []byte, peer *Peer) (any, error)
	stream func(s *Server, ctx context.Context, body []byte, peer *Peer, out *stream) error
}

// changes tells requests that only those may send who may change the gateway. Some
// change nothing and are among them, because they tell about subscribers: whoever may
// read the status must not learn who holds an address, or who tries what. They are POSTs
// for the log's sake too: every one of them leaves a line.
func (r *route) changes() bool { return r.method == http.MethodPost }

// bounded is ctx for as long as the gateway may take.
func (r *route) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.within == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, r.within)
}

// document is an answer that is no JSON.
type document []byte

func find(path string) (*route, bool) {
	switch path {
	case "/v1/status":
		return &route{method: http.MethodGet, within: hurry, answer: (*Server).answerStatus}, true
	case "/v1/calendar":
		return &route{method: http.MethodGet, within: hurry, answer: (*Server).answerCalendar}, true
	case "/v1/reload":
		return &route{method: http.MethodPost, within: long, answer: (*Server).answerReload}, true
	case "/v1/explain":
		return &route{method: http.MethodPost, within: hurry, answer: (*Server).answerExplain}, true
	case "/v1/top":
		return &route{method: http.MethodPost, within: hurry, answer: (*Server).answerTop}, true
	case "/v1/subscriber":
		return &route{method: http.MethodPost, within: hurry, answer: (*Server).answerSubscriber}, true
	case "/v1/report":
		return &route{method: http.MethodPost, within: long, answer: (*Server).answerReport}, true
	case "/v1/tail":
		return &route{method: http.MethodPost, stream: (*Server).streamTail}, true
	case "/v1/diag":
		return &route{method: http.MethodPost, within: long, stream: (*Server).streamDiag}, true
	case "/v1/lend":
		return &route{method: http.MethodPost, within: 10 * time.Second, answer: (*Server).answerLend}, true
	case "/v1/yield":
		return &route{method: http.MethodPost, within: 10 * time.Second, answer: (*Server).answerYield}, true
	case "/v1/openapi.yaml":
		return &route{method: http.MethodGet, within: hurry, answer: (*Server).answerOpenAPI}, true
	}
	return nil, false
}

func (s *Server) answerStatus(context.Context, []byte, *Peer) (any, error) {
	status := s.gateway.Status()
	return &status, nil
}

func (s *Server) answerReload(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts ReloadOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	result, err := s.gateway.Reload(ctx, opts)
	return &result, err
}

// answerExplain leaves the addresses out of its own errors: they are logged.
func (s *Server) answerExplain(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts ExplainOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	if err := opts.normalize(); err != nil {
		return nil, err
	}
	explanation, err := s.gateway.Explain(ctx, opts)
	return &explanation, err
}

func (s *Server) answerLend(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts LendOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	result, err := s.gateway.Lend(ctx, opts.To)
	return &result, err
}

func (s *Server) answerYield(ctx context.Context, body []byte, peer *Peer) (any, error) {
	if err := decode(body, &struct{}{}); err != nil {
		return nil, err
	}
	handover, err := s.gateway.Yield(ctx, *peer)
	return &handover, err
}

func (s *Server) answerOpenAPI(context.Context, []byte, *Peer) (any, error) {
	return document(openAPI), nil
}

func (s *Server) answerCalendar(ctx context.Context, _ []byte, _ *Peer) (any, error) {
	calendar, err := s.gateway.Calendar(ctx)
	return &calendar, err
}

func (s *Server) answerTop(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts TopOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	if err := opts.normalize(); err != nil {
		return nil, err
	}
	top, err := s.gateway.Top(ctx, opts)
	return &top, err
}

func (s *Server) answerSubscriber(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts SubscriberOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	if err := opts.normalize(); err != nil {
		return nil, err
	}
	subscriber, err := s.gateway.Subscriber(ctx, opts)
	return &subscriber, err
}

// answerReport does not let the third one wait: those who wait would fill the
// connections.
func (s *Server) answerReport(ctx context.Context, body []byte, _ *Peer) (any, error) {
	var opts ReportOptions
	if err := decode(body, &opts); err != nil {
		return nil, err
	}
	if err := opts.normalize(time.Now()); err != nil {
		return nil, err
	}
	if err := s.reports.take(mostReports, "reports", "wait until one is done, a minute at most, and ask again"); err != nil {
		return nil, err
	}
	defer s.reports.leave()
	report, err := s.gateway.Report(ctx, opts)
	return &report, err
}
