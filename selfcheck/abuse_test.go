// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// waitFor waits until a condition holds; how long that takes is no one's claim.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// hang opens connections from a source that send the beginning of a request.
func hang(t *testing.T, address, from string, n int) (held []net.Conn) {
	t.Helper()
	for range n {
		c := connect(t, from, address)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
		held = append(held, c)
	}
	return held
}

// One source has its few places, whatever it does with them, and nobody else's.
func TestPerSource(t *testing.T) {
	t.Parallel()
	s, address := start(t, Options{MaxConns: 8, PerSource: 2})
	hang(t, address, "127.0.0.1", 2)
	waitFor(t, "two are open", func() bool { return s.Stats().Open == 2 })
	for range 20 {
		if _, _, err := ask(t, "127.0.0.1", address, get("/")); err == nil {
			t.Fatal("a third connection was let in")
		}
	}
	if got := s.Stats(); got.Open != 2 || got.Refused != 20 || got.Requests != 0 {
		t.Errorf("%+v", got)
	}
	if resp, _, err := ask(t, "127.0.0.2", address, get("/")); err != nil || resp.StatusCode != 200 {
		t.Errorf("another source: %v", err)
	}
}

// Many sources hold all places with requests that they never finish, and come back for
// each that is taken from them; an honest client is answered each time, and what is open
// never exceeds the bound.
func TestHonestClientAmongSlowOnes(t *testing.T) {
	t.Parallel()
	const most = 16
	s, address := start(t, Options{MaxConns: most})
	before := runtime.NumGoroutine()
	stop := make(chan struct{})
	var hostile sync.WaitGroup
	for i := range 32 {
		from := netip.AddrFrom4([4]byte{127, 1, 0, byte(i + 1)})
		hostile.Go(func() { slowloris(address, from, stop) })
	}
	waitFor(t, "all places are taken", func() bool { return s.Stats().Open == most })
	answered := 0
	for i := range 8 {
		from := netip.AddrFrom4([4]byte{127, 2, 0, byte(i + 1)}).String()
		waitFor(t, "an honest client is answered", func() bool {
			if open := s.Stats().Open; open > most {
				t.Errorf("%d are open", open)
			}
			resp, body, err := ask(t, from, address, get("/"))
			ok := err == nil && resp.StatusCode == 200 && strings.Contains(body, from)
			if !ok {
				time.Sleep(100 * time.Millisecond) // somebody who reloads
			}
			return ok
		})
		answered++
	}
	if now := runtime.NumGoroutine(); now > before+32+4*most+200 { // the hostile's own, other tests', ours
		t.Errorf("%d goroutines, %d before", now, before)
	}
	close(stop)
	hostile.Wait()
	waitFor(t, "all have gone", func() bool { return s.Stats().Open == 0 })
	if got := s.Stats(); got.Requests < uint64(answered) || got.Refused == 0 {
		t.Errorf("%d answered, %+v", answered, got)
	}
}

// slowloris keeps a connection open with an octet at a time.
func slowloris(address string, from netip.Addr, stop chan struct{}) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: 5 * time.Second}
	for {
		c, err := d.Dial("tcp", address)
		for err == nil {
			_, err = io.WriteString(c, "X")
			select {
			case <-stop:
				c.Close()
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		if c != nil {
			c.Close()
		}
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Clients that send nothing, half a request, or an octet at a time are gone by
// themselves; so is one that has the answer and stays.
func TestSlowClientsEnd(t *testing.T) {
	t.Parallel()
	s, address := start(t, Options{})
	for i, act := range []func(c net.Conn){
		func(net.Conn) {},
		func(c net.Conn) { _, _ = io.WriteString(c, "GET / HT") },
		func(c net.Conn) {
			for _, b := range []byte(get("/", "X: "+strings.Repeat("x", 1000))) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		func(c net.Conn) { _, _ = io.WriteString(c, get("/")) },
		func(c net.Conn) { _, _ = io.WriteString(c, get("/", "Content-Length: 100000")) },
	} {
		c := connect(t, fmt.Sprintf("127.3.0.%d", i+1), address)
		go act(c)
	}
	waitFor(t, "some are open", func() bool { return s.Stats().Open > 0 })
	waitFor(t, "all have gone", func() bool { return s.Stats().Open == 0 })
}

// What is too large, too much or no request at all is answered with an error or not at
// all, and never with a second answer.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s, address := start(t, Options{PerSource: 8})
	noise := make([]byte, 3000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for i, c := range []struct {
		name, request string
		code          int // 0: the connection ends without an answer, or with 400
	}{
		{"one header of 1 MB", get("/", "Cookie: "+strings.Repeat("x", 1<<20)), 431},
		{"many headers", get("/", strings.TrimSuffix(strings.Repeat("A: b\r\n", 100_000), "\r\n")), 431},
		{"a path of 5 KB", get("/" + strings.Repeat("a", 5000)), 431},
		{"a little over 4 KB", get("/", "Cookie: "+strings.Repeat("x", 4096)), 431},
		{"a little under 4 KB", get("/", "Cookie: "+strings.Repeat("x", 4000)), 200},
		{"noise", string(noise), 0},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + string(noise[:200]), 0},
		{"SMTP", "EHLO example.net\r\nMAIL FROM:<a@example.net>\r\n\r\n", 0},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 0},
		{"two hosts", get("/", "Host: other"), 0},
		{"two lengths", get("/", "Content-Length: 1", "Content-Length: 2"), 0},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200},
		{"pipelined", strings.Repeat(get("/"), 20), 200},
		{"smuggled", get("/", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n" + get("/ja"), 200},
	} {
		conn := connect(t, fmt.Sprintf("127.4.0.%d", i+1), address)
		go func() { _, _ = io.WriteString(conn, c.request) }() // the server may stop reading
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		answer, err := io.ReadAll(conn) // a reset may follow the answer
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: neither an answer nor an end", c.name)
		}
		got := string(answer)
		if n := strings.Count(got, "HTTP/1.1 "); n > 1 {
			t.Errorf("%s: %d answers", c.name, n)
		}
		refused := got == "" || strings.HasPrefix(got, "HTTP/1.1 4") || strings.HasPrefix(got, "HTTP/1.1 505")
		if c.code == 0 && !refused || c.code != 0 && !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.code)) && !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.0 %d ", c.code)) {
			t.Errorf("%s: %v: %.200q", c.name, err, got)
		}
		conn.Close()
	}
	waitFor(t, "all have gone", func() bool { return s.Stats().Open == 0 })
}

// A flood of whole requests, from one source and from many, costs bounded work: most is
// closed unread, and memory does not grow with it.
func TestFlood(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1<<20)
	s, address := start(t, Options{Line: func(ctx context.Context, addr netip.Addr) (Line, error) {
		asked <- struct{}{}
		return blocked(ctx, addr)
	}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const each, sources = 100, 20
	var flood sync.WaitGroup
	for i := range sources {
		from := netip.AddrFrom4([4]byte{127, 5, 0, byte(i + 1)})
		flood.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: 10 * time.Second}
			for range each {
				if c, err := d.Dial("tcp", address); err == nil {
					_, _ = io.WriteString(c, get("/"))
					_, _ = io.Copy(io.Discard, c)
					c.Close()
				}
			}
		})
	}
	flood.Wait()
	waitFor(t, "all have gone", func() bool { return s.Stats().Open == 0 })
	got := s.Stats()
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d connections: %+v, %d lookups", each*sources, got, len(asked))
	if got.Refused < each*sources/4 || len(asked) > each*sources/2 {
		t.Errorf("too little was refused: %+v, %d lookups", got, len(asked))
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap has grown by %d octets", grown)
	}
}

// Whoever reloads too eagerly is told to wait, in both languages.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	s, address := start(t, Options{})
	codes := map[int]int{}
	for range 20 {
		resp, body, err := ask(t, "127.6.0.1", address, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		codes[resp.StatusCode]++
		if resp.StatusCode == 429 && (resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "お試しください")) {
			t.Errorf("%v: %s", resp.Header, body)
		}
	}
	if codes[200] < 10 || codes[429] == 0 || codes[200]+codes[429] != 20 {
		t.Errorf("codes %v", codes)
	}
	if got := s.Stats(); got.Requests != 20 || got.Refused != uint64(codes[429]) || got.Open > 1 {
		t.Errorf("%+v", got)
	}
}
