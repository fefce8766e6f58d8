// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"op25b/report"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(strangerAsks); path != "" {
		os.Exit(stranger(path))
	}
	goleak.VerifyTestMain(m)
}

// fake is a gateway whose answers a test decides.
type fake struct {
	status  func() Status
	reload  func(context.Context, ReloadOptions) (ReloadResult, error)
	explain func(context.Context, ExplainOptions) (Explanation, error)
	lend    func(context.Context, string) (LendResult, error)
	yield   func(context.Context, Peer) (Handover, error)

	top        func(context.Context, TopOptions) (Top, error)
	tail       func(context.Context, TailOptions, func(TailEvent) error) error
	subscriber func(context.Context, SubscriberOptions) (Subscriber, error)
	report     func(context.Context, ReportOptions) (report.Report, error)
	diag       func(context.Context, DiagOptions, io.Writer) error
	calendar   func(context.Context) (Calendar, error)
}

func (f *fake) Top(ctx context.Context, opts TopOptions) (Top, error) {
	if f.top == nil {
		return Top{}, nil
	}
	return f.top(ctx, opts)
}

func (f *fake) Tail(ctx context.Context, opts TailOptions, send func(TailEvent) error) error {
	if f.tail == nil {
		return nil
	}
	return f.tail(ctx, opts, send)
}

func (f *fake) Subscriber(ctx context.Context, opts SubscriberOptions) (Subscriber, error) {
	if f.subscriber == nil {
		return Subscriber{}, nil
	}
	return f.subscriber(ctx, opts)
}

func (f *fake) Report(ctx context.Context, opts ReportOptions) (report.Report, error) {
	if f.report == nil {
		return report.Report{}, nil
	}
	return f.report(ctx, opts)
}

func (f *fake) Diag(ctx context.Context, opts DiagOptions, w io.Writer) error {
	if f.diag == nil {
		return nil
	}
	return f.diag(ctx, opts, w)
}

func (f *fake) Calendar(ctx context.Context) (Calendar, error) {
	if f.calendar == nil {
		return Calendar{}, nil
	}
	return f.calendar(ctx)
}

func (f *fake) Status() Status {
	if f.status == nil {
		return Status{PID: os.Getpid(), State: StateOK}
	}
	return f.status()
}

func (f *fake) Reload(ctx context.Context, opts ReloadOptions) (ReloadResult, error) {
	if f.reload == nil {
		return ReloadResult{Generation: 2}, nil
	}
	return f.reload(ctx, opts)
}

func (f *fake) Explain(ctx context.Context, opts ExplainOptions) (Explanation, error) {
	if f.explain == nil {
		return Explanation{Source: opts.Source, Destination: opts.Destination}, nil
	}
	return f.explain(ctx, opts)
}

func (f *fake) Lend(ctx context.Context, to string) (LendResult, error) {
	if f.lend == nil {
		return LendResult{}, nil
	}
	return f.lend(ctx, to)
}

func (f *fake) Yield(ctx context.Context, successor Peer) (Handover, error) {
	if f.yield == nil {
		return Handover{Version: HandoverVersion, PID: os.Getpid()}, nil
	}
	return f.yield(ctx, successor)
}

// leakless checks at the test's end that no goroutine is left of it.
func leakless(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "op25b.sock")
}

// start runs a server until the test's end.
func start(t *testing.T, opts Options, g Gateway) *Server {
	t.Helper()
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	s, err := Listen(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(g); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return s
}

func TestAskAndSteer(t *testing.T) {
	leakless(t)
	path := socketPath(t)
	var successor Peer
	var lentTo string
	var asked ExplainOptions
	start(t, Options{Path: path}, &fake{
		explain: func(_ context.Context, opts ExplainOptions) (Explanation, error) {
			asked = opts
			return Explanation{Action: "answered_reset", Holders: []Holder{{Holder: "alice"}}, CustomerTexts: map[string]string{"en": "use 587"}}, nil
		},
		lend: func(_ context.Context, to string) (LendResult, error) {
			lentTo = to
			return LendResult{Queues: 4}, nil
		},
		yield: func(_ context.Context, p Peer) (Handover, error) {
			successor = p
			return Handover{Version: HandoverVersion, PID: 7, Restore: []string{"a"}, Clock: time.Unix(7, 0)}, nil
		},
		reload: func(_ context.Context, opts ReloadOptions) (ReloadResult, error) {
			if !opts.Force {
				return ReloadResult{}, &Refusal{Problems: []string{"one", "two"}, Fix: "do"}
			}
			return ReloadResult{Generation: 3, Took: 0.5, Changes: []string{"x"}}, nil
		},
	})
	c, ctx := Dial(path), t.Context()
	if s, err := c.Status(ctx); err != nil || s.PID != os.Getpid() || s.State != StateOK || s.Problems == nil || s.Drops == nil {
		t.Errorf("status: %+v, %v", s, err)
	}
	var refusal *Refusal
	if _, err := c.Reload(ctx, ReloadOptions{}); !errors.As(err, &refusal) || len(refusal.Problems) != 2 || refusal.Fix != "do" {
		t.Errorf("refused reload: %v", err)
	}
	ask := ExplainOptions{Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddrPort("192.0.2.25:25"), At: time.Unix(7, 0).UTC()}
	if e, err := c.Explain(ctx, ask); err != nil || asked != ask || e.Action != "answered_reset" || len(e.Holders) != 1 || e.CustomerTexts["en"] != "use 587" {
		t.Errorf("explain: %+v of %+v, %v", e, asked, err)
	}
	ask.Source = netip.Addr{}
	if _, err := c.Explain(ctx, ask); err == nil || !strings.Contains(err.Error(), "no source address: set source") {
		t.Errorf("explain nobody: %v", err)
	}
	if r, err := c.Lend(ctx, "@successor"); err != nil || r.Queues != 4 || lentTo != "@successor" {
		t.Errorf("lend: %+v to %q, %v", r, lentTo, err)
	}
	if r, err := c.Reload(ctx, ReloadOptions{Force: true}); err != nil || r.Generation != 3 || r.Took != 0.5 || len(r.Changes) != 1 {
		t.Errorf("reload: %+v, %v", r, err)
	}
	if h, err := c.Yield(ctx); err != nil || h.PID != 7 || len(h.Restore) != 1 || !h.Clock.Equal(time.Unix(7, 0)) {
		t.Errorf("yield: %+v, %v", h, err)
	}
	if successor.PID != os.Getpid() || successor.UID != os.Getuid() || successor.GID != os.Getgid() {
		t.Errorf("the successor is %+v", successor)
	}
}
