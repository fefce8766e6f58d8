// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
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

	"op25b/door"
)

// mostConns is how many connections are open at once. A browser opens six.
const mostConns = 64

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
		socket, err := bind(p.path)
		if err != nil {
			return nil, err
		}
		return &listener{Listener: socket, socket: socket, close: socket.Close}, nil
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

	socket *door.Socket // nil over TCP
	open   atomic.Int32
	close  func() error // once
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
	who, err := door.PeerOf(local)
	if err != nil {
		return nil, err
	}
	return &peer{Peer: who, trusted: l.socket.Trusts(&who)}, nil
}

// Close stops listening. Of a unix socket, it removes the file unless that is another's
// by now.
func (l *listener) Close() error { return l.close() }

// Close ends the connection and makes room.
func (c *conn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// bind makes a socket and puts it in place. A predecessor's is replaced.
func bind(path string) (*door.Socket, error) {
	s, err := door.Bind(door.Options{Path: path, Vacant: func() error { return vacant(path) }})
	if err != nil {
		return nil, unbound(path, err)
	}
	if err := s.Publish(); err != nil {
		return nil, errors.Join(unbound(path, err), s.Close())
	}
	return s, nil
}

// vacant returns nil unless something else than a socket is at the path.
func vacant(path string) error {
	if there, err := os.Lstat(path); err == nil && there.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen for the console: %s is not a socket: remove it, or choose another path", path)
	}
	return nil
}

// unbound says what the operator can do where the socket could not be made or put in
// place.
func unbound(path string, err error) error {
	failed, is := errors.AsType[*door.Error](err)
	if !is {
		return err // that the path is not vacant
	}
	dir := filepath.Dir(path)
	switch failed.Step {
	case door.MakeDirectory:
		return fmt.Errorf("create the console socket's directory: %w: create %s, or choose a path elsewhere", failed.Err, filepath.Dir(dir))
	case door.Listen:
		return fmt.Errorf("listen for the console: %w: make %s writable for the gateway, or choose a path elsewhere", failed.Err, dir)
	default:
		return fmt.Errorf("put the console's socket in place: %w", failed.Err)
	}
}
