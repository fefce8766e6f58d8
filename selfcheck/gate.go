// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// patience is how long a connection is safe from being displaced by a source that has
// no fewer: an honest client has asked, and is answered, well within it.
const patience = time.Second

// gate lets connections in, as many as may be open, and knows all that are.
type gate struct {
	most, perSource int
	pace            *limiter

	mu      sync.Mutex // protects what follows, and conn.state
	open    map[*conn]struct{}
	refused uint64
	closed  bool
}

// conn is a connection that was let in. http.Server owns it; the gate may close it.
type conn struct {
	net.Conn

	gate   *gate
	addr   netip.Addr   // at the other end, unmapped and without a zone
	source netip.Prefix // that stands for it
	born   time.Time
	state  connState // protected by gate.mu
}

// connState is how far a connection is.
type connState uint8

const (
	connWaiting connState = iota // for its client, who may be displaced
	connWorking                  // Line is being asked: to close it would not end its goroutine, so it keeps its place
	connGone
)

// connKey is the context key of a request's *conn.
type connKey struct{}

func newGate(most, perSource int) *gate {
	return &gate{most: most, perSource: perSource, pace: newLimiter(connRates()), open: make(map[*conn]struct{}, most)}
}

// enter lets a connection in, or closes it and returns nil.
func (g *gate) enter(c net.Conn, now time.Time) *conn {
	addr, ok := addrOf(c.RemoteAddr())
	in := &conn{Conn: c, gate: g, addr: addr, source: sourceOf(addr), born: now}
	// The deadline is set before net/http sets its own, which it can only shorten.
	if !ok || !g.admit(in, now) || in.SetDeadline(time.Time{}) != nil {
		_ = in.Close()
		return nil
	}
	return in
}

// admit finds a place.
func (g *gate) admit(c *conn, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !g.pace.allow(c.source, now) || g.of(c.source) >= g.perSource || len(g.open) >= g.most && !g.displace(c, now) {
		g.refused++
		c.state = connGone
		return false
	}
	g.open[c] = struct{}{}
	return true
}

// of counts a source's connections. There are few: a search costs less than keeping
// another table right.
func (g *gate) of(source netip.Prefix) (n int) {
	for c := range g.open {
		if c.source == source {
			n++
		}
	}
	return n
}

// displace closes the oldest connection of the source that has the most, among those
// that wait for their client. It reports false if nobody has more than the newcomer
// would, and none is old either.
func (g *gate) displace(newcomer *conn, now time.Time) bool {
	counts := make(map[netip.Prefix]int, len(g.open))
	for c := range g.open {
		counts[c.source]++
	}
	var victim *conn
	for c := range g.open {
		switch {
		case c.state != connWaiting:
		case victim == nil, counts[c.source] > counts[victim.source],
			counts[c.source] == counts[victim.source] && c.born.Before(victim.born):
			victim = c
		}
	}
	if victim == nil || counts[victim.source] <= counts[newcomer.source]+1 && now.Sub(victim.born) < patience {
		return false
	}
	g.refused++
	g.forget(victim)
	_ = victim.Conn.Close() // wakes its goroutine; a close never waits
	return true
}

// forget takes a connection off the list; g.mu is held.
func (g *gate) forget(c *conn) {
	delete(g.open, c)
	c.state = connGone
}

// shut lets nobody in any more, and closes what waits for a client.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for c := range g.open {
		if c.state == connWaiting {
			g.forget(c)
			_ = c.Conn.Close()
		}
	}
}

func (g *gate) stats() (open int, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open), g.refused
}

// listener hands connections through the gate.
type listener struct {
	net.Listener

	gate *gate
}

// Accept waits for the next connection that is let in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.gate.enter(c, time.Now()); in != nil {
			return in, nil
		}
	}
}

// work marks that the connection has something to do. It reports false if the place is
// somebody else's by now.
func (c *conn) work() bool { return c.turn(connWaiting, connWorking) }

// rest marks that it waits for its client again.
func (c *conn) rest() { c.turn(connWorking, connWaiting) }

func (c *conn) turn(from, to connState) bool {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.state != from {
		return false
	}
	c.state = to
	return true
}

// Close ends the connection and makes room.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends what is sent and leaves the rest open, where the connection can.
// net/http does that for an error that the client would miss if a reset followed it.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline, SetReadDeadline and SetWriteDeadline never go beyond the connection's
// life. A zero time would be without end.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.bound(t)) }

// SetReadDeadline is as SetDeadline.
func (c *conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.bound(t)) }

// SetWriteDeadline is as SetDeadline.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.bound(t)) }

func (c *conn) bound(t time.Time) time.Time {
	if end := c.born.Add(lifetime); t.IsZero() || t.After(end) {
		return end
	}
	return t
}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// addrOf returns the address at the other end.
func addrOf(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	return addr, addr.IsValid()
}

// sourceOf returns what stands for one client: an IPv4 address, or the /64 in which
// anybody can make addresses at will (RFC 4862).
func sourceOf(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // an invalid address was refused
	return p
}
