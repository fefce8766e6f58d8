// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is the main process: the one whose words and end count. It is our
// child, or one that took over.
type process struct {
	pid    int
	pidfd  int              // readable once it has ended, whoever its parent is
	status *unix.WaitStatus // nil until we reap it, and for ever if it is another's child

	ready    time.Time // zero: not yet
	stopping bool      // it said so
	hung     bool      // the watchdog found it so

	// Deadlines; zero: none.
	begin time.Time // for being ready
	ping  time.Time // for the next sign of life
	kill  time.Time // for its end, before it is killed
}

// spawn starts a program with descriptors from 3 on. It has no PR_SET_PDEATHSIG:
// if the supervisor is killed, the gateway goes on without one.
func spawn(command, env []string, kept store) (*process, error) {
	// Each time anew: an upgrade may have moved it.
	path, err := exec.LookPath(command[0])
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	files := []uintptr{uintptr(null), uintptr(syscall.Stdout), uintptr(syscall.Stderr)}
	for _, d := range kept {
		files = append(files, uintptr(d.fd))
	}
	p := &process{pidfd: -1}
	// A process group of its own, so that a terminal's signals come once: to us,
	// who forward them. Not os/exec: its Wait and our reaping would race for the
	// same status.
	p.pid, err = syscall.ForkExec(path, command, &syscall.ProcAttr{
		Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &p.pidfd},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// adopt makes a running process the main one, if that user may decide about it.
func adopt(pid int, uid uint32) (*process, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	// After the descriptor: from here on the number is looked up for the same
	// process, or for none.
	_, owner, err := lookUp(pid)
	if err == nil && uid != 0 && uid != owner {
		// We might kill what the sender may not.
		err = fmt.Errorf("process %d belongs to uid %d, not to the sender's %d", pid, owner, uid)
	}
	if err != nil {
		_ = unix.Close(pidfd)
		return nil, err
	}
	return &process{pid: pid, pidfd: pidfd}, nil
}

func (p *process) signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) { // its end is on its way to us
		return fmt.Errorf("send %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// release lets go of it, without ending it.
func (p *process) release() { _ = unix.Close(p.pidfd) }

// exitCode is -1 if it was killed, or nobody knows.
func (p *process) exitCode() int {
	if p.status == nil {
		return -1
	}
	return p.status.ExitStatus()
}

// end says how it ended.
func (p *process) end() string {
	switch {
	case p.status == nil:
		return "unknown: it was another's child"
	case p.status.Signaled():
		return "signal: " + p.status.Signal().String()
	default:
		return "exit code " + strconv.Itoa(p.status.ExitStatus())
	}
}

// isOf reports whether a process is the main one or descends from it.
func (p *process) isOf(pid int) bool {
	for pid > 1 {
		if pid == p.pid {
			return true
		}
		parent, _, err := lookUp(pid)
		if err != nil {
			return false // it has gone; whose it was cannot be told any more
		}
		pid = parent
	}
	return false
}

// lookUp asks for a process's parent and real user.
func lookUp(pid int) (parent int, uid uint32, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("look up process %d: %w", pid, err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "PPid:":
			parent, err = strconv.Atoi(fields[1])
		case "Uid:": // real, effective, saved, file system
			var n uint64
			n, err = strconv.ParseUint(fields[1], 10, 32)
			uid = uint32(n)
		default:
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("look up process %d: %w", pid, err)
		}
		found++
	}
	if found != 2 {
		return 0, 0, fmt.Errorf("look up process %d: its status lacks PPid or Uid", pid)
	}
	return parent, uid, nil
}

// reap takes the status of every child that has ended, orphans included, and
// gives it to take.
func reap(take func(pid int, status unix.WaitStatus)) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0: // no children, or none that has ended
			return
		default:
			take(pid, status)
		}
	}
}

// readyFor is zero if it has not been ready.
func (p *process) readyFor(now time.Time) time.Duration {
	if p.ready.IsZero() {
		return 0
	}
	return now.Sub(p.ready)
}

// failure is nil if it ended well after it was told to: with exit code 0, by
// SIGTERM itself, or in a way that nobody can know.
func (p *process) failure() error {
	switch {
	case p.status == nil, p.exitCode() == 0, p.status.Signaled() && p.status.Signal() == unix.SIGTERM:
		return nil
	case p.exitCode() > 0:
		return &ExitError{p.exitCode()}
	default:
		return fmt.Errorf("the program did not end well: %s", p.end())
	}
}
