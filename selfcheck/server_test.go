// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// blocked answers that everybody's line is.
func blocked(_ context.Context, addr netip.Addr) (Line, error) {
	return Line{Address: addr, Known: true, Blocked: true}, nil
}

// start serves on a loopback address until the test ends.
func start(t *testing.T, opts Options) (s *Server, address string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Line == nil {
		opts.Line = blocked
	}
	s = New(opts)
	return s, serve(t, s, "127.0.0.1:0")
}

// serve adds a listener.
func serve(t *testing.T, s *Server, on string) string {
	t.Helper()
	l, err := net.Listen("tcp", on)
	if err != nil {
		t.Skipf("SKIPPED: no listener on %s: %v", on, err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// connect comes from a loopback address of its own.
func connect(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends octets and reads an answer.
func ask(t *testing.T, from, to, request string) (*http.Response, string, error) {
	t.Helper()
	c := connect(t, from, to)
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return nil, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: self\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	_, address := start(t, Options{Provider: "Example Net"})
	for i, c := range []struct {
		request     string
		code        int
		contentType string
		language    string
		contains    string
	}{
		{get("/"), 200, "text/html; charset=utf-8", "en", "Port 25 is blocked on your line"},
		{get("/", "Accept-Language: ja"), 200, "text/html; charset=utf-8", "ja", "ポート25番は制限されています"},
		{get("/ja", "Accept-Language: en"), 200, "text/html; charset=utf-8", "ja", "サブミッションポート"},
		{get("/en", "Accept-Language: ja"), 200, "text/html; charset=utf-8", "en", "SMTP AUTH"},
		{get("/?x=<script>"), 200, "text/html; charset=utf-8", "en", "127.0.1."},
		{get("http://other.example/ja"), 200, "text/html; charset=utf-8", "ja", "127.0.1."},
		{get("/", "Accept: application/json"), 200, "application/json", "en", `"state": "blocked"`},
		{get("/", "Accept: text/plain", "Accept-Language: ja"), 200, "text/plain; charset=utf-8", "ja", "制限されています"},
		{get("/robots.txt"), 200, "text/plain; charset=utf-8", "", "Disallow: /"},
		{get("/favicon.ico"), 404, "text/plain; charset=utf-8", "", "no such page"},
		{get("/../../etc/passwd"), 404, "text/plain; charset=utf-8", "", "no such page"},
		{get("/ja/"), 404, "text/plain; charset=utf-8", "", "no such page"},
		{"POST / HTTP/1.1\r\nHost: self\r\nContent-Length: 1000000\r\n\r\n", 405, "text/plain; charset=utf-8", "", "only be read"},
		{"OPTIONS * HTTP/1.1\r\nHost: self\r\n\r\n", 405, "text/plain; charset=utf-8", "", "only be read"},
		{"CONNECT 192.0.2.1:25 HTTP/1.1\r\nHost: 192.0.2.1:25\r\n\r\n", 405, "text/plain; charset=utf-8", "", "only be read"},
	} {
		from := netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}).String()
		resp, body, err := ask(t, from, address, c.request)
		if err != nil {
			t.Errorf("%.40q: %v", c.request, err)
			continue
		}
		if resp.StatusCode != c.code || resp.Header.Get("Content-Type") != c.contentType ||
			resp.Header.Get("Content-Language") != c.language || !strings.Contains(body, c.contains) {
			t.Errorf("%.40q: %d %v %.200q", c.request, resp.StatusCode, resp.Header, body)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || !resp.Close || len(resp.Cookies()) > 0 {
			t.Errorf("%.40q: headers %v", c.request, resp.Header)
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	_, address := start(t, Options{})
	c := connect(t, "127.0.0.1", address)
	if _, err := io.WriteString(c, strings.Replace(get("/"), "GET", "HEAD", 1)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if head, body, _ := strings.Cut(string(all), "\r\n\r\n"); err != nil || body != "" || !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("%v: %.300q", err, all)
	}
}

// Each client learns of its own address, over IPv6 too, on any listener.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	s, v4 := start(t, Options{})
	v6 := serve(t, s, "[::1]:0")
	for from, to := range map[string]string{"127.0.9.1": v4, "127.0.9.2": v4, "::1": v6} {
		_, body, err := ask(t, from, to, get("/", "Accept: application/json"))
		if err != nil || !strings.Contains(body, `"address": "`+from+`"`) {
			t.Errorf("%s: %v: %s", from, err, body)
		}
	}
}

// A reload within seconds is not asked about again; another client is.
func TestCacheSavesQuestions(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	_, address := start(t, Options{Line: func(ctx context.Context, addr netip.Addr) (Line, error) {
		asked.Add(1)
		return blocked(ctx, addr)
	}})
	var first string
	for i, from := range []string{"127.0.2.1", "127.0.2.1", "127.0.2.2"} {
		_, body, err := ask(t, from, address, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case i == 0:
			first = body
		case i == 1 && body != first, i == 2 && body == first:
			t.Errorf("answer %d: %.100q", i, body)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

// A lookup that fails or panics costs one client its answer, says nothing of why, and
// is in the log once however often it comes.
func TestLookupFails(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	_, address := start(t, Options{Log: zap.New(core), Line: func(_ context.Context, addr netip.Addr) (Line, error) {
		if addr.As4()[3]%2 == 0 {
			panic("secret")
		}
		return Line{}, errors.New("secret")
	}})
	for i := range 8 {
		from := netip.AddrFrom4([4]byte{127, 0, 3, byte(i + 1)}).String()
		resp, body, err := ask(t, from, address, get("/"))
		if err != nil || resp.StatusCode != 503 || strings.Contains(body, "secret") || resp.Header.Get("Retry-After") != "60" {
			t.Errorf("%v, %v: %s", err, resp, body)
		}
	}
	var said []string
	for _, e := range logs.All() {
		said = append(said, e.Message)
	}
	want := []string{"the self-check page could not be made: subscribers are told to try later"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestCloseEndsLookups(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	s, address := start(t, Options{Line: func(ctx context.Context, _ netip.Addr) (Line, error) {
		close(begun)
		<-ctx.Done()
		return Line{}, ctx.Err()
	}})
	c := connect(t, "127.0.0.1", address)
	if _, err := io.WriteString(c, get("/")); err != nil {
		t.Fatal(err)
	}
	<-begun
	connect(t, "127.0.0.2", address) // asks nothing
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := s.Stats(); got.Open != 0 {
		t.Errorf("%+v after Close", got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); err != nil {
		t.Errorf("serve after Close: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("Serve after Close left its listener open")
	}
}

// A listener that breaks is the owner's to know of.
func TestServeReportsBrokenListener(t *testing.T) {
	t.Parallel()
	s := New(Options{Line: blocked, Log: zap.NewNop()})
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("error %v", err)
	}
}
