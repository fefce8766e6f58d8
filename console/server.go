// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"op25b/control"
	"op25b/report"
)

const (
	// hurry is how long a client may take over its request.
	hurry = 10 * time.Second
	// answering is how long reading the request, making the answer and sending it may
	// take together: longer than the slowest route.
	answering = 150 * time.Second
	// idling is how long a connection may wait for its next request.
	idling = time.Minute
	// mostHeader and mostBody are in octets.
	mostHeader = 16 << 10
	mostBody   = 64 << 10
	// grace is how long Close waits for answers that are on their way.
	grace = time.Second
	// patience is how long a report waits for the one before it.
	patience = 10 * time.Second
)

// Gateway is what the console shows. Its methods are called by many goroutines at once,
// and return soon after ctx has ended. What they return is read and never written to.
// An error is a *control.Error or a *control.Refusal where people can do something
// about it.
type Gateway interface {
	// Status never waits. It is asked every two seconds, whether somebody looks or not.
	Status() control.Status
	// Explain says what becomes of a connection. Source and destination are valid, of
	// one family, not mapped and without a zone.
	Explain(ctx context.Context, opts control.ExplainOptions) (control.Explanation, error)
	Top(ctx context.Context, opts control.TopOptions) (control.Top, error)
	// Subscriber is asked with a valid address, not mapped and without a zone.
	Subscriber(ctx context.Context, opts control.SubscriberOptions) (control.Subscriber, error)
	// Report is asked by one goroutine at a time.
	Report(ctx context.Context, opts control.ReportOptions) (report.Report, error)
	Calendar(ctx context.Context) (control.Calendar, error)
	// Reload is only called where Options.Writable says so.
	Reload(ctx context.Context, opts control.ReloadOptions) (control.ReloadResult, error)
}

// Options are what [Listen] needs to know.
type Options struct {
	// Listen is a loopback address and a port, as in "127.0.0.1:9926" or "[::1]:9926",
	// or "unix:" and the absolute path of a socket.
	Listen string
	// TokenFile holds the tokens that open a session, one a line, of 32 characters at
	// least. Needed for an address, without effect for a socket. The file is for its
	// owner, and perhaps its group to read: Listen refuses one that others may read. It
	// is read again for every request, so that a token that is taken out ends its
	// sessions.
	TokenFile string
	// Writable offers to reload the configuration. Without it nothing can be changed.
	Writable bool
	Gateway  Gateway
	Log      *zap.Logger
}

// Server shows a gateway to browsers.
type Server struct {
	gateway  Gateway
	log      *zap.Logger
	writable bool
	now      func() time.Time
	zone     *time.Location
	patience time.Duration

	listener *listener
	hosts    []string // that a request may name, without a port
	http     *http.Server
	origin   *http.CrossOriginProtection
	routes   map[string]route
	pages    map[string]*template.Template
	assets   map[string]asset

	tokens   *tokenFile // nil: the kernel says who connects
	sessions *sessions
	failures *rate.Limiter // of logins

	samples   ring
	reporting chan struct{} // holds a value while a report is made

	ctx   context.Context //nolint:containedctx // the server's life, which Serve and requests share
	stop  context.CancelFunc
	close func() error
}

// Listen takes the address, which must be free, or makes the socket, in the place of one
// that is there: a predecessor keeps the clients that it has, and new ones come to us.
// They wait until Serve. The error says what to change.
func Listen(opts Options) (*Server, error) {
	s := &Server{
		gateway: opts.Gateway, log: opts.Log, writable: opts.Writable,
		now: time.Now, zone: time.Local, patience: patience,
		origin: http.NewCrossOriginProtection(), routes: routes(), sessions: newSessions(),
		failures: rate.NewLimiter(rate.Every(loginEvery), loginBurst), reporting: make(chan struct{}, 1),
	}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = s.parse(); err != nil {
		return nil, err
	}
	where, err := parsePlace(opts.Listen)
	if err != nil {
		return nil, err
	}
	if where.path == "" {
		s.tokens = &tokenFile{path: opts.TokenFile}
		if _, err := s.tokens.read(); err != nil {
			return nil, err
		}
	}
	if s.listener, err = where.listen(); err != nil {
		return nil, err
	}
	s.hosts = where.hosts()
	s.serve()
	return s, nil
}

// serve makes the HTTP server.
func (s *Server) serve() {
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(s.handle),
		DisableGeneralOptionsHandler: true,
		ReadTimeout:                  hurry,
		WriteTimeout:                 answering,
		IdleTimeout:                  idling,
		MaxHeaderBytes:               mostHeader,
		ErrorLog:                     zap.NewStdLog(s.log),
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		ConnContext:                  withPeer,
	}
	s.close = sync.OnceValue(s.shut)
}

// Addr is where the server listens: of an address with port 0, with the port it got.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until Close, and then returns nil. It is called once.
func (s *Server) Serve() error {
	var sampling sync.WaitGroup
	sampling.Go(func() { s.sample(s.ctx) })
	err := s.http.Serve(s.listener)
	s.stop()
	sampling.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the console on %s: %w", s.Addr(), err)
	}
	return nil
}

// Close removes the socket's file unless a successor has put its own there, ends the
// contexts of requests, waits a moment for their answers and closes all connections. It
// is safe to call twice.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if late := s.http.Shutdown(ctx); late != nil {
		s.log.Info("console connections were cut off", zap.NamedError("why", late))
		_ = s.http.Close()
	}
	return s.listener.Close() // Shutdown has, unless Serve was never called
}
