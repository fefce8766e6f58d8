// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"op25b/tunnel"
)

// The service manager, systemd or `op25b supervise`, is told how the gateway is
// (sd_notify(3)) and keeps the queues of its interfaces (sd_pid_notify_with_fds(3)),
// so that what waits in them survives a crash.

// notify tells the service manager, where there is one.
func notify(log *zap.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be told", zap.String("state", state), zap.Error(err))
	}
}

// storeQueues has the service manager keep a copy of each queue.
func storeQueues(log *zap.Logger, ports ...*tunnel.Port) {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	if _, err := sendQueues(address, ports...); err != nil {
		log.Warn("the service manager does not keep the interfaces: what waits in them is lost in a crash", zap.Error(err))
	}
}

// sendTime is how long whoever gets a queue may take to make room for it.
const sendTime = 2 * time.Second

// sendQueues sends a copy of each queue to a socket as the fd store of systemd wants
// it: a message for each, with a name to tell it from the others.
func sendQueues(address string, ports ...*tunnel.Port) (sent int, err error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("send queues: %w", err)
	}
	defer unix.Close(socket)
	limit := unix.NsecToTimeval(sendTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return 0, fmt.Errorf("send queues: %w", err)
	}
	for _, p := range ports {
		for i, fd := range p.Descriptors() {
			state := fmt.Sprintf("FDSTORE=1\nFDNAME=%s.%d", p.Name(), i)
			if err := unix.Sendmsg(socket, []byte(state), unix.UnixRights(fd), &unix.SockaddrUnix{Name: address}, 0); err != nil {
				return sent, fmt.Errorf("send queue %d of %s: %w", i, p.Name(), err)
			}
			sent++
		}
	}
	return sent, nil
}

// keptQueues are those that the service manager has kept for this process, by the
// interface that they belong to. Whatever else it hands over is closed.
func keptQueues(log *zap.Logger) map[string][]*os.File {
	// A manager that cannot know the process id before the process is there leaves
	// it out.
	if os.Getenv("LISTEN_FDS") != "" && os.Getenv("LISTEN_PID") == "" {
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())) // cannot fail
	}
	return byInterface(log, activation.Files(true))
}

func byInterface(log *zap.Logger, files []*os.File) map[string][]*os.File {
	kept := map[string][]*os.File{}
	for _, f := range files {
		name, err := tunnel.Interface(f)
		if err != nil {
			log.Warn("a file that was handed over is not used", zap.Error(errors.Join(err, f.Close())))
			continue
		}
		kept[name] = append(kept[name], f)
	}
	return kept
}
