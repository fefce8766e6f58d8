// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// script is a connection whose client has sent all that it will, and reads everything.
type script struct {
	net.Conn

	from   netip.Addr
	in     *bytes.Reader
	out    bytes.Buffer // the server's, until ended is closed
	ended  chan struct{}
	ending sync.Once
}

func (c *script) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *script) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *script) Close() error                     { c.ending.Do(func() { close(c.ended) }); return nil }
func (c *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }
func (c *script) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 1000))
}

// scripts is a listener for them.
type scripts struct {
	come  chan net.Conn
	ended chan struct{}
}

func (l *scripts) Addr() net.Addr { return &net.TCPAddr{} }
func (l *scripts) Close() error   { close(l.ended); return nil }
func (l *scripts) Accept() (net.Conn, error) {
	select {
	case c := <-l.come:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Whatever a client sends, it gets one answer at most, one of those that there are, and
// its place is free afterwards.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		get("/"), get("/ja", "Accept: application/json"), get("/robots.txt"), get("/") + get("/en"), get("/", "Content-Length: 5") + "hello",
		get("/", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "", "GET",
	} {
		f.Add([]byte(seed))
	}
	s := New(Options{Line: blocked, Log: zap.NewNop()})
	const plenty = 1e12
	all := rates{plenty, plenty, plenty, plenty}
	s.gate.pace, s.pace = newLimiter(all), newLimiter(all)
	l := &scripts{come: make(chan net.Conn), ended: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
		if err := <-done; err != nil {
			f.Error(err)
		}
	})
	var n atomic.Uint64
	status := regexp.MustCompile(`^HTTP/1\.[01] (200|400|404|405|413|417|431|501|505) `)
	f.Fuzz(func(t *testing.T, sent []byte) {
		addr := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		binary.BigEndian.PutUint32(addr[4:], uint32(n.Add(1)))
		c := &script{from: netip.AddrFrom16(addr), in: bytes.NewReader(sent), ended: make(chan struct{})}
		l.come <- c
		<-c.ended
		got := c.out.Bytes()
		if len(got) > 0 && !status.Match(got) {
			t.Errorf("%q was answered by %.200q", sent, got)
		}
		head, body, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		if bytes.Contains(body, []byte("HTTP/1.")) || bytes.Contains(head, []byte("Set-Cookie")) {
			t.Errorf("%q was answered twice, or with a cookie: %q", sent, got)
		}
		if left, _ := io.ReadAll(c.in); len(sent)-len(left) > 3*4097 {
			t.Errorf("%d octets were read", len(sent)-len(left))
		}
		if open := s.Stats().Open; open != 0 {
			t.Errorf("%d are open", open)
		}
	})
}
