// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(strangerAsks); path != "" {
		os.Exit(stranger(path))
	}
	goleak.VerifyTestMain(m)
}

// fake is a gateway whose answers a test decides.
type fake struct {
	status func() Status
	reload func(context.Context, ReloadOptions) (ReloadResult, error)
	lend   func(context.Context, string) (LendResult, error)
	yield  func(context.Context, Peer) (Handover, error)
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
	start(t, Options{Path: path}, &fake{
		lend: func(_ context.Context, to string) (LendResult, error) {
			lentTo = to
			return LendResult{Queues: 4}, nil
		},
		yield: func(_ context.Context, p Peer) (Handover, error) {
			successor = p
			return Handover{Version: HandoverVersion, PID: 7, Restore: []string{"a"}}, nil
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
	if r, err := c.Lend(ctx, "@successor"); err != nil || r.Queues != 4 || lentTo != "@successor" {
		t.Errorf("lend: %+v to %q, %v", r, lentTo, err)
	}
	if r, err := c.Reload(ctx, ReloadOptions{Force: true}); err != nil || r.Generation != 3 || r.Took != 0.5 || len(r.Changes) != 1 {
		t.Errorf("reload: %+v, %v", r, err)
	}
	if h, err := c.Yield(ctx); err != nil || h.PID != 7 || len(h.Restore) != 1 {
		t.Errorf("yield: %+v, %v", h, err)
	}
	if successor.PID != os.Getpid() || successor.UID != os.Getuid() || successor.GID != os.Getgid() {
		t.Errorf("the successor is %+v", successor)
	}
}
