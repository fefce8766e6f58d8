// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"op25b/control"
)

// contentPolicy lets pages take what is ours and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// protect sets what every answer has. Pages tell who holds an address: no browser keeps
// one for later.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// ours refuses what another site's page may have sent: see the package's comment.
func (s *Server) ours(r *http.Request) error {
	if !s.named(r.Host) {
		return &control.Error{Code: http.StatusMisdirectedRequest, Message: "The console is not called " + r.Host,
			Fix: "Open it as http://localhost and the port, or as http://127.0.0.1 and the port."}
	}
	if err := s.origin.Check(r); err != nil {
		return &control.Error{Code: http.StatusForbidden, Message: "A page of another site has sent this form",
			Fix: "Open the console itself, and do it there."}
	}
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	if (site == "cross-site" || site == "same-site") && mode != "navigate" {
		return &control.Error{Code: http.StatusForbidden, Message: "A page of another site has asked for this",
			Fix: "Open the console itself, and look there."}
	}
	return nil
}

// named reports whether a request may call us that. The port is the reader's: a tunnel
// may begin at any.
func (s *Server) named(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	if address, err := netip.ParseAddr(name); err == nil {
		name = address.String() // one address has many spellings
	}
	return slices.Contains(s.hosts, strings.ToLower(name))
}

// admit returns nothing for those who may, and else what they get instead.
func (s *Server) admit(r *http.Request) (*reply, error) {
	if s.tokens == nil {
		return nil, s.admitPeer(r)
	}
	if s.loggedIn(r) {
		return nil, nil //nolint:nilnil // there is nothing to say to those who may
	}
	to := "/login"
	switch {
	case partial(r):
		if from, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil && from.Path != "" {
			to += "?next=" + url.QueryEscape(from.RequestURI())
		}
		return (&reply{code: http.StatusUnauthorized}).with("HX-Redirect", to), nil
	case r.Method == http.MethodGet && r.URL.Path != "/samples":
		if r.URL.RequestURI() != "/" {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		return seeOther(to), nil
	}
	return nil, &control.Error{Code: http.StatusUnauthorized, Message: "You are not logged in, or not any more", Fix: "Log in, and do it again."}
}

// admitPeer asks what the kernel has said of the peer.
func (s *Server) admitPeer(r *http.Request) error {
	p := peerFrom(r.Context())
	if p != nil && p.trusted {
		return nil
	}
	uid := -1
	if p != nil {
		uid = p.UID
	}
	return &control.Error{Code: http.StatusForbidden, Message: fmt.Sprintf("uid %d may not use this console", uid),
		Fix: "Come as root or as the gateway's own user, or give the socket to a group of yours, with: chgrp GROUP " + s.listener.socket.Path()}
}

// loggedIn reports whether the request has a session whose token still counts.
func (s *Server) loggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	one, open := s.sessions.get(cookie.Value, s.now())
	if !open {
		return false
	}
	tokens, err := s.tokens.read()
	return err == nil && find(tokens, one.token)
}

// partial reports whether the page's script asks for a part of it. When the reader goes
// back to a page, it asks for the whole.
func partial(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-History-Restore-Request") != "true"
}
