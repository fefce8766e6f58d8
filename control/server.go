// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"op25b/door"
	"op25b/report"
)

const (
	// hurry is how long a client may take over its request, and over reading
	// the answer.
	hurry = 5 * time.Second
	// mostHeader and mostBody are in octets.
	mostHeader = 8 << 10
	mostBody   = 64 << 10
	// grace is how long Close waits for answers that are on their way, and for
	// connections that have not asked yet.
	grace = time.Second
)

// Gateway is what a [Server] asks. Its methods are called by many goroutines at
// once, and return soon after ctx has ended: when the client has hung up, its
// time is over, or the server is closing. What they return is read and never
// written to, so that they may share parts of it.
type Gateway interface {
	// Status never waits for a reload.
	Status() Status
	// Reload reads the configuration again, all of it or, with an error, nothing.
	// The error is a *Refusal where the operator can do something about it.
	Reload(ctx context.Context, opts ReloadOptions) (ReloadResult, error)
	// Explain says what becomes of a connection, and who has or had the address that
	// it comes from. It changes nothing. Source and destination are valid, of one
	// family, not mapped and without a zone. Where the answer cannot be known for what
	// was asked, as of a time before the history begins, the error is an *Error with
	// code 400 that says what can.
	Explain(ctx context.Context, opts ExplainOptions) (Explanation, error)
	// Top says who tries most at the moment. Most is from 1 to 1000.
	Top(ctx context.Context, opts TopOptions) (Top, error)
	// Tail calls send for each attempt, one at a time, until ctx has ended or the gateway
	// ends, and then returns nil; if send fails, it returns that error. A send may take
	// some seconds: what comes meanwhile is kept or counted as missed, and nothing of the
	// packet path waits for it. An error before the first send is the client's answer.
	// Within is masked and not mapped, or the zero prefix.
	Tail(ctx context.Context, opts TailOptions, send func(TailEvent) error) error
	// Subscriber says all there is to know of one. The address is valid, not mapped and
	// without a zone; days are from 1 to 400.
	Subscriber(ctx context.Context, opts SubscriberOptions) (Subscriber, error)
	// Report makes a report. From and To are whole hours in UTC, From is before To, and
	// there are 3650 days between them at most. To may lie ahead: up to an hour where
	// nothing was said of it.
	Report(ctx context.Context, opts ReportOptions) (report.Report, error)
	// Diag writes a zip archive to w, which may block for some seconds. An error before
	// the first write is the client's answer; after one, the answer is cut off, so that
	// nobody takes a part for the whole.
	Diag(ctx context.Context, opts DiagOptions, w io.Writer) error
	// Calendar says what is planned and what was. It tells about no subscriber.
	Calendar(ctx context.Context) (Calendar, error)
	// Lend sends copies of the interfaces' queues to a successor, and changes
	// nothing: packets go to whoever reads first.
	Lend(ctx context.Context, to string) (LendResult, error)
	// Yield hands the interfaces to a successor that reads their queues
	// already; the process ends afterwards. If ctx ends before the gateway has let
	// go, it goes on as before and returns an error.
	Yield(ctx context.Context, successor Peer) (Handover, error)
}

// Options are what [Listen] needs to know.
type Options struct {
	// Path is where clients look for the socket; absolute.
	Path string
	// Successor: a gateway may answer there, and will be replaced by Publish.
	Successor bool
	Log       *zap.Logger
}

// Server answers for a gateway. Listen, Publish and Serve may come in any order
// after Listen: a client that connects early waits.
type Server struct {
	log      *zap.Logger
	socket   *door.Socket
	acceptor *acceptor
	http     *http.Server
	gateway  Gateway // set by Serve, before any request
	stop     context.CancelFunc
	close    func() error

	tails, reports, bundles places
}

// Listen makes a socket that no client sees until Publish. The error is
// ErrRunning where a gateway answers on the path and we are no successor.
func Listen(opts Options) (*Server, error) {
	socket, err := bind(opts.Path, opts.Successor)
	if err != nil {
		return nil, err
	}
	s := &Server{log: opts.Log, socket: socket}
	s.acceptor = &acceptor{Socket: socket, trusts: socket.Trusts}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(s.handle),
		DisableGeneralOptionsHandler: true,
		ReadTimeout:                  hurry, // for the request, not for the time that the gateway needs
		MaxHeaderBytes:               mostHeader,
		ErrorLog:                     zap.NewStdLog(opts.Log),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withPeer,
	}
	// One request each: an idle connection would hold one of the few.
	s.http.SetKeepAlivesEnabled(false)
	s.close = sync.OnceValue(s.shut)
	return s, nil
}

// Publish renames the socket into place. From then on clients find it.
func (s *Server) Publish() error { return unbound(s.socket.Path(), s.socket.Publish()) }

// Removed reports whether somebody has taken the published socket's file away, so that
// no client finds it. A file of another in its place is none of ours to touch.
func (s *Server) Removed() bool { return s.socket.Removed() }

// Serve answers for g until Close, and then returns nil. It is called once.
func (s *Server) Serve(g Gateway) error {
	s.gateway = g
	if err := s.http.Serve(s.acceptor); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket %s: %w", s.socket.Path(), err)
	}
	return nil
}

// Close removes the socket's file unless a successor has put its own there,
// ends the contexts of requests, waits a moment for their answers and closes
// all connections. It is safe to call twice.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if late := s.http.Shutdown(ctx); late != nil {
		s.log.Info("control connections were cut off", zap.NamedError("why", late))
		_ = s.http.Close()
	}
	return s.acceptor.Close() // Shutdown has, unless Serve was never called
}

// Peer is the process at the other end of a connection, as the kernel saw it
// connect or, from a client's side, listen.
type Peer = door.Peer

// peerKey is the context key of the connection's Peer.
type peerKey struct{}

// roomKey is the context key of what makes the connection's place free for another one.
type roomKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(context.WithValue(ctx, peerKey{}, &c.peer), roomKey{}, c.closed)
	}
	return ctx
}
