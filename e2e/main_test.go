// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"op25b/lab"
)

// binaryPath is the op25b program under test, built by TestMain; without root it is
// not built, and nothing is tested.
var binaryPath string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		return m.Run(), nil
	}
	if _, err := lab.Sweep(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "op25b-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Some tests run the program as somebody else.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	if binaryPath, err = buildProgram(dir); err != nil {
		return 1, err
	}
	code = m.Run()
	if left := leftBehind(os.Getpid()); len(left) > 0 {
		return 1, fmt.Errorf("left behind: %s", strings.Join(left, ", "))
	}
	return code, nil
}

// buildProgram builds op25b into dir the way the Makefile does, unless
// OP25B_BINARY names one.
func buildProgram(dir string) (string, error) {
	if path := os.Getenv("OP25B_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "op25b")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-o", path, "op25b/cmd/op25b")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build op25b: %w\n%s", err, out)
	}
	return path, nil
}

// leftBehind returns the namespaces and directories of the lab networks that
// process pid made and did not remove.
func leftBehind(pid int) []string {
	var left []string
	for _, dir := range []string{"/run/netns", "/run"} {
		found, err := filepath.Glob(fmt.Sprintf("%s/op25b-%d-*", dir, pid))
		if err == nil {
			left = append(left, found...)
		}
	}
	return left
}
