// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// None of these tests is parallel: a process that another test is just starting
// holds copies of all descriptors until it executes its program.

// pipe returns a pipe whose writable end belongs to whoever takes it.
func pipe(t *testing.T) (r *os.File, w int) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	r = os.NewFile(uintptr(ends[0]), "pipe")
	t.Cleanup(func() { r.Close() })
	return r, ends[1]
}

// open reports whether the other end of a pipe is.
func open(r *os.File) bool {
	n, err := unix.Read(int(r.Fd()), make([]byte, 1))
	return n != 0 || err != nil // EAGAIN
}

func TestStore(t *testing.T) {
	var s store
	r0, w0 := pipe(t)
	r1, w1 := pipe(t)
	for _, d := range []stored{{"a", w0, true}, {"b", w1, true}} {
		if err := s.put(d); err != nil {
			t.Fatal(err)
		}
	}
	if s.names() != "a:b" || !open(r0) || !open(r1) {
		t.Error(s.names())
	}

	r2, w2 := pipe(t)
	if err := s.put(stored{"a", w2, true}); err != nil || s.names() != "a:b" || open(r0) || !open(r2) {
		t.Errorf("the newest of a name replaces the older: %v, %s", err, s.names())
	}
	s.remove("nobody")
	s.remove("a")
	if s.names() != "b" || open(r2) || !open(r1) {
		t.Error(s.names())
	}
	s.close()
	if len(s) > 0 || open(r1) {
		t.Error("not closed")
	}
}

func TestStoreIsFull(t *testing.T) {
	var s store
	defer s.close()
	for i := range mostStored {
		_, w := pipe(t)
		if err := s.put(stored{strconv.Itoa(i), w, true}); err != nil {
			t.Fatal(err)
		}
	}
	r, w := pipe(t)
	if err := s.put(stored{"one more", w, true}); err == nil || len(s) != mostStored || !open(r) {
		t.Errorf("%v, %d stored", err, len(s))
	}
	if err := s.put(stored{"17", w, true}); err != nil || len(s) != mostStored {
		t.Errorf("a replacement: %v, %d stored", err, len(s))
	}
}

func TestStoreExpels(t *testing.T) {
	var s store
	defer s.close()
	for _, name := range []string{"a", "b", "c", "d"} {
		r, w := pipe(t)
		if err := s.put(stored{name, w, name != "c"}); err != nil {
			t.Fatal(err)
		}
		if name != "b" {
			r.Close()
		}
	}
	polled := s.pollFds(nil)
	if n, err := unix.Poll(polled, 0); err != nil || n != 2 {
		t.Fatalf("%d of the descriptors are dead, %v", n, err)
	}
	if dead := s.expel(polled); len(dead) != 2 || s.names() != "b:c" {
		t.Errorf("dead: %v, left: %s", dead, s.names())
	}
}
