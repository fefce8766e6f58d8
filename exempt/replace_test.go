// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// In a process that TestMain finds this in, the test binary adds to a file.
const (
	adderFile  = "OP25B_TEST_ADD_TO"
	adderNet   = "OP25B_TEST_ADD_NET"
	adderCount = 50
)

func TestMain(m *testing.M) {
	if path := os.Getenv(adderFile); path != "" {
		os.Exit(adder(path, os.Getenv(adderNet)))
	}
	os.Exit(m.Run())
}

// adder adds one address after the other of a net, 192.0.2 say.
func adder(path, network string) int {
	for i := range adderCount {
		e := newcomer()
		e.Prefix = netip.MustParsePrefix(fmt.Sprintf("%s.%d/32", network, i))
		if err := Add(path, e); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func startAdder(t *testing.T, path, network string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), adderFile+"="+path, adderNet+"="+network)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// inMemory returns a directory that is fast to write to, if there is one.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "op25b-exempt-") //nolint:usetesting // it would be on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Two processes and this one edit at once, and nothing is lost.
func TestAddTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(inMemory(t), "exemptions.yaml")
	others := []*exec.Cmd{startAdder(t, path, "192.0.2"), startAdder(t, path, "198.51.100")}
	if code := adder(path, "203.0.113"); code != 0 {
		t.Error("this one failed")
	}
	for _, cmd := range others {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	all, err := Load(path)
	if err != nil || len(all) != 3*adderCount {
		t.Errorf("%d exemptions, %v", len(all), err)
	}
}

// One that is killed leaves a whole file, and the next goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(inMemory(t), "exemptions.yaml")
	if err := os.WriteFile(path, []byte(three), 0o600); err != nil {
		t.Fatal(err)
	}
	known := 3
	for i := range 5 {
		cmd := startAdder(t, path, fmt.Sprintf("10.0.%d", i))
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if all, _ := Load(path); len(all) > known+i { // at another place each time
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		all, err := Load(path)
		if err != nil || len(all) < known {
			t.Fatalf("%d exemptions of %d, %v", len(all), known, err)
		}
		known = len(all)
		if !strings.HasPrefix(content(t, path), strings.TrimSuffix(three, "\n# end\n")) {
			t.Fatalf("changed:\n%s", content(t, path))
		}
	}
	if err := Add(path, newcomer()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestReplaceKeeps(t *testing.T) {
	t.Parallel()
	file := written(t, three)
	if err := os.Chmod(file, 0o604); err != nil {
		t.Fatal(err)
	}
	const other = 12345
	if os.Geteuid() == 0 {
		if err := os.Chown(file, other, other+1); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := Add(link, newcomer()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link: %v, %v", info, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o604 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (!ok || s.Uid != other || s.Gid != other+1) {
		t.Errorf("owner %d, group %d", s.Uid, s.Gid)
	}
	if all, err := Load(link); err != nil || len(all) != 4 {
		t.Errorf("%d, %v", len(all), err)
	}
}

// What cannot be replaced stays as it is.
func TestReplaceFails(t *testing.T) {
	t.Parallel()
	path := written(t, three)
	inTheWay := filepath.Join(filepath.Dir(path), ".exemptions.yaml.new")
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Add(path, newcomer()); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("%v", err)
	}
	if got := content(t, path); got != three {
		t.Errorf("changed to:\n%s", got)
	}

	nowhere := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(filepath.Join(t.TempDir(), "missing"), nowhere); err != nil {
		t.Fatal(err)
	}
	if err := Add(nowhere, newcomer()); err == nil || !strings.Contains(err.Error(), "link to nothing") {
		t.Errorf("%v", err)
	}
}
