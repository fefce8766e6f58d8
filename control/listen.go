// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"op25b/door"
)

// knock is how long somebody who listens has to accept a connection.
const knock = time.Second

// bind makes a socket beside path that nobody knows of yet.
func bind(path string, successor bool) (*door.Socket, error) {
	s, err := door.Bind(door.Options{Path: path, Vacant: func() error { return vacant(path, successor) }})
	if err != nil {
		return nil, unbound(path, err)
	}
	return s, nil
}

// unbound says what the operator can do where the socket could not be made or put in
// place.
func unbound(path string, err error) error {
	failed, is := errors.AsType[*door.Error](err)
	if !is {
		return err // nil, or that the path is not vacant
	}
	dir := filepath.Dir(path)
	switch failed.Step {
	case door.MakeDirectory:
		return fmt.Errorf("create the control socket's directory: %w: create %s, or set control.socket to a path elsewhere", failed.Err, filepath.Dir(dir))
	case door.Listen:
		return fmt.Errorf("create the control socket in %s: %w: make that directory writable for the gateway, "+
			"or set control.socket to a path elsewhere", dir, cause(failed.Err))
	case door.SetRights:
		return fmt.Errorf("set the control socket's rights: %w", failed.Err)
	case door.Look:
		return fmt.Errorf("look at the control socket: %w", failed.Err)
	case door.PutInPlace:
		return fmt.Errorf("put the control socket in place: %w", failed.Err)
	default:
		return err
	}
}

// vacant returns nil where the path may be taken. A successor takes it from a gateway
// that answers there.
func vacant(path string, successor bool) error {
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for a control socket: %w", err)
	case file.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket: remove it, or set control.socket to another path", path)
	case successor:
		return nil
	}
	pid, err := listening(path)
	switch {
	case err == nil && pid != 0:
		return fmt.Errorf("%w: process %d answers on %s: stop it first, with: kill %[2]d", ErrRunning, pid, path)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // what a crash has left, or gone by now
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded): // too busy, or of another PID namespace
		return fmt.Errorf("%w: a process that cannot be named listens on %s: find it with: ss -xlp, and stop it", ErrRunning, path)
	default:
		return fmt.Errorf("find out whether a gateway answers on %s: %w: remove it, or set control.socket to another path", path, err)
	}
}

// listening returns the process that listens on path.
func listening(path string) (pid int, err error) {
	conn, err := net.DialTimeout("unix", path, knock)
	if err != nil {
		return 0, cause(err)
	}
	defer conn.Close()
	peer, err := door.PeerOf(conn.(*net.UnixConn))
	return peer.PID, err
}

// cause returns what the kernel said, without the addresses that package net
// puts around it: ours say more.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
