// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a process that was started in a node. It is waited for in the
// background, so it never stays as a zombie.
type Process struct {
	cmd     *exec.Cmd
	started chan struct{} // closed when the start is decided
	done    chan struct{} // closed when the process was waited for
	running bool          // valid once started is closed
	err     error         // valid once done is closed
}

// Start runs the command in the node and returns as soon as it is started. The
// command must not be waited for by the caller; use [Process.Wait].
//
// The process is killed when the network is closed, and when our process dies
// (cmd.SysProcAttr.Pdeathsig, unless the caller has set another signal).
func (n *Node) Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	p := &Process{cmd: cmd, started: make(chan struct{}), done: make(chan struct{})}
	if err := n.network.adopt(p); err != nil {
		return nil, err
	}
	go p.live(n)
	<-p.started
	if p.running {
		return p, nil
	}
	<-p.done
	return nil, fmt.Errorf("start %s in %s: %w", cmd.Path, n.name, p.err)
}

// live starts the process and waits for it, on one thread from start to end:
// Pdeathsig fires when the thread that started a process ends, not when the
// program does, and a thread of the pool may end at any time.
func (p *Process) live(n *Node) {
	defer n.network.disown(p)
	defer close(p.done)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.err = keepNamespace(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return p.cmd.Start()
	})
	p.running = p.err == nil
	close(p.started)
	if p.running {
		p.err = p.cmd.Wait()
	}
}

// Run runs the command in the node and waits for its end, as exec.Cmd.Run does.
func (n *Node) Run(cmd *exec.Cmd) error {
	p, err := n.Start(cmd)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Output runs the command in the node and returns what it wrote to its standard
// output.
func (n *Node) Output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout = &out
	err := n.Run(cmd)
	return out.Bytes(), err
}

// CombinedOutput runs the command in the node and returns what it wrote to its
// standard output and standard error.
func (n *Node) CombinedOutput(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := n.Run(cmd)
	return out.Bytes(), err
}

// Wait waits for the process to end and returns what exec.Cmd.Wait returned. It
// may be called any number of times.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done is closed once the process has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process. Its error wraps os.ErrProcessDone if the
// process has ended.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %s to process %d: %w", sig, p.Pid(), err)
	}
	return nil
}

// Kill ends the process at once (SIGKILL) and waits for it. A process that has
// ended before is no error.
func (p *Process) Kill() error {
	<-p.started
	if !p.running {
		return nil
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}
