// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is what the tests' token file holds.
const secret = "0123456789abcdef0123456789abcdef"

func writeTokens(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// then is when tests take place that say nothing else.
func then() time.Time { return time.Date(2027, 1, 12, 10, 30, 0, 0, time.UTC) }

// open listens on an address with a login, and serves until the test ends. prepare may
// change the server before.
func open(t *testing.T, opts Options, prepare ...func(*Server)) *Server {
	t.Helper()
	if opts.Listen == "" {
		opts.Listen = "127.0.0.1:0"
	}
	if opts.TokenFile == "" {
		opts.TokenFile = writeTokens(t, secret+"\n", 0o600)
	}
	if opts.Gateway == nil {
		opts.Gateway = &fake{now: then()}
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	s, err := Listen(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.zone = time.FixedZone("JST", 9*60*60)
	s.now = then
	for _, p := range prepare {
		p(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// openSocket listens on a unix socket, where the tests' own user may do everything.
func openSocket(t *testing.T, opts Options, prepare ...func(*Server)) *browser {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	opts.Listen = "unix:" + path
	open(t, opts, prepare...)
	return newBrowser(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
}

// openTCP listens on a loopback address.
func openTCP(t *testing.T, opts Options, prepare ...func(*Server)) *browser {
	t.Helper()
	s := open(t, opts, prepare...)
	return newBrowser(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
	})
}

// browser sends requests, and keeps the session's cookie. It follows no redirects.
type browser struct {
	t      *testing.T
	client *http.Client
	cookie string
}

func newBrowser(t *testing.T, dial func(context.Context) (net.Conn, error)) *browser {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

// do sends a request with headers, given as "Name: value". A body makes it a POST.
func (b *browser) do(path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, "http://localhost"+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: b.cookie})
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) answer {
	b.t.Helper()
	got, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range got.Cookies() {
		if c.Name == cookieName {
			b.cookie = c.Value
		}
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

// login shows the token.
func (b *browser) login() *browser {
	b.t.Helper()
	if got := b.do("/login", url.Values{"token": {secret}}); got.code != http.StatusSeeOther || b.cookie == "" {
		b.t.Fatalf("login: %d, %s", got.code, got.body)
	}
	return b
}

// has reports what an answer lacks.
func (b *browser) has(got answer, code int, says ...string) {
	b.t.Helper()
	if got.code != code {
		b.t.Errorf("status %d, want %d: %s", got.code, code, got.body)
	}
	for _, text := range says {
		if !strings.Contains(got.body, text) {
			b.t.Errorf("it does not say %q:\n%s", text, got.body)
		}
	}
}
