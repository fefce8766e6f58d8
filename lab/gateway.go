// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// readyTimeout is how long a gateway has to say that packets flow.
	readyTimeout = 30 * time.Second
	// stopTimeout is how long a gateway has to undo what it set up.
	stopTimeout = 30 * time.Second
	// pipeGrace is how long a dead gateway's log may be held open by others.
	pipeGrace = time.Second
	// quotedLines is how many log lines an error quotes.
	quotedLines = 5

	readyMessage = "ready"
)

// Gateway is a running `op25b run` in the gateway node.
type Gateway struct {
	process    *Process
	log        *logBook
	configPath string
}

// StartGateway writes the configuration into the network's directory, runs
// `binary run -c FILE` in the gateway node and waits until it logs "ready". What
// it writes to its standard output and error is kept, and copied to logOut if
// that is not nil.
//
// The context bounds the start only. The gateway ends by Stop, by Kill or with
// the network. One gateway runs in a network at a time.
func (n *Network) StartGateway(ctx context.Context, binary, config string, logOut io.Writer) (*Gateway, error) {
	g := &Gateway{log: newLogBook(logOut), configPath: filepath.Join(n.Dir(), "op25b.yaml")}
	if err := g.WriteConfig(config); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", "-c", g.configPath)
	cmd.Stdout = g.log
	cmd.Stderr = g.log
	cmd.WaitDelay = pipeGrace
	cmd.Env = gatewayEnvironment()
	// A process group of its own: Ctrl-C at the terminal is for us to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	process, err := n.Gateway.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start gateway: %w", err)
	}
	g.process = process

	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	if _, err := g.WaitLog(ctx, readyMessage, 1); err != nil {
		return nil, errors.Join(fmt.Errorf("start gateway: %w", err), g.Kill())
	}
	return g, nil
}

// gatewayEnvironment is our own environment without what would change the
// gateway: settings for it, and a service manager that waits for us.
func gatewayEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "OP25B_") || strings.HasPrefix(variable, "NOTIFY_SOCKET=")
	})
}

// WaitLog waits for the n-th log line, counted from the start, whose message is
// msg, and returns it. It fails when the gateway ends, quoting its last lines, or
// with the cause of the context.
func (g *Gateway) WaitLog(ctx context.Context, msg string, n int) (LogLine, error) {
	for {
		changed := g.log.next()
		ended := isClosed(g.process.Done()) // asked first: nothing is written after it
		if line, ok := g.log.find(msg, n); ok {
			return line, nil
		}
		if ended {
			return nil, g.endError(msg)
		}
		select {
		case <-changed:
		case <-g.process.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for log message %q: %w%s", msg, context.Cause(ctx), g.lastWords())
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// endError says how the gateway ended, in its own last words. It wraps the
// *exec.ExitError, if there is one.
func (g *Gateway) endError(msg string) error {
	err := g.process.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("gateway ended before it logged %q: %w%s", msg, err, g.lastWords())
}

// lastWords quotes the end of the log, each line on a line of its own.
func (g *Gateway) lastWords() string {
	var b strings.Builder
	for _, line := range g.log.last(quotedLines) {
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// Stop asks the gateway to end (SIGTERM) and waits. The error wraps the
// *exec.ExitError of one that does not end well. One that takes longer than ten
// seconds is killed, and the error says so.
func (g *Gateway) Stop() error { return g.stop(stopTimeout) }

func (g *Gateway) stop(grace time.Duration) error {
	if err := g.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop gateway: %w", err)
	}
	select {
	case <-g.process.Done():
		if err := g.process.Wait(); err != nil {
			return fmt.Errorf("stop gateway: %w", err)
		}
		return nil
	case <-time.After(grace):
		err := fmt.Errorf("stop gateway: still running %s after SIGTERM", grace)
		return errors.Join(err, g.Kill())
	}
}

// Kill ends the gateway at once (SIGKILL) and waits for it.
func (g *Gateway) Kill() error { return g.process.Kill() }

// Wait waits for the gateway to end and returns its exit error.
func (g *Gateway) Wait() error { return g.process.Wait() }

// Done is closed once the gateway has ended.
func (g *Gateway) Done() <-chan struct{} { return g.process.Done() }

// Pid returns the gateway's process id.
func (g *Gateway) Pid() int { return g.process.Pid() }

// Signal sends any signal to the gateway.
func (g *Gateway) Signal(sig os.Signal) error { return g.process.Signal(sig) }

// Reload asks the gateway to read its configuration again (SIGHUP) and returns at
// once. Follow the outcome with WaitLog.
func (g *Gateway) Reload() error { return g.process.Signal(syscall.SIGHUP) }

// WriteConfig replaces the configuration file in one step. It is read on Reload.
func (g *Gateway) WriteConfig(config string) error {
	next := g.configPath + ".next"
	if err := os.WriteFile(next, []byte(config), 0o600); err != nil {
		return fmt.Errorf("write gateway's configuration: %w", err)
	}
	if err := os.Rename(next, g.configPath); err != nil {
		return fmt.Errorf("replace gateway's configuration: %w", err)
	}
	return nil
}

// ConfigPath returns the path of the configuration file.
func (g *Gateway) ConfigPath() string { return g.configPath }

// Logs returns what the gateway wrote so far: its last few thousand lines.
func (g *Gateway) Logs() string { return strings.Join(g.log.last(maxLogLines), "\n") }
