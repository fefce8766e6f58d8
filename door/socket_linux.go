// SPDX-License-Identifier: Apache-2.0

package door

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// rights of the socket: its owner and its group.
const rights = 0o660

// Options are what [Bind] needs to know.
type Options struct {
	// Path is where clients look for the socket. Its directory is made where the one
	// above it is there.
	Path string
	// Vacant returns nil where Path may be taken. It is asked before the socket is made,
	// and again by Publish; the error comes back as it is.
	Vacant func() error
}

// Socket is a listening socket and the file that stands for it. The zero value has no
// file, and so trusts no group.
type Socket struct {
	*net.UnixListener

	path      string // where clients look
	temporary string // where the file is until it is published
	vacant    func() error
	file      fs.FileInfo
	close     func() error
}

// Bind makes a socket beside the path that nobody knows of yet. The error is that of
// Vacant, or an *Error.
func Bind(opts Options) (*Socket, error) {
	dir := filepath.Dir(opts.Path)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, &Error{Step: MakeDirectory, Err: err}
	}
	if err := opts.Vacant(); err != nil {
		return nil, err
	}
	// No longer than a usual name: the address of a unix socket is short.
	s := &Socket{path: opts.Path, temporary: filepath.Join(dir, "."+rand.Text()[:6]), vacant: opts.Vacant}
	config := net.ListenConfig{Control: narrow}
	listener, err := config.Listen(context.Background(), "unix", s.temporary)
	if err != nil {
		return nil, &Error{Step: Listen, Err: err}
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
func (s *Socket) widen() error {
	if err := os.Chmod(s.temporary, rights); err != nil {
		return &Error{Step: SetRights, Err: err}
	}
	file, err := os.Lstat(s.temporary)
	if err != nil {
		return &Error{Step: Look, Err: err}
	}
	s.file = file
	return nil
}

// Path is where clients look for the socket, published or not.
func (s *Socket) Path() string { return s.path }

// Publish renames the socket into place, over whatever Vacant has nothing against. The
// error is that of Vacant, or an *Error.
func (s *Socket) Publish() error {
	if err := s.vacant(); err != nil {
		return err
	}
	if err := os.Rename(s.temporary, s.path); err != nil {
		return &Error{Step: PutInPlace, Err: err}
	}
	return nil
}

// Removed reports whether there is no file at the path, so that no client finds the
// socket. A file of another there is none of ours to touch.
func (s *Socket) Removed() bool {
	_, err := os.Lstat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// Trusts reports whether a peer is an operator: root, our own user, or a member of the
// group that the file has now.
func (s *Socket) Trusts(p *Peer) bool {
	if p.UID == 0 || p.UID == os.Geteuid() {
		return true
	}
	gid, given := s.group()
	return given && p.in(gid)
}

// group returns the group that the operator has given the socket to, if any.
func (s *Socket) group() (gid int, given bool) {
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

// ours returns the published file, or nil where it is not ours, or not any more:
// a successor has its own there. Only while the socket is bound is the answer
// right: the kernel keeps its inode from other files.
func (s *Socket) ours() fs.FileInfo {
	if s.file == nil {
		return nil
	}
	file, err := os.Lstat(s.path)
	if err != nil || !os.SameFile(file, s.file) {
		return nil
	}
	return file
}

// Close removes the file, unless it is another's by now, and stops listening. It
// does so once: afterwards another file may have our inode's number.
func (s *Socket) Close() error { return s.close() }

func (s *Socket) shut() error {
	if s.ours() != nil {
		_ = os.Remove(s.path) // gone is what it should be
	}
	_ = os.Remove(s.temporary)
	return s.UnixListener.Close()
}
