// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestHost: a page that has its name point at a loopback address gets nothing.
func TestHost(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{})
	for host, code := range map[string]int{
		"localhost": 200, "localhost:9926": 200, "LOCALHOST:1": 200, "127.0.0.1": 200, "127.0.0.1:80": 200, "[::1]": 200, "[::1]:9926": 200, "[0:0:0:0:0:0:0:1]:9926": 200,
		"op25b.example": 421, "op25b.example:9926": 421, "localhost.example": 421, "127.0.0.1.example": 421, "127.0.0.2": 421, "192.0.2.1:9926": 421, "[::]": 421, "x": 421,
	} {
		got := b.do("/", nil, "Host: "+host)
		b.has(got, code)
		if code == http.StatusMisdirectedRequest && (strings.Contains(got.body, "100.64") || strings.Contains(got.body, "<nav") || strings.Contains(got.body, "v1.4.0")) {
			t.Errorf("%s learns something", host)
		}
	}
	other := openTCP(t, Options{Listen: "127.0.0.9:0"})
	other.has(other.do("/login", nil, "Host: 127.0.0.9:9926"), http.StatusOK)
	other.has(other.do("/assets/console.css", nil, "Host: evil.example"), http.StatusMisdirectedRequest)
}

// TestOrigin: what other sites' pages can have a browser send.
func TestOrigin(t *testing.T) {
	t.Parallel()
	f := &fake{now: then()}
	b := openSocket(t, Options{Gateway: f, Writable: true})
	for _, tt := range []struct {
		name    string
		path    string
		form    url.Values
		headers []string
		code    int
	}{
		{"our own form", "/reload", url.Values{}, []string{"Sec-Fetch-Site: same-origin", "Origin: http://localhost"}, 200},
		{"our own form in an old browser", "/reload", url.Values{}, []string{"Origin: http://localhost"}, 200},
		{"no browser", "/reload", url.Values{}, nil, 200},
		{"another site's form", "/reload", url.Values{}, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"}, 403},
		{"another port's form", "/reload", url.Values{}, []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Origin: http://localhost:8080"}, 403},
		{"another site's form in an old browser", "/reload", url.Values{}, []string{"Origin: https://evil.example"}, 403},
		{"a form without an origin", "/reload", url.Values{}, []string{"Origin: null"}, 403},
		{"another site's script", "/reports?from=2027-01-05T00:00", nil, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"another port's image", "/samples", nil, []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"another site's link", "/subscriber?address=100.64.0.7", nil, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			b.has(b.do(tt.path, tt.form, tt.headers...), tt.code)
		})
	}
	if n := len(f.took()); n != 3 {
		t.Errorf("%d reloads", n)
	}
	if n := len(f.ranges); n != 0 {
		t.Errorf("%d reports", n)
	}
}

// TestNobody: who has no session gets the login, and nothing of the gateway.
func TestNobody(t *testing.T) {
	t.Parallel()
	f := &fake{now: then()}
	b := openTCP(t, Options{Gateway: f, Writable: true})
	for _, cookie := range []string{"", "x", strings.Repeat("A", 43)} {
		b.cookie = cookie
		for route := range routes() {
			method, path, _ := strings.Cut(route, " ")
			if strings.HasPrefix(path, "/log") {
				continue
			}
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{}
			}
			got := b.do(path, form)
			if strings.Contains(got.body, "100.64") || strings.Contains(got.body, "v1.4.0") || got.code == http.StatusOK {
				t.Errorf("%s: %d, %s", route, got.code, got.body)
			}
			if got := b.do(path, form, "HX-Request: true", "HX-Current-URL: http://localhost/subscriber?address=100.64.0.7"); got.code != http.StatusUnauthorized ||
				got.header.Get("HX-Redirect") != "/login?next=%2Fsubscriber%3Faddress%3D100.64.0.7" {
				t.Errorf("%s, a part: %d, %v", route, got.code, got.header)
			}
		}
	}
	b.cookie = ""
	if got := b.do("/reports?from=2027-01-05T00:00", nil); got.code != http.StatusSeeOther || got.header.Get("Location") != "/login?next=%2Freports%3Ffrom%3D2027-01-05T00%3A00" {
		t.Errorf("%d to %s", got.code, got.header.Get("Location"))
	}
	b.has(b.do("/samples", nil), http.StatusUnauthorized)
	b.has(b.do("/nothing", nil), http.StatusNotFound)
	if len(f.took()) != 0 || len(f.ranges) != 0 || len(f.looks) != 0 {
		t.Error("the gateway was asked")
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := openTCP(t, Options{})
	b.has(b.do("/login?next=/health", nil), http.StatusOK, `name="next" value="/health"`, `type="password"`)
	for _, wrong := range []string{"", "x", secret[:31], secret + "0", strings.ToUpper(secret), "#"} {
		b.has(b.do("/login", url.Values{"token": {wrong}}), http.StatusForbidden, "no token of this gateway")
		if b.cookie != "" {
			t.Fatalf("%q opens a session", wrong)
		}
	}
	b.has(b.do("/login?token="+secret, url.Values{}), http.StatusForbidden) // a token in an address would be in logs
	got := b.do("/login", url.Values{"token": {" " + secret + "\n"}, "next": {"/health"}})
	cookie := got.header.Get("Set-Cookie")
	if got.code != http.StatusSeeOther || got.header.Get("Location") != "/health" {
		t.Errorf("%d to %q", got.code, got.header.Get("Location"))
	}
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %s lacks %s", cookie, part)
		}
	}
	if len(b.cookie) != 43 { // 256 bits
		t.Errorf("the cookie is %q", b.cookie)
	}
	b.has(b.do("/", nil), http.StatusOK, "Log out")
	if got := b.do("/login", nil); got.code != http.StatusSeeOther {
		t.Errorf("who is logged in gets %d for the form", got.code)
	}
	stolen := b.cookie
	if got := b.do("/logout", url.Values{}); got.code != http.StatusSeeOther || b.cookie != "" {
		t.Errorf("logout: %d, %q", got.code, b.cookie)
	}
	b.cookie = stolen
	if got := b.do("/", nil); got.code != http.StatusSeeOther {
		t.Errorf("after the logout the cookie still opens: %d", got.code)
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"": "/", "/health": "/health", "/subscriber?address=100.64.0.7": "/subscriber?address=100.64.0.7",
		"//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "/\t/evil.example": "/", "javascript:alert(1)": "/", "/login": "/", "health": "/",
		"///evil.example": "/", "/%zz": "/",
	} {
		if got := local(next); got != want {
			t.Errorf("local(%q) = %q, want %q", next, got, want)
		}
	}
}

// clock is one that tests turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestLoginRate: after too many wrong tokens nobody is let in for a moment, not even
// with the right one: else the answer would tell which one that is.
func TestLoginRate(t *testing.T) {
	t.Parallel()
	c := &clock{now: then()}
	b := openTCP(t, Options{}, func(s *Server) { s.now = c.read })
	for range loginBurst {
		b.has(b.do("/login", url.Values{"token": {"wrong"}}), http.StatusForbidden)
	}
	for _, token := range []string{"wrong", secret} {
		got := b.do("/login", url.Values{"token": {token}})
		b.has(got, http.StatusTooManyRequests, "too many wrong tokens")
		if n, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
		}
	}
	c.add(loginEvery)
	b.has(b.do("/login", url.Values{"token": {"wrong"}}), http.StatusForbidden)
	b.has(b.do("/login", url.Values{"token": {"wrong"}}), http.StatusTooManyRequests)
	c.add(loginEvery)
	b.login().has(b.do("/", nil), http.StatusOK)
}

// TestSessionEnds: with its time, and with its token.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	c := &clock{now: then()}
	path := writeTokens(t, "# tokens of the NOC\n\n"+secret+"\n"+strings.Repeat("b", 32)+"\n", 0o640)
	b := openTCP(t, Options{TokenFile: path}, func(s *Server) { s.now = c.read })
	b.login()
	c.add(sessionLife - time.Second)
	b.has(b.do("/", nil), http.StatusOK)
	c.add(time.Second)
	b.has(b.do("/", nil), http.StatusSeeOther)

	b.login()
	rewrite := func(text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(strings.Repeat("b", 32)+"\n", 0o600)
	b.has(b.do("/", nil), http.StatusSeeOther)
	b.has(b.do("/login", url.Values{"token": {secret}}), http.StatusForbidden)
	rewrite(secret+"\n", 0o600)
	b.has(b.do("/", nil), http.StatusOK) // it is the token of before
	rewrite(secret+"\n", 0o644)
	b.has(b.do("/", nil), http.StatusSeeOther)
	b.has(b.do("/login", url.Values{"token": {secret}}), http.StatusInternalServerError, "chmod 0640")
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s, now := newSessions(), then()
	first := s.begin(digest{1}, now)
	for i := range mostSessions {
		now = now.Add(time.Second)
		s.begin(digest{byte(i)}, now)
	}
	if _, open := s.get(first, now); open || len(s.open) != mostSessions {
		t.Errorf("the oldest is open: %v, of %d", open, len(s.open))
	}
	last := s.begin(digest{1}, now.Add(sessionLife))
	if _, open := s.get(last, now.Add(sessionLife)); !open || len(s.open) != 1 {
		t.Errorf("the latest is open: %v, of %d", open, len(s.open))
	}
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		says       string // empty: it is good
	}{
		{"its owner's", secret, 0o600, ""},
		{"for its group to read", secret, 0o640, ""},
		{"for others to read", secret, 0o644, "chmod 0640"},
		{"for others to change", secret, 0o602, "chmod 0640"},
		{"for its group to change", secret, 0o660, "chmod 0640"},
		{"short", "\n" + secret[:31], 0o600, ":2: the token has 31 characters, and needs 32"},
		{"empty", "# none\n", 0o600, "no token in it"},
		{"large", strings.Repeat(secret+"\n", 2000), 0o600, "more than 65536 octets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := writeTokens(t, tt.text, tt.mode)
			s, err := Listen(Options{Listen: "127.0.0.1:0", TokenFile: path, Gateway: &fake{now: then()}, Log: zap.NewNop()})
			if err == nil {
				s.Close()
			}
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), secret[:31]) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
