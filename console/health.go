// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"

	"op25b/control"
)

// healthPage is what the gateway is made of.
type healthPage struct {
	Status   control.Status
	Writable bool
}

func (s *Server) health(_ context.Context, r *http.Request) (*reply, error) {
	return s.show(r, view{page: "health", title: "Health", body: &healthPage{Status: s.gateway.Status(), Writable: s.writable}})
}

// healthNow is the part that is asked for again every few seconds.
func (s *Server) healthNow(_ context.Context, r *http.Request) (*reply, error) {
	if !partial(r) {
		return seeOther("/health"), nil
	}
	return s.show(r, view{page: "health", part: "now", body: &healthPage{Status: s.gateway.Status(), Writable: s.writable}})
}

// toHealth takes a reader who reloads the page about a reload to where the next begins.
func (s *Server) toHealth(context.Context, *http.Request) (*reply, error) {
	return seeOther("/health"), nil
}

// reloadPage is how a reload went.
type reloadPage struct {
	Options control.ReloadOptions
	Result  control.ReloadResult
	Failed  *control.Error // it did not
}

// reload has the gateway read its configuration again. That it was refused is an answer
// like any other: it says why, and what helps.
func (s *Server) reload(ctx context.Context, r *http.Request) (*reply, error) {
	if !s.writable {
		return nil, &control.Error{Code: http.StatusForbidden, Message: "This console only reads",
			Fix: "Reload with: op25b reload; or let the console change things in the gateway's configuration."}
	}
	p := &reloadPage{Options: control.ReloadOptions{
		Force: r.PostForm.Get("force") == "yes", AcceptClock: r.PostForm.Get("accept_clock") == "yes",
	}}
	code := http.StatusOK
	var err error
	if p.Result, err = s.gateway.Reload(ctx, p.Options); err != nil {
		p.Failed = failure(err)
		code = p.Failed.Code
	}
	a, err := s.show(r, view{page: "reload", title: "Reload", body: p})
	if err != nil {
		return nil, err
	}
	a.code = code
	return a, nil
}
