// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// headerTime is for the request, answerTime for the answer from then on, and
	// lifetime for all that a connection does.
	headerTime = 5 * time.Second
	answerTime = 5 * time.Second
	lifetime   = 10 * time.Second
	// lineTime is how long [Options].Line may take.
	lineTime = 2 * time.Second
	// headerSlop is what net/http reads beyond MaxHeaderBytes: 4096, so that one more
	// octet makes the 4 KiB that are meant.
	headerSlop = 1
	// grace is how long Close waits for answers that are on their way.
	grace = time.Second

	defaultMaxConns  = 64
	defaultPerSource = 4
)

// Options are what [New] needs to know.
type Options struct {
	// Line answers for one address. It is called by many goroutines at once, and must
	// return soon after ctx has ended. An error is logged, and told to nobody.
	Line func(ctx context.Context, addr netip.Addr) (Line, error)
	// Provider is the provider's name, Contact is how to reach it, both shown as text.
	// Empty: not shown.
	Provider, Contact string
	// Relays are the provider's servers for submission, by name. Empty: not shown.
	Relays []string
	Log    *zap.Logger
	// MaxConns is how many connections are open at once. Zero: 64.
	MaxConns int
	// PerSource is how many of them one source may have. Zero: 4.
	PerSource int
}

// Stats are counts since New.
type Stats struct {
	// Requests counts those that were understood, Refused the connections and requests
	// that were too many.
	Requests, Refused uint64
	// Open is how many connections there are now.
	Open int
}

// Server serves the page. Close ends it.
type Server struct {
	opts  Options
	log   *zap.Logger
	http  *http.Server
	gate  *gate
	pace  *limiter
	cache *cache
	pages pages
	stop  context.CancelFunc
	close func() error

	requests atomic.Uint64
	refused  atomic.Uint64 // requests; the gate counts connections
}

// New returns a server that serves nobody yet. It holds no resources that need a Close.
func New(opts Options) *Server {
	if opts.MaxConns == 0 {
		opts.MaxConns = defaultMaxConns
	}
	if opts.PerSource == 0 {
		opts.PerSource = defaultPerSource
	}
	s := &Server{
		opts:  opts,
		log:   onceAMinute(opts.Log),
		gate:  newGate(opts.MaxConns, opts.PerSource),
		pace:  newLimiter(requestRates()),
		cache: newCache(),
		pages: newPages(&opts),
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(s.handle),
		DisableGeneralOptionsHandler: true,
		ReadTimeout:                  headerTime,
		ReadHeaderTimeout:            headerTime,
		WriteTimeout:                 answerTime,
		MaxHeaderBytes:               headerSlop,
		ErrorLog:                     zap.NewStdLog(s.log),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withConn,
	}
	// One request each: an idle connection would hold one of the few.
	s.http.SetKeepAlivesEnabled(false)
	s.close = sync.OnceValue(s.shut)
	return s
}

// onceAMinute makes each message appear once a minute at most: what goes wrong for one
// client goes wrong for a flood.
func onceAMinute(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 1, 0)
	}))
}

// Serve answers whoever connects to l, until Close, and then returns nil. It closes l
// before it returns. It may be called for several listeners at once; the bounds are for
// all of them together.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(&listener{Listener: l, gate: s.gate}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the self-check page on %v: %w", l.Addr(), err)
	}
	return nil
}

// Close closes the listeners and the connections, and ends the contexts of Line. Answers
// that are on their way have a second. It is safe to call twice.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	s.stop()
	s.gate.shut()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := s.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
		return err
	}
	return nil // what else a listener says when it closes, Serve has said
}

// Stats returns the counts as of now.
func (s *Server) Stats() Stats {
	open, refused := s.gate.stats()
	return Stats{Requests: s.requests.Load(), Refused: refused + s.refused.Load(), Open: open}
}
