// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestProcessRunsInTheNode(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	p, err := n.Static.Start(exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	if !livesIn(map[namespaceID]bool{n.Static.id: true}, p.Pid()) {
		t.Error("the process is not in its node")
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](p.Wait())
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("Wait = %v, want the signal", p.Wait())
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal after the end = %v, want os.ErrProcessDone", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill after the end = %v", err)
	}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	script := func() *exec.Cmd { return exec.Command("sh", "-c", "echo out; echo err >&2; exit 3") }
	out, err := n.Static.Output(script())
	if string(out) != "out\n" || exitCode(err) != 3 {
		t.Errorf("Output = %q, %v", out, err)
	}
	out, err = n.Static.CombinedOutput(script())
	if string(out) != "out\nerr\n" || exitCode(err) != 3 {
		t.Errorf("CombinedOutput = %q, %v", out, err)
	}
	if err := n.Static.Run(exec.Command("true")); err != nil {
		t.Errorf("Run = %v", err)
	}
	if _, err := n.Static.Start(exec.Command("/no/such/program")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want os.ErrNotExist", err)
	}
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// A process must not die because a goroutine that is locked to its thread ends:
// Pdeathsig follows the thread that started the process.
func TestProcessOutlivesThreads(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	started := make(chan *Process)
	go func() {
		runtime.LockOSThread() // and end with it
		p, err := n.Static.Start(exec.Command("sleep", "60"))
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	p := <-started
	var wg sync.WaitGroup
	for range 32 { // thread after thread ends
		wg.Go(runtime.LockOSThread)
	}
	wg.Wait()
	select {
	case <-p.Done():
		t.Errorf("the process ended: %v", p.Wait())
	case <-time.After(100 * time.Millisecond):
	}
}

// Closing ends what runs in a network, daemons that left their parent and their
// session and ignore SIGTERM included.
func TestCloseEndsDaemons(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVariable+"="+partDaemon)
	out, err := n.Internet.Output(cmd)
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := strconv.Atoi(string(out))
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.Gateway.Start(exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	if !processExists(daemon) {
		t.Fatal("the daemon is gone before Close")
	}
	start := time.Now()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > termGrace+killGrace {
		t.Errorf("Close took %s", took)
	}
	if processExists(daemon) || processExists(p.Pid()) {
		t.Error("a process outlived its network")
	}
}
