// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"op25b/control"
)

const (
	// hurry is how long a client may take over its request, and patience how long
	// it may take over reading the answer.
	hurry    = 5 * time.Second
	patience = 10 * time.Second
	// mostHeader is in octets.
	mostHeader = 8 << 10
	// mostConns is how many connections are open at once. More wait in the kernel's
	// backlog: a scrape that comes late is worth more than none.
	mostConns = 16
	// grace is how long Close waits for answers that are on their way.
	grace = time.Second
)

// Options are what [Listen] needs to know.
type Options struct {
	// Address is the host:port to listen on.
	Address string
	// Status says how the gateway is. It is called by several goroutines, though
	// never often, and never waits long. What it returns is only read.
	Status func() control.Status
	Log    *zap.Logger
}

// Server answers Prometheus and probes.
type Server struct {
	log        *zap.Logger
	listener   net.Listener
	http       *http.Server
	status     *recent[control.Status]
	exposition http.Handler
	close      func() error
}

// Listen binds the address; clients that come before Serve wait. The error names
// the address and says what to do.
func Listen(opts Options) (*Server, error) {
	exposition, err := expose(opts)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w: nobody can read metrics: %s", opts.Address, cause(err), fix(opts.Address, err))
	}
	s := &Server{
		log:        opts.Log,
		listener:   netutil.LimitListener(listener, mostConns),
		status:     &recent[control.Status]{take: opts.Status, now: time.Now},
		exposition: exposition,
	}
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(s.handle),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            hurry,
		ReadTimeout:                  hurry,
		WriteTimeout:                 patience,
		MaxHeaderBytes:               mostHeader,
		ErrorLog:                     zap.NewStdLog(opts.Log),
	}
	// One request each: an idle connection would hold one of the few.
	s.http.SetKeepAlivesEnabled(false)
	s.close = sync.OnceValue(s.shut)
	return s, nil
}

// expose returns what answers /metrics: ours, Go's and the process' metrics.
func expose(opts Options) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		NewCollector(opts.Status),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(paced(registry.Gather, time.Now)), promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(opts.Log),
		// What could be gathered is worth having: it may be what tells of the fault.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      registry,
	}), nil
}

// Serve answers until Close, and then returns nil. It is called once.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", s.Addr(), err)
	}
	return nil
}

// Addr is where clients reach the server.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close waits a moment for answers that are on their way and closes all
// connections. It is safe to call twice.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if late := s.http.Shutdown(ctx); late != nil {
		s.log.Info("connections for metrics were cut off", zap.NamedError("why", late))
		_ = s.http.Close()
	}
	// Shutdown has, unless Serve was never called.
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening for metrics: %w", err)
	}
	return nil
}

// cause returns what the kernel or the resolver said, without the address that
// package net puts around it.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// fix says what to type.
func fix(address string, err error) string {
	const elsewhere = `set control.metrics to another host:port, or to "" for off`
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "find who has the port with: ss -ltnp sport = :" + port + "; stop it, or " + elsewhere
	case errors.Is(err, fs.ErrPermission):
		return "write a port above 1023, or " + elsewhere
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "write an address that ip addr shows, or " + elsewhere
	default:
		return elsewhere
	}
}
