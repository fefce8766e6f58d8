// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func quiet(path string) Options { return Options{Path: path, Log: zap.NewNop()} }

// dead leaves a socket's file behind, as a crash does.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// entries are what is in the socket's directory.
func entries(t *testing.T, path string) []string {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		prepare   func(t *testing.T, path string)
		path      string // below the test's directory; empty: s
		successor bool
		is        error
		says      []string // in the error; none: it listens
	}{
		{name: "nothing there"},
		{name: "no directory", path: "op25b/s"},
		{name: "no directory above it", path: "a/b/s", is: fs.ErrNotExist, says: []string{"a/b", "control.socket"}},
		{name: "a dead socket", prepare: dead},
		{name: "a dead socket, successor", prepare: dead, successor: true},
		{
			name:    "a gateway",
			prepare: func(t *testing.T, path string) { t.Helper(); start(t, quiet(path), &fake{}) },
			is:      ErrRunning, says: []string{"/s", fmt.Sprintf("process %d", os.Getpid()), fmt.Sprintf("kill %d", os.Getpid())},
		},
		{
			name:      "a gateway, successor",
			prepare:   func(t *testing.T, path string) { t.Helper(); start(t, quiet(path), &fake{}) },
			successor: true,
		},
		{
			name: "a file",
			prepare: func(t *testing.T, path string) {
				t.Helper()
				if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			successor: true, says: []string{"/s is not a socket: remove it"},
		},
		{
			name: "another kind of socket",
			prepare: func(t *testing.T, path string) {
				t.Helper()
				l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
			},
			is: unix.EPROTOTYPE, says: []string{"remove it, or set control.socket"},
		},
		{name: "a path too long", path: strings.Repeat("long", 30) + "/s", is: unix.EINVAL, says: []string{"control.socket"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), tt.path)
			if tt.path == "" {
				path = filepath.Join(path, "s")
			}
			if tt.prepare != nil {
				tt.prepare(t, path)
			}
			s, err := Listen(Options{Path: path, Successor: tt.successor, Log: zap.NewNop()})
			if tt.says == nil {
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(s.Publish(), s.Close(), s.Close()); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				s.Close()
				t.Fatal("it listens")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	if _, err := Dial(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("no socket: %v", err)
	}
	dead(t, path)
	if _, err := Dial(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead socket: %v", err)
	}
}

// Two that start at once both found nobody: the later one must not put its
// socket over the other's.
func TestPublishLooksAgain(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	late, err := Listen(quiet(path))
	if err != nil {
		t.Fatal(err)
	}
	start(t, quiet(path), &fake{})
	if err := late.Publish(); !errors.Is(err, ErrRunning) {
		t.Errorf("published: %v", err)
	}
	if err := late.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Errorf("the first one: %v", err)
	}
	if names := entries(t, path); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestCloseRemovesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	t.Run("its own", func(t *testing.T) {
		t.Parallel()
		path := socketPath(t)
		s := start(t, quiet(path), &fake{})
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		if names := entries(t, path); len(names) != 0 {
			t.Errorf("left behind: %v", names)
		}
	})
	t.Run("never published", func(t *testing.T) {
		t.Parallel()
		path := socketPath(t)
		s, err := Listen(quiet(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if names := entries(t, path); len(names) != 0 {
			t.Errorf("left behind: %v", names)
		}
		if err := s.Serve(&fake{}); err != nil {
			t.Errorf("serve after close: %v", err)
		}
	})
	// A number that is free again may go to the next file: late calls of Close
	// must not take that for theirs.
	t.Run("closed before it is served", func(t *testing.T) {
		t.Parallel()
		path := socketPath(t)
		for range 20 {
			old, err := Listen(quiet(path))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(old.Publish(), old.Close()); err != nil {
				t.Fatal(err)
			}
			next := start(t, quiet(path), &fake{})
			if err := errors.Join(old.Serve(&fake{}), old.Close()); err != nil {
				t.Error(err)
			}
			if _, err := Dial(path).Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			next.Close()
		}
	})
}

// Clients ask without a pause while one gateway follows another five times. The
// path is never empty: whoever asks gets an answer, or was still waiting at a
// gateway that has just ended.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	numbered := func(n int) *fake { return &fake{status: func() Status { return Status{PID: n} }} }
	current := start(t, quiet(path), numbered(0))

	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for last := 0; ctx.Err() == nil; {
				s, err := Dial(path).Status(ctx)
				switch {
				case ctx.Err() != nil, errors.Is(err, ErrBusy):
				case err != nil:
					t.Error(err)
				case s.PID < last:
					t.Errorf("gateway %d answers after %d", s.PID, last)
				default:
					last = s.PID
				}
			}
		})
	}
	for n := range 5 {
		opts := quiet(path)
		opts.Successor = true
		next := start(t, opts, numbered(n+1))
		if err := current.Close(); err != nil {
			t.Error(err)
		}
		if s, err := Dial(path).Status(t.Context()); err != nil || s.PID != n+1 {
			t.Errorf("after handover %d: %d, %v", n+1, s.PID, err)
		}
		current = next
	}
	stop()
	asking.Wait()
	if names := entries(t, path); len(names) != 1 {
		t.Errorf("there is %v", names)
	}
}
