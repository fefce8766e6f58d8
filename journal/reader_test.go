// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReader reads beside a gateway that writes, and after it.
func TestReader(t *testing.T) {
	t.Parallel()
	opts := options(t)
	j := open(t, opts)
	j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
	j.AddGeneration(Generation{Time: at(1), Number: 7})
	flush(t, j)
	r, err := OpenReader(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	holder := func() string {
		got, err := r.HolderAt(t.Context(), netip.MustParseAddr("192.0.2.1"), at(9))
		if err != nil {
			t.Fatal(err)
		}
		return answer(got)
	}
	if got := holder(); got != "dhcp 192.0.2.1/32 a 1-on seen 1" {
		t.Error(got)
	}
	j.Hold(hold("192.0.2.1/32", "b", "dhcp", 2))
	flush(t, j)
	if got := holder(); got != "dhcp 192.0.2.1/32 b 2-on seen 2" {
		t.Error(got)
	}
	if g, ok, err := r.GenerationAt(t.Context(), at(1)); g.Number != 7 || !ok || err != nil {
		t.Error(g, ok, err)
	}
	if _, err := r.db.ExecContext(t.Context(), "DELETE FROM held"); err == nil {
		t.Error("a reader has written")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if r, err = OpenReader(opts.Path); err != nil {
		t.Fatal(err)
	}
	if got := holder(); got != "dhcp 192.0.2.1/32 b 2-on seen 2" {
		t.Error(got)
	}
}

func TestReaderRefused(t *testing.T) {
	t.Parallel()
	path := options(t).Path
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("a reader has made a file", err)
	}
	if err := write(path, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "start the gateway once") {
		t.Error(err)
	}
}

// TestReaderUnprivileged is somebody who may read the file and no more, with a
// gateway and without.
func TestReaderUnprivileged(t *testing.T) {
	if path := os.Getenv(envPath); path != "" {
		r, err := OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := r.HolderAt(t.Context(), netip.MustParseAddr("192.0.2.1"), at(9)); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	// Somebody else has to come to it.
	dir := t.TempDir()
	for d := dir; strings.Contains(d, t.Name()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "test")
	if out, err := exec.CommandContext(t.Context(), "cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	opts := options(t)
	opts.Path = filepath.Join(dir, "journal.db")
	j := open(t, opts)
	j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
	flush(t, j)
	const nobody = 65534
	for _, name := range []string{opts.Path, opts.Path + "-wal", opts.Path + "-shm"} {
		if err := os.Chown(name, 0, nobody); err != nil {
			t.Fatal(err)
		}
	}
	read := func(when string) {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestReaderUnprivileged$")
		cmd.Env = append(os.Environ(), envPath+"="+opts.Path, "TMPDIR=/tmp")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", when, err, out)
		}
	}
	read("while it is written")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	read("after")
}
