// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// helperVariable makes the test binary play another program; see standin_test.go.
const helperVariable = "OP25B_LAB_HELPER"

func TestMain(m *testing.M) {
	if part := os.Getenv(helperVariable); part != "" {
		os.Exit(playPart(part))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := leftovers(fmt.Sprintf("op25b-%d", os.Getpid())); len(left) > 0 {
			fmt.Fprintln(os.Stderr, "FAIL: left behind:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// helper writes a program that plays the part: a script that runs the test
// binary, since the callers under test choose the arguments.
func helper(t *testing.T, part string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), part)
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %q \"$@\"\n", helperVariable, part, self)
	// Written by a child: a program that we had open for writing could not be
	// executed if another goroutine forked at the same time (ETXTBSY).
	cmd := exec.Command("sh", "-c", `cat > "$1" && chmod 755 "$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write helper: %v: %s", err, out)
	}
	return path
}

// needRoot skips a test that builds namespaces.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: needs root to build network namespaces")
	}
}

// newNetwork builds a network for the test and closes it after it. TestMain checks
// that nothing is left; a test cannot, since the next network may have the name.
func newNetwork(t *testing.T, opts Options) *Network {
	t.Helper()
	needRoot(t)
	n, err := New(opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// leftovers returns the namespaces, directories and mounts whose name is the base
// or goes on after it.
func leftovers(base string) []string {
	var left []string
	for _, dir := range []string{namespaceDir, runDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if name := entry.Name(); name == base || strings.HasPrefix(name, base+"-") {
				left = append(left, filepath.Join(dir, name))
			}
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/"+base+"-") {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return left
}
