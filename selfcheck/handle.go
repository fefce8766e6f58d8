// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// errPanicked is that there is a fault in this package, or in what it asks.
var errPanicked = errors.New("panicked")

// handle answers one request, the only one of its connection.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return // Serve is the only one who starts connections
	}
	s.requests.Add(1)
	guard(w.Header())
	if !s.pace.allow(c.source, time.Now()) {
		s.refused.Add(1)
		w.Header().Set("Retry-After", "5")
		say(w, http.StatusTooManyRequests, "Too many requests: please wait a few seconds.\nアクセスが集中しています。数秒後にもう一度お試しください。\n")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		say(w, http.StatusMethodNotAllowed, "This page can only be read.\n")
		return
	}
	switch r.URL.Path {
	case "/":
		w.Header().Set("Vary", "Accept, Accept-Language")
		s.answer(w, r, c, languageOf(r.Header["Accept-Language"]))
	case "/en", "/ja":
		w.Header().Set("Vary", "Accept")
		s.answer(w, r, c, r.URL.Path[1:])
	case "/robots.txt":
		say(w, http.StatusOK, "User-agent: *\nDisallow: /\n")
	default:
		say(w, http.StatusNotFound, "There is no such page here: see /\n")
	}
}

// answer sends what can be said of the line.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *conn, language string) {
	key := answerKey{addr: c.addr, language: language, format: formatOf(r.Header["Accept"])}
	body := s.cache.get(key, time.Now())
	if body == nil {
		if !c.work() {
			return // displaced in this moment: there is nobody to answer
		}
		var err error
		body, err = s.make(r.Context(), key)
		c.rest()
		if err != nil {
			s.log.Warn("the self-check page could not be made: subscribers are told to try later", zap.Error(err))
			w.Header().Set("Retry-After", "60")
			say(w, http.StatusServiceUnavailable, "This page cannot say anything at the moment: please try again later.\nただいま確認できません。しばらくしてからもう一度お試しください。\n")
			return
		}
		s.cache.put(key, body, time.Now())
	}
	w.Header().Set("Content-Type", key.format.contentType())
	w.Header().Set("Content-Language", language)
	w.Header().Set("Content-Security-Policy", s.pages.policy)
	send(w, http.StatusOK, body)
}

// make asks about the line and writes the answer. A panic becomes an error here: left
// to net/http, it would be in the log with every request.
func (s *Server) make(ctx context.Context, key answerKey) (body []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v", errPanicked, fault)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, lineTime)
	defer cancel()
	line, err := s.opts.Line(ctx, key.addr)
	if err != nil {
		return nil, fmt.Errorf("ask about a line: %w", err)
	}
	if !line.Address.IsValid() {
		line.Address = key.addr
	}
	return s.pages.write(&line, key.language, key.format)
}

// guard sets what every answer has. No other site may show the page as its own or read
// it, and nobody on the way may keep it: the next who asks has another address.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", formatText.contentType())
	send(w, code, []byte(text))
}

// send writes an answer whole. That the client has gone is no fault of ours.
func send(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
