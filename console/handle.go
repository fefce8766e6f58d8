// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"op25b/control"
)

// route is what can be asked on one path by one method.
type route struct {
	// open routes need no login.
	open bool
	// logged routes leave a line in the log even if all went well: they change
	// something, or tell who holds an address. What was asked about is not in it.
	logged bool
	// within is how long the gateway may take.
	within time.Duration
	answer func(s *Server, ctx context.Context, r *http.Request) (*reply, error)
}

// slow is how long a report or a reload may take.
const slow = 2 * time.Minute

// routes returns all, by method and path.
func routes() map[string]route {
	const quick = 10 * time.Second
	return map[string]route{
		"GET /":                    {within: quick, answer: (*Server).overview},
		"GET /overview/now":        {within: quick, answer: (*Server).overviewNow},
		"GET /overview/top":        {within: quick, answer: (*Server).overviewTop},
		"GET /samples":             {within: quick, answer: (*Server).answerSamples},
		"GET /subscriber":          {within: quick, answer: (*Server).subscriber, logged: true},
		"GET /calendar":            {within: quick, answer: (*Server).calendar},
		"GET /reports":             {within: slow, answer: (*Server).reports, logged: true},
		"GET /reports/table.csv":   {within: slow, answer: (*Server).reportCSV, logged: true},
		"GET /reports/report.html": {within: slow, answer: (*Server).reportHTML, logged: true},
		"GET /reports/report.json": {within: slow, answer: (*Server).reportJSON, logged: true},
		"GET /health":              {within: quick, answer: (*Server).health},
		"GET /health/now":          {within: quick, answer: (*Server).healthNow},
		"POST /reload":             {within: slow, answer: (*Server).reload, logged: true},
		"GET /login":               {within: quick, answer: (*Server).loginForm, open: true},
		"POST /login":              {within: quick, answer: (*Server).login, open: true, logged: true},
		"POST /logout":             {within: quick, answer: (*Server).logout, logged: true},
		"GET /reload":              {within: quick, answer: (*Server).toHealth}, // a reader who goes back to a result
	}
}

// reply is an answer before it is sent.
type reply struct {
	code        int // zero: 200
	contentType string
	body        []byte
	header      http.Header // more; may be nil
}

// with adds a header.
func (a *reply) with(key, value string) *reply {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Add(key, value)
	return a
}

// seeOther sends the browser to a page of ours.
func seeOther(to string) *reply {
	return (&reply{code: http.StatusSeeOther}).with("Location", to)
}

// handle answers one request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	start := s.now()
	protect(w.Header())
	a, known, err := s.ask(w, r)
	if err != nil {
		a = s.failed(r, err)
	}
	code := a.code
	if code == 0 {
		code = http.StatusOK
	}
	unsent := send(w, code, a)
	if !known.logged && err == nil && unsent == nil {
		return
	}
	fields := []zap.Field{
		zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", code),
		zap.String("from", r.RemoteAddr), zap.Duration("took", s.now().Sub(start)),
		zap.NamedError("answer", err), zap.NamedError("unsent", unsent),
	}
	if p := peerFrom(r.Context()); p != nil {
		fields = append(fields, zap.Int("uid", p.UID))
	}
	s.log.Info("console request", fields...)
}

// send writes an answer. What is written for HEAD, net/http leaves out.
func send(w http.ResponseWriter, code int, a *reply) error {
	h := w.Header()
	maps.Copy(h, a.header)
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(code)
	if len(a.body) == 0 {
		return nil
	}
	if _, err := w.Write(a.body); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// ask checks a request and lets its route answer. A panic in there is a fault of this
// program and an answer like any other.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) (a *reply, known route, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a console request", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = &control.Error{Code: http.StatusInternalServerError, Message: "The console failed to answer, which is a fault of op25b",
				Fix: "Report it with what the log has at this time."}
		}
	}()
	if err := s.ours(r); err != nil {
		return nil, known, err
	}
	if a := s.asset(r); a != nil {
		return a, known, nil
	}
	known, err = s.find(w, r)
	if err != nil {
		return nil, known, err
	}
	if !known.open {
		if a, err := s.admit(r); a != nil || err != nil {
			return a, known, err
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostBody)
	if err := r.ParseForm(); err != nil {
		return nil, known, unread(err)
	}
	// From here on net/http reads on without a deadline, to notice a client that hangs up.
	ctx, cancel := context.WithTimeout(r.Context(), known.within)
	defer cancel()
	a, err = known.answer(s, ctx, r)
	return a, known, err
}

// find returns the request's route.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (route, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if known, ok := s.routes[method+" "+r.URL.Path]; ok {
		return known, nil
	}
	var allow []string
	for _, other := range []string{http.MethodGet, http.MethodPost} {
		if _, ok := s.routes[other+" "+r.URL.Path]; ok {
			allow = append(allow, other)
		}
	}
	if allow == nil {
		return route{}, &control.Error{Code: http.StatusNotFound, Message: "There is no such page", Fix: "Choose one from the list at the top."}
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return route{}, &control.Error{Code: http.StatusMethodNotAllowed, Message: fmt.Sprintf("This page takes %s only", strings.Join(allow, " and "))}
}

// unread says why a form could not be read.
func unread(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return &control.Error{Code: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("The form has more than %d octets", mostBody)}
	}
	return &control.Error{Code: http.StatusBadRequest, Message: "The form cannot be read", Fix: "Go back, and send it again."}
}

// failure turns an error into what the page says.
func failure(err error) *control.Error {
	var said *control.Error
	var refusal *control.Refusal
	switch {
	case errors.As(err, &said):
		return said
	case errors.As(err, &refusal):
		return &control.Error{Code: http.StatusUnprocessableEntity, Message: "The new configuration was refused: the old policy stays in force",
			Problems: refusal.Problems, Fix: refusal.Fix}
	case errors.Is(err, context.DeadlineExceeded):
		return &control.Error{Code: http.StatusGatewayTimeout, Message: "The gateway was not ready in time: " + err.Error(),
			Fix: "Try again, or ask for less, as for fewer days."}
	case errors.Is(err, context.Canceled):
		return &control.Error{Code: http.StatusServiceUnavailable, Message: "The gateway is ending", Fix: "Try again in a moment: a successor may be there."}
	default:
		return &control.Error{Code: http.StatusInternalServerError, Message: err.Error(), Fix: "Look into the gateway's log at this time."}
	}
}

// failed is the page about an error, or, where only a part of a page was asked for, that
// part of it.
func (s *Server) failed(r *http.Request, err error) *reply {
	said := failure(err)
	code := said.Code
	if code < http.StatusBadRequest {
		code = http.StatusInternalServerError
	}
	a, failed := s.show(r, view{page: "failure", part: "failure", title: http.StatusText(code), body: said})
	if failed != nil { // a fault of ours; the reader still learns what happened
		s.log.Error("the console's page about an error cannot be made", zap.Error(failed))
		a = &reply{contentType: "text/plain; charset=utf-8", body: []byte(said.Error() + "\n")}
	}
	a.code = code
	return a
}
