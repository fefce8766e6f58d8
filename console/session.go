// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	// sessionLife is how long a login holds, used or not.
	sessionLife = 12 * time.Hour
	// mostSessions is how many are open at once. One more ends the oldest.
	mostSessions = 64
	// cookieName is the session's cookie. It is not of the kind that only TLS may set:
	// there is none on a loopback address.
	cookieName = "op25b-console"
)

// session is a browser that has shown a token.
type session struct {
	token digest // it ends when the token is taken out of the file
	began time.Time
}

// sessions are those that are open. They know what a session's secret digests to and
// never the secret, so that looking one up tells nothing about the others.
type sessions struct {
	mu   sync.Mutex
	open map[digest]session
}

func newSessions() *sessions { return &sessions{open: map[digest]session{}} }

// begin opens a session and returns its secret, of 256 bits, for the cookie.
func (s *sessions) begin(token digest, now time.Time) string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, since Go 1.24
	text := base64.RawURLEncoding.EncodeToString(secret[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(now)
	s.open[sha256.Sum256([]byte(text))] = session{token: token, began: now}
	return text
}

// makeRoom ends what is over, and the oldest if that is not enough.
func (s *sessions) makeRoom(now time.Time) {
	var oldest digest
	var began time.Time
	for id, one := range s.open {
		if now.Sub(one.began) >= sessionLife {
			delete(s.open, id)
			continue
		}
		if began.IsZero() || one.began.Before(began) {
			oldest, began = id, one.began
		}
	}
	if len(s.open) >= mostSessions {
		delete(s.open, oldest)
	}
}

// get returns the session that a cookie stands for.
func (s *sessions) get(secret string, now time.Time) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.open[sha256.Sum256([]byte(secret))]
	return one, known && now.Sub(one.began) < sessionLife
}

// end closes the session that a cookie stands for, if any.
func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(secret)))
}
