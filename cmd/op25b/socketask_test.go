// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"op25b/control"
	"op25b/report"
)

func (a *answers) Top(context.Context, control.TopOptions) (control.Top, error) {
	return control.Top{}, a.err
}

func (a *answers) Tail(context.Context, control.TailOptions, func(control.TailEvent) error) error {
	return a.err
}

func (a *answers) Subscriber(context.Context, control.SubscriberOptions) (control.Subscriber, error) {
	return control.Subscriber{}, a.err
}

func (a *answers) Report(context.Context, control.ReportOptions) (report.Report, error) {
	return report.Report{}, a.err
}

func (a *answers) Diag(context.Context, control.DiagOptions, io.Writer) error { return a.err }

func (a *answers) Calendar(context.Context) (control.Calendar, error) {
	return control.Calendar{}, a.err
}

// telling is a gateway that a test lets tell about subscribers.
type telling struct {
	answers

	events []control.TailEvent
	stay   bool // after the last event, until the client has enough
	within chan control.TailOptions
	report func(control.ReportOptions) report.Report
	bundle func(control.DiagOptions, io.Writer) error
}

func (g *telling) Tail(ctx context.Context, opts control.TailOptions, send func(control.TailEvent) error) error {
	if g.within != nil {
		g.within <- opts
	}
	for _, e := range g.events {
		if err := send(e); err != nil {
			return err
		}
	}
	if g.stay {
		<-ctx.Done()
	}
	return g.err
}

func (g *telling) Report(_ context.Context, opts control.ReportOptions) (report.Report, error) {
	return g.report(opts), g.err
}

func (g *telling) Diag(_ context.Context, opts control.DiagOptions, w io.Writer) error {
	return g.bundle(opts, w)
}
