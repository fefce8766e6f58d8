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
