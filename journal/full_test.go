// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"op25b/census"
)

// TestFullDisk fills a small file system of its own, in a mount namespace of its
// own: the test runs once more there.
func TestFullDisk(t *testing.T) {
	const inside = "OP25B_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to mount a file system; TestFullFile does without")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	opts := options(t)
	dir := filepath.Join(filepath.Dir(opts.Path), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	// After the journal is closed.
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	opts.Path = filepath.Join(dir, "journal.db")
	opts.Queue = 500
	j := open(t, opts)
	overfill(t, j, func() {
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=32m"); err != nil {
			t.Fatal(err)
		}
	})

	// A gateway that starts on a full disk begins to write once there is room.
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("not full")
	}
	j, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for i := range 5 {
		j.Hold(Holding{Prefix: numbered(i), Holder: "at last", Source: "dhcp"})
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	if got := ask(t, j, "10.0.0.4", 1001); !strings.Contains(got, "at last") {
		t.Error(got)
	}
	check(t, opts.Path)
}

// TestFullFile is TestFullDisk with SQLite's own limit.
func TestFullFile(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.Queue = 500
	j := open(t, opts)
	limit := func(pages int) {
		do(t, j, func(w *writer) error {
			_, err := w.store.conn.ExecContext(context.Background(), fmt.Sprint("PRAGMA max_page_count = ", pages))
			return err
		})
	}
	limit(60)
	overfill(t, j, func() { limit(100_000) })
	check(t, opts.Path)
}

// overfill tells a journal more than it has room for, and then makes room.
func overfill(t *testing.T, j *Journal, room func()) {
	t.Helper()
	tell := func(i int) {
		j.Hold(Holding{Prefix: numbered(i), Holder: strings.Repeat("x", 200), Source: "dhcp"})
	}
	told, written := 0, 0
	for j.Health().Err == nil {
		for range 100 {
			tell(told)
			told++
		}
		if j.Flush(t.Context()) == nil {
			written = told
		}
		if told > 1_000_000 {
			t.Fatal("never full")
		}
	}
	lost := j.Health().Lost
	for range 2000 {
		tell(told)
		told++
	}
	h := j.Health()
	if !strings.Contains(h.Err.Error(), "the disk is full: make room: df -h "+filepath.Dir(j.opts.Path)) && !strings.Contains(h.Err.Error(), "is the disk full") {
		t.Error(h.Err)
	}
	if h.Lost < lost+1500 || h.Waiting != 500 {
		t.Errorf("%+v", h)
	}
	if err := j.Flush(t.Context()); err == nil {
		t.Error("there is room")
	}
	// The past can be asked for all the time.
	if got := ask(t, j, numbered(written-1).Addr().String(), 1000); got == "" {
		t.Error("lost what was written")
	}
	t.Log(h.Err)

	// Records have room of their own, and wait as well.
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 1, mx, 7)})
	if waiting := j.Health().Waiting; waiting != 501 {
		t.Error(waiting)
	}

	room()
	flush(t, j)
	if got := everything(t, j); len(got) != 1 || got[0].Total() != 7 {
		t.Error(got)
	}
	tell(told)
	flush(t, j)
	after := j.Health()
	if after.Err != nil || after.Waiting != 0 || after.Lost != h.Lost {
		t.Errorf("%+v", after)
	}
	// What waited is there, and what comes now.
	for _, i := range []int{written + 1, told} {
		if got := ask(t, j, numbered(i).Addr().String(), 1000); got == "" {
			t.Error("lost", i)
		}
	}
}
