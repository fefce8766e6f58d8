// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"op25b/config"
	"op25b/control"
)

// A gateway is succeeded without losing a packet: the successor reads the same
// queues as its predecessor, and only when it does, the predecessor stops reading,
// sends what it has read, and ends. The queues are copied from process to process
// (SCM_RIGHTS). A successor that opened queues of its own would have the kernel
// throw away what waits in those of the predecessor when they are detached.

// handoverTime is how long each step of a succession may take.
const handoverTime = 10 * time.Second

// predecessor is the gateway that this process succeeds.
type predecessor struct {
	client *control.Client
	pid    int
}

// findPredecessor asks for the gateway that runs with this configuration.
func findPredecessor(cfg *config.Config) (*predecessor, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handoverTime)
	defer cancel()
	client := control.Dial(cfg.Control.Socket)
	status, err := client.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return &predecessor{client, status.PID}, nil
}

// queues borrows the predecessor's; without one they are what the service manager
// has kept.
func (p *predecessor) queues(cfg *config.Config, log *zap.Logger) (map[string][]*os.File, error) {
	if p == nil {
		return keptQueues(log), nil
	}
	files, err := p.borrow()
	if err != nil {
		return nil, fmt.Errorf("take over from process %d: %w", p.pid, err)
	}
	kept := byInterface(log, files)
	for _, name := range []string{cfg.Tunnel.Subscriber, cfg.Tunnel.Upstream} {
		if len(kept[name]) == 0 {
			return nil, fmt.Errorf("take over from process %d: it has no interface %s: put the old names back, or restart op25b", p.pid, name)
		}
	}
	return kept, nil
}

// borrow receives copies of the queues on a socket whose name nobody can guess.
func (p *predecessor) borrow() ([]*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handoverTime)
	defer cancel()
	address := &net.UnixAddr{Name: "@op25b-" + rand.Text(), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		return nil, fmt.Errorf("wait for the queues: %w", err)
	}
	defer conn.Close()
	announced := 0
	lent := make(chan error, 1)
	go func() {
		result, err := p.client.Lend(ctx, address.Name)
		announced = result.Queues
		lent <- errors.Join(err, endOfFiles(address))
	}()
	files, err := receiveFiles(conn)
	if err := errors.Join(err, <-lent); err != nil {
		return nil, err
	}
	if len(files) != announced {
		return nil, fmt.Errorf("%d of %d queues arrived", len(files), announced)
	}
	return files, nil
}

// endOfFiles sends a message without a file. It arrives behind all others.
func endOfFiles(address *net.UnixAddr) error {
	conn, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		return fmt.Errorf("end the queues: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0}); err != nil {
		return fmt.Errorf("end the queues: %w", err)
	}
	return nil
}

// receiveFiles returns what comes before a message without a file.
func receiveFiles(conn *net.UnixConn) (files []*os.File, err error) {
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	for {
		n, size, flags, _, err := conn.ReadMsgUnix(text, control)
		if err != nil {
			return files, fmt.Errorf("receive a queue: %w", err)
		}
		if size == 0 {
			return files, nil
		}
		fds, err := rights(control[:size])
		if err != nil || flags&unix.MSG_CTRUNC != 0 {
			return files, fmt.Errorf("receive a queue: a message that is none: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), string(text[:n])))
		}
	}
}

func rights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

// yield has the predecessor stop. From then on this process is the gateway, and the
// service manager's.
func (p *predecessor) yield() (control.Handover, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handoverTime)
	defer cancel()
	handover, err := p.client.Yield(ctx)
	switch {
	case err == nil:
	case p.gone():
		// It died on the way. What it had to say is lost, and we are the gateway.
		return control.Handover{}, nil
	default:
		return control.Handover{}, fmt.Errorf("take over from process %d, which goes on: %w", p.pid, err)
	}
	for name, value := range map[string]string{"NOTIFY_SOCKET": handover.NotifySocket, "WATCHDOG_USEC": handover.WatchdogMicroseconds} {
		if value != "" {
			_ = os.Setenv(name, value) // cannot fail
		}
	}
	return handover, nil
}

func (p *predecessor) gone() bool { return errors.Is(unix.Kill(p.pid, 0), unix.ESRCH) }

// upgrade starts a successor from the program's file, which may be another by now.
func (g *gateway) upgrade() {
	program, err := executable()
	if err == nil {
		g.log.Info("starting a successor", zap.String("program", program))
		err = startSibling(program, "run", "--takeover", "-c", g.path)
	}
	if err != nil {
		g.log.Error("the successor has failed; this process goes on", zap.Error(err))
	}
}

// startSibling starts a program as a child of our own parent, and waits for its end.
// A service manager wants to be the parent of what it is told to take for the service
// (MAINPID), and a child of ours would be that only once we are gone.
func startSibling(program string, args ...string) error {
	fd := -1
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT, PidFD: &fd}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) //nolint:gosec // a descriptor
		if !errors.Is(err, unix.EINTR) {
			return errors.Join(err, errors.New("it has ended; its log says why"))
		}
	}
}
