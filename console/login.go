// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"op25b/control"
)

// Wrong tokens are answered for a while, and then one after loginEvery: tokens are too
// long to be guessed at any rate, and this keeps the log readable. Everybody comes from
// this machine, so there is one count for all.
const (
	loginEvery = 2 * time.Second
	loginBurst = 10
)

// loginPage is what the form shows.
type loginPage struct {
	Next   string // where to go then
	Failed *control.Error
}

func (s *Server) loginForm(_ context.Context, r *http.Request) (*reply, error) {
	if err := s.haveLogin(); err != nil {
		return nil, err
	}
	next := local(r.Form.Get("next"))
	if s.loggedIn(r) {
		return seeOther(next), nil
	}
	return s.showLogin(r, loginPage{Next: next})
}

func (s *Server) showLogin(r *http.Request, p loginPage) (*reply, error) {
	return s.show(r, view{page: "login", title: "Log in", body: p})
}

// haveLogin refuses what makes no sense on a unix socket.
func (s *Server) haveLogin() error {
	if s.tokens != nil {
		return nil
	}
	return &control.Error{Code: http.StatusNotFound, Message: "There is no login on a socket: the kernel says who you are", Fix: "Open the overview."}
}

// login opens a session for a token. The token is in the body, and so in no log and no
// browser's history.
func (s *Server) login(_ context.Context, r *http.Request) (*reply, error) {
	if err := s.haveLogin(); err != nil {
		return nil, err
	}
	next := local(r.PostForm.Get("next"))
	now := s.now()
	if s.failures.TokensAt(now) < 1 {
		return s.refuseLogin(r, next, &control.Error{Code: http.StatusTooManyRequests, Message: "There were too many wrong tokens",
			Fix: "Wait for some seconds, and try again."})
	}
	tokens, err := s.tokens.read()
	if err != nil {
		return nil, &control.Error{Code: http.StatusInternalServerError, Message: "The gateway cannot read its tokens: " + err.Error(),
			Fix: "Sessions that are open end with this too."}
	}
	token := digest(sha256.Sum256([]byte(strings.TrimSpace(r.PostForm.Get("token")))))
	if !find(tokens, token) {
		s.failures.AllowN(now, 1)
		return s.refuseLogin(r, next, &control.Error{Code: http.StatusForbidden, Message: "That is no token of this gateway",
			Fix: "Copy one line of the token file, all of it."})
	}
	cookie := s.cookie(s.sessions.begin(token, now), sessionLife)
	return seeOther(next).with("Set-Cookie", cookie.String()), nil
}

func (s *Server) refuseLogin(r *http.Request, next string, why *control.Error) (*reply, error) {
	a, err := s.showLogin(r, loginPage{Next: next, Failed: why})
	if err != nil {
		return nil, err
	}
	a.code = why.Code
	if why.Code == http.StatusTooManyRequests {
		a.with("Retry-After", strconv.Itoa(int(loginEvery/time.Second)))
	}
	s.log.Warn("console login refused", zap.String("why", why.Message))
	return a, nil
}

func (s *Server) logout(_ context.Context, r *http.Request) (*reply, error) {
	if err := s.haveLogin(); err != nil {
		return nil, err
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.sessions.end(cookie.Value)
	}
	return seeOther("/login").with("Set-Cookie", s.cookie("", -time.Second).String()), nil
}

// cookie is one that scripts cannot read and other sites' pages do not send.
func (s *Server) cookie(value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// local returns a path of ours, and the overview's for whatever may be none: a login
// sends nobody elsewhere.
func local(next string) string {
	to, err := url.Parse(next)
	if err != nil || to.Scheme != "" || to.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(to.Path, "/login") {
		return "/"
	}
	return to.RequestURI()
}
