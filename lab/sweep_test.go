// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSweep(t *testing.T) {
	needRoot(t)
	live := newNetwork(t, Options{})

	// A program that crashes with its network standing and a daemon in it.
	orphan := exec.Command(helper(t, partOrphan))
	orphan.Stderr = os.Stderr
	stdout, err := orphan.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 256)
	size, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	base, daemonID, _ := strings.Cut(strings.TrimSpace(string(line[:size])), " ")
	daemon, err := strconv.Atoi(daemonID)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(base); len(left) < 6 { // a directory and five namespaces
		t.Fatalf("a live process's network lost something: %v", left)
	}
	if err := orphan.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = orphan.Wait() // by the signal
	if !processExists(daemon) {
		t.Fatal("the daemon is gone before Sweep")
	}

	// Names that only look like ours, or whose lock somebody holds.
	foreign := []string{"op25b-test-" + base, base + "-mine", "x" + base + "-dynamic"}
	for _, name := range foreign {
		touch(t, namespaceDir+"/"+name)
	}
	held := deadBase(t)
	if err := os.Mkdir(runDir+"/"+held, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := lockDir(runDir+"/"+held, syscall.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	touch(t, namespaceDir+"/"+held+"-gateway")

	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	// Another process's sweep may have been first, and not be done yet.
	swept := func() bool {
		left := leftovers(base)
		return len(left) == 1 && left[0] == namespaceDir+"/"+base+"-mine" && !processExists(daemon)
	}
	for deadline := time.Now().Add(10 * time.Second); !swept() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if !swept() {
		t.Errorf("after Sweep: daemon gone: %t, left: %v", !processExists(daemon), leftovers(base))
	}
	for _, path := range []string{namespaceDir + "/op25b-test-" + base, namespaceDir + "/x" + base + "-dynamic",
		namespaceDir + "/" + held + "-gateway", runDir + "/" + held} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("Sweep touched what is not its own: %v", err)
		}
	}
	if err := live.Dynamic.Run(exec.Command("true")); err != nil {
		t.Errorf("a live network is broken: %v", err)
	}

	lock.Close()
	removed, err := Sweep()
	if err != nil {
		t.Fatal(err)
	}
	if left := leftovers(held); len(left) > 0 {
		t.Errorf("after the lock was released: %v", left)
	}
	t.Logf("removed: %v", removed) // another process's sweep may have been first
}

// touch makes an empty file for the length of the test.
func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

// deadBase returns the base name of a network whose process has ended.
func deadBase(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return "op25b-" + strconv.Itoa(cmd.ProcessState.Pid()) + "-1"
}

func TestParseClaim(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want string
	}{
		{"op25b-12-3-dynamic", "op25b-12-3 12 true"},
		{"op25b-12-3-internet", "op25b-12-3 12 true"},
		{"op25b-12-3", "op25b-12-3 12 true"},
		{"op25b-12-3-other", "false"},
		{"op25b-12-3-dynamic-2", "false"},
		{"op25b-12-dynamic", "false"},
		{"op25b-12", "false"},
		{"op25b-sub", "false"},
		{"op25b-012-3", "false"},
		{"op25b--12-3", "false"},
		{"op25b-12--3", "false"},
		{"op25b-0-3", "false"},
		{"op25b-12-0", "false"},
		{"op25b-+12-3", "false"},
		{"op25b-99999999999999999999-1", "false"},
		{"op25c-12-3", "false"},
		{"my-op25b-12-3", "false"},
		{"op25b", "false"},
		{"", "false"},
	}
	for _, tt := range tests {
		base, pid, ok := parseClaim(tt.name)
		got := fmt.Sprint(base, " ", pid, " ", ok)
		if !ok {
			got = "false"
		}
		if got != tt.want {
			t.Errorf("parseClaim(%q) = %s, want %s", tt.name, got, tt.want)
		}
	}
}
