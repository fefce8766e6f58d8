// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"op25b/door"
)

const (
	// mostConns is how many connections are open at once.
	mostConns = 16
	// reserved is how many of them are only for those who may change something.
	reserved = 4
)

// acceptor hands out connections, as many as may be open. What is too much is
// closed at once, before a byte of it is read: a 503 would need a goroutine, a
// buffer and a timer for just those of whom there are too many, and waiting in
// the kernel's backlog tells a client nothing until it gives up.
type acceptor struct {
	*door.Socket

	trusts func(*Peer) bool
	open   atomic.Int32
}

// conn is a connection and who is at its other end.
type conn struct {
	net.Conn

	peer   Peer
	closed func()
}

// Accept waits for the next connection that may be.
func (a *acceptor) Accept() (net.Conn, error) {
	for {
		c, err := a.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := door.PeerOf(c)
		if err != nil || !a.room(&peer) {
			_ = c.Close()
			continue
		}
		a.open.Add(1)
		return &conn{Conn: c, peer: peer, closed: sync.OnceFunc(func() { a.open.Add(-1) })}, nil
	}
}

// room reports whether one more connection may be open. One goroutine accepts,
// so that nobody else takes the place in between.
func (a *acceptor) room(peer *Peer) bool {
	open := a.open.Load()
	return open < mostConns-reserved || open < mostConns && a.trusts(peer)
}

// Close removes the socket's file, unless it is another's by now, and stops listening.
func (a *acceptor) Close() error {
	if err := a.Socket.Close(); err != nil {
		return fmt.Errorf("close the control socket: %w", err)
	}
	return nil
}

// Close ends the connection and makes room.
func (c *conn) Close() error {
	c.closed()
	return c.Conn.Close()
}
