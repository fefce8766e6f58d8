// SPDX-License-Identifier: Apache-2.0

package door

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func vacant() error { return nil }

// open binds and publishes a socket until the test's end.
func open(t *testing.T, path string) *Socket {
	t.Helper()
	s := bound(t, path)
	if err := s.Publish(); err != nil {
		t.Fatal(err)
	}
	return s
}

// bound is a socket that nobody knows of until the test's end.
func bound(t *testing.T, path string) *Socket {
	t.Helper()
	s, err := Bind(Options{Path: path, Vacant: vacant})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// left checks what is in the socket's directory.
func left(t *testing.T, path string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("in the directory (-want +got):\n%s", diff)
	}
}

func TestBindFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		step       Step
		is         error
	}{
		{"no directory above its own", "a/b/s", MakeDirectory, fs.ErrNotExist},
		{"a path too long", strings.Repeat("long", 30) + "/s", Listen, unix.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Bind(Options{Path: filepath.Join(t.TempDir(), tt.path), Vacant: vacant})
			if err == nil {
				s.Close()
				t.Fatal("it listens")
			}
			failed, is := errors.AsType[*Error](err)
			if !is || failed.Step != tt.step || !errors.Is(err, tt.is) || !strings.HasPrefix(err.Error(), string(tt.step)+": ") {
				t.Errorf("%v, want step %q and %v", err, tt.step, tt.is)
			}
		})
	}
}

func TestPublishFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	s := bound(t, path)
	if !s.Removed() {
		t.Error("it is there before it is published")
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	failed, is := errors.AsType[*Error](s.Publish())
	if !is || failed.Step != PutInPlace || !errors.Is(failed, fs.ErrExist) {
		t.Errorf("over a directory: %v", failed)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	left(t, path, "s")
}

// Two that start at once both found the path vacant: the later one asks again.
func TestVacant(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "op25b", "s")
	taken := errors.New("taken")
	if _, err := Bind(Options{Path: path, Vacant: func() error { return taken }}); !errors.Is(err, taken) {
		t.Errorf("bound: %v", err)
	}
	left(t, path)
	var answer error
	s, err := Bind(Options{Path: path, Vacant: func() error { return answer }})
	if err != nil {
		t.Fatal(err)
	}
	answer = taken
	if err := s.Publish(); !errors.Is(err, taken) {
		t.Errorf("published: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	left(t, path)
}

// The umask is the process's, so nothing else may run beside this test.
func TestRights(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		path := filepath.Join(t.TempDir(), "s")
		was := unix.Umask(umask)
		l, err := (&net.ListenConfig{Control: narrow}).Listen(t.Context(), "unix", path)
		if err != nil {
			unix.Umask(was)
			t.Fatal(err)
		}
		file, err := os.Lstat(path)
		l.Close()
		s, listening := Bind(Options{Path: path, Vacant: vacant})
		unix.Umask(was)
		if err != nil || file.Mode().Perm()&^rights != 0 {
			t.Errorf("umask %#o: created with %v, %v", umask, file.Mode(), err)
		}
		if listening != nil {
			t.Fatal(listening)
		}
		if err := s.Publish(); err != nil {
			t.Fatal(err)
		}
		if file, err := os.Lstat(path); err != nil || file.Mode() != fs.ModeSocket|rights {
			t.Errorf("umask %#o: published with %v, %v", umask, file.Mode(), err)
		}
		s.Close()
	}
}

func TestCloseRemovesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		then func(t *testing.T, path string) // after it was published
		left []string
	}{
		{"its own", func(*testing.T, string) {}, nil},
		{"a successor's", func(t *testing.T, path string) { t.Helper(); open(t, path) }, []string{"s"}},
		{"a file", func(t *testing.T, path string) {
			t.Helper()
			if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, []string{"s"}},
		{"gone", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s")
			s := open(t, path)
			if s.Removed() || s.Path() != path {
				t.Errorf("it is not at %s", s.Path())
			}
			tt.then(t, path)
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			if removed := s.Removed(); removed != (tt.left == nil) {
				t.Errorf("removed: %t", removed)
			}
			left(t, path, tt.left...)
		})
	}
}

// A number that is free again may go to the next file: late calls of Close must not take
// that for theirs.
func TestCloseLate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		old := open(t, path)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		next := open(t, path)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		left(t, path, "s")
		next.Close()
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("NEEDS ROOT: it gives the socket to other groups")
	}
	const nobody, operators, others = 65534, 4025, 4026
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, path)
	for _, tt := range []struct {
		name  string
		group int // of the socket
		who   Peer
		want  bool
	}{
		{"root", 0, Peer{}, true},
		{"root, the socket is a group's", operators, Peer{}, true},
		{"nobody", 0, Peer{UID: nobody, GID: nobody}, false},
		{"root's group is no operator", 0, Peer{UID: nobody}, false},
		{"root's group among others is none", 0, Peer{UID: nobody, GID: nobody, Groups: []uint32{0}}, false},
		{"the group", operators, Peer{UID: nobody, GID: operators}, true},
		{"the group, among others", operators, Peer{UID: nobody, GID: nobody, Groups: []uint32{others, operators}}, true},
		{"another group", operators, Peer{UID: nobody, GID: others, Groups: []uint32{0}}, false},
		{"a user with the group's number", operators, Peer{UID: operators, GID: nobody}, false},
	} {
		if err := os.Chown(path, 0, tt.group); err != nil {
			t.Fatal(err)
		}
		if got := s.Trusts(&tt.who); got != tt.want {
			t.Errorf("%s: trusted: %t", tt.name, got)
		}
	}
	open(t, path) // a successor's
	if err := os.Chown(path, 0, operators); err != nil {
		t.Fatal(err)
	}
	if s.Trusts(&Peer{UID: nobody, GID: operators}) {
		t.Error("it goes by another's file")
	}
}

func TestTrustsWithoutFile(t *testing.T) {
	t.Parallel()
	var s Socket
	if !s.Trusts(&Peer{UID: os.Geteuid(), GID: -1}) {
		t.Error("our own user is not trusted")
	}
	if s.Trusts(&Peer{UID: -1, GID: os.Getegid()}) {
		t.Error("our own group is trusted")
	}
}
