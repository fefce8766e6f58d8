// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostConns is how many connections are open at once. A browser opens six.
const mostConns = 64

// rights of the socket: its owner and its group.
const rights = 0o660

// place is where to listen: a path, or an address.
type place struct {
	path    string
	address netip.AddrPort
}

// parsePlace reads Options.Listen.
func parsePlace(text string) (place, error) {
	if path, is := strings.CutPrefix(text, "unix:"); is {
		if !filepath.IsAbs(path) {
			return place{}, fmt.Errorf("console socket %q: the path is not absolute: write unix:/run/op25b/console.sock", path)
		}
		return place{path: filepath.Clean(path)}, nil
	}
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return place{}, fmt.Errorf("console address %q is none: write an address and a port, as in 127.0.0.1:9926 or [::1]:9926, "+
			"or a socket, as in unix:/run/op25b/console.sock", text)
	}
	if !address.Addr().Unmap().IsLoopback() {
		return place{}, fmt.Errorf("console address %s is reachable from other machines, and the console has no TLS: write 127.0.0.1:%d, "+
			"and look at it from afar through a tunnel, with: ssh -L %[2]d:127.0.0.1:%[2]d", text, address.Port())
	}
	return place{address: netip.AddrPortFrom(address.Addr().Unmap(), address.Port())}, nil
}

// hosts are the names that a request may call us by. A page that has its own name point
// at a loopback address (DNS rebinding) names none of them.
func (p place) hosts() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if p.path == "" {
		names = append(names, p.address.Addr().String())
	}
	return names
}

func (p place) listen() (*listener, error) {
	if p.path != "" {
		return bind(p.path)
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", p.address.String())
	if err != nil {
		return nil, fmt.Errorf("listen for the console: %w: find who has the port with: ss -tlnp, or choose another one", err)
	}
	return &listener{Listener: l, close: sync.OnceValue(l.Close)}, nil
}

// listener hands out connections, as many as may be open. What is too much is closed
// before a byte of it is read: an answer would need a goroutine and a timer for just
// those of whom there are too many.
type listener struct {
	net.Listener

	path  string      // of a unix socket
	file  fs.FileInfo // that stands for it
	open  atomic.Int32
	close func() error
}

// conn is a connection and who is at its other end.
type conn struct {
	net.Conn

	peer   *peer // nil over TCP
	closed func()
}

// Accept waits for the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who, err := l.peer(c)
		if err != nil || l.open.Load() >= mostConns {
			_ = c.Close()
			continue
		}
		l.open.Add(1)
		return &conn{Conn: c, peer: who, closed: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
	}
}

// peer asks the kernel who connects, as of that moment. Nil over TCP.
func (l *listener) peer(c net.Conn) (*peer, error) {
	local, is := c.(*net.UnixConn)
	if !is {
		return nil, nil //nolint:nilnil // the kernel knows nobody by name over TCP
	}
	who, err := peerOf(local)
	if err != nil {
		return nil, err
	}
	gid, given := l.group()
	who.trusted = who.uid == 0 || who.uid == os.Geteuid() || given && who.in(gid)
	return &who, nil
}

// Close ends the connection and makes room.
func (c *conn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// bind makes a socket under a name that nobody knows, and renames it into place, so
// that its rights are never wider than they should be and a predecessor's is replaced in
// one step.
func bind(path string) (*listener, error) {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create the console socket's directory: %w: create %s, or choose a path elsewhere", err, filepath.Dir(dir))
	}
	if there, err := os.Lstat(path); err == nil && there.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listen for the console: %s is not a socket: remove it, or choose another path", path)
	}
	temporary := filepath.Join(dir, "."+rand.Text()[:6])
	config := net.ListenConfig{Control: narrow}
	l, err := config.Listen(context.Background(), "unix", temporary)
	if err != nil {
		return nil, fmt.Errorf("listen for the console: %w: make %s writable for the gateway, or choose a path elsewhere", err, dir)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // the name will be another one, and perhaps another's
	s := &listener{Listener: l, path: path}
	s.close = sync.OnceValue(s.shut)
	if err := s.publish(temporary); err != nil {
		_ = os.Remove(temporary)
		return nil, errors.Join(fmt.Errorf("put the console's socket in place: %w", err), l.Close())
	}
	return s, nil
}

// narrow sets the rights that the file will be created with: Linux takes them from the
// unbound socket, and the umask belongs to the whole process.
func narrow(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), rights) })
	return errors.Join(err, failed)
}

func (l *listener) publish(temporary string) (err error) {
	if err := os.Chmod(temporary, rights); err != nil { // what the umask has taken from the group
		return err
	}
	if l.file, err = os.Lstat(temporary); err != nil {
		return err
	}
	return os.Rename(temporary, l.path)
}

// ours returns the socket's file, or nil where there is none or it is a successor's.
func (l *listener) ours() fs.FileInfo {
	if l.file == nil {
		return nil
	}
	file, err := os.Lstat(l.path)
	if err != nil || !os.SameFile(file, l.file) {
		return nil
	}
	return file
}

// group returns the group that the operator has given the socket to, if any.
func (l *listener) group() (gid int, given bool) {
	file := l.ours()
	if file == nil {
		return 0, false
	}
	stat, ok := file.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return 0, false
	}
	return int(stat.Gid), true
}

// Close removes the file, unless it is another's by now, and stops listening. It does
// so once: afterwards another file may have our inode's number.
func (l *listener) Close() error { return l.close() }

func (l *listener) shut() error {
	if l.ours() != nil {
		_ = os.Remove(l.path) // gone is what it should be
	}
	return l.Listener.Close()
}
