// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net"
	"sync"
)

// trackingListener closes with itself the connections that it accepted.
type trackingListener struct {
	net.Listener

	mu     sync.Mutex // protects the fields below
	closed bool
	conns  map[*trackedConn]struct{}
}

func trackConns(l net.Listener) *trackingListener {
	return &trackingListener{Listener: l, conns: map[*trackedConn]struct{}{}}
}

// Accept implements [net.Listener].
func (l *trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{Conn: conn, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conns[tracked] = struct{}{}
	return tracked, nil
}

// Close implements [net.Listener].
func (l *trackingListener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for conn := range l.conns {
		conn.Conn.Close()
	}
	clear(l.conns)
	return err
}

type trackedConn struct {
	net.Conn
	listener *trackingListener
}

// Close implements [net.Conn].
func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
