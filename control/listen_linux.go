// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rights of the socket: its owner and its group.
const rights = 0o660

// knock is how long somebody who listens has to accept a connection.
const knock = time.Second

// socket is a listening socket and the file that stands for it.
type socket struct {
	*net.UnixListener

	path      string // where clients look
	temporary string // where the file is until it is published
	successor bool   // another gateway may answer at path
	file      fs.FileInfo
	close     func() error
}

// bind makes a socket beside path that nobody knows of yet.
func bind(path string, successor bool) (*socket, error) {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create the control socket's directory: %w: create %s, or set control.socket to a path elsewhere", err, filepath.Dir(dir))
	}
	// No longer than a usual name: the address of a unix socket is short.
	s := &socket{path: path, temporary: filepath.Join(dir, "."+rand.Text()[:6]), successor: successor}
	if err := s.vacant(); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: narrow}
	listener, err := config.Listen(context.Background(), "unix", s.temporary)
	if err != nil {
		return nil, fmt.Errorf("create the control socket in %s: %w: make that directory writable for the gateway, "+
			"or set control.socket to a path elsewhere", dir, cause(err))
	}
	s.UnixListener = listener.(*net.UnixListener)
	s.close = sync.OnceValue(s.shut)
	s.SetUnlinkOnClose(false) // the name will be another one, and perhaps another's
	if err := s.widen(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// narrow sets the rights that the file will be created with: Linux takes them
// from the unbound socket. The umask, which could do it too, belongs to the
// whole process.
func narrow(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), rights) })
	return errors.Join(err, failed)
}

// widen gives the group what the umask may have taken from it.
func (s *socket) widen() error {
	if err := os.Chmod(s.temporary, rights); err != nil {
		return fmt.Errorf("set the control socket's rights: %w", err)
	}
	file, err := os.Lstat(s.temporary)
	if err != nil {
		return fmt.Errorf("look at the control socket: %w", err)
	}
	s.file = file
	return nil
}

// vacant returns nil where the path may be taken.
func (s *socket) vacant() error {
	file, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for a control socket: %w", err)
	case file.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket: remove it, or set control.socket to another path", s.path)
	case s.successor:
		return nil
	}
	pid, err := listening(s.path)
	switch {
	case err == nil && pid != 0:
		return fmt.Errorf("%w: process %d answers on %s: stop it first, with: kill %[2]d", ErrRunning, pid, s.path)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // what a crash has left, or gone by now
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded): // too busy, or of another PID namespace
		return fmt.Errorf("%w: a process that cannot be named listens on %s: find it with: ss -xlp, and stop it", ErrRunning, s.path)
	default:
		return fmt.Errorf("find out whether a gateway answers on %s: %w: remove it, or set control.socket to another path", s.path, err)
	}
}

// listening returns the process that listens on path.
func listening(path string) (pid int, err error) {
	conn, err := net.DialTimeout("unix", path, knock)
	if err != nil {
		return 0, cause(err)
	}
	defer conn.Close()
	peer, err := peerOf(conn.(*net.UnixConn))
	return peer.PID, err
}

// publish renames the socket into place, over whatever socket is there.
func (s *socket) publish() error {
	if err := s.vacant(); err != nil {
		return err
	}
	if err := os.Rename(s.temporary, s.path); err != nil {
		return fmt.Errorf("put the control socket in place: %w", err)
	}
	return nil
}

// ours returns the published file, or nil where it is not ours, or not any more:
// a successor has its own there. Only while the socket is bound is the answer
// right: the kernel keeps its inode from other files.
func (s *socket) ours() fs.FileInfo {
	file, err := os.Lstat(s.path)
	if err != nil || !os.SameFile(file, s.file) {
		return nil
	}
	return file
}

// group returns the group that the operator has given the socket to, if any.
func (s *socket) group() (gid int, given bool) {
	file := s.ours()
	if file == nil {
		return 0, false
	}
	stat, ok := file.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return 0, false
	}
	return int(stat.Gid), true
}

// Close removes the file, unless it is another's by now, and stops listening. It
// does so once: afterwards another file may have our inode's number.
func (s *socket) Close() error { return s.close() }

func (s *socket) shut() error {
	if s.file != nil && s.ours() != nil {
		_ = os.Remove(s.path) // gone is what it should be
	}
	_ = os.Remove(s.temporary)
	if err := s.UnixListener.Close(); err != nil {
		return fmt.Errorf("close the control socket: %w", err)
	}
	return nil
}

// cause returns what the kernel said, without the addresses that package net
// puts around it: ours say more.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
