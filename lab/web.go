// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// WebGreeting is the page of the web server.
const WebGreeting = "hello from the lab's web server\n"

// headerTimeout ends a request whose header does not arrive.
const headerTimeout = 10 * time.Second

// Web is an HTTP server in the internet. It answers every path with
// [WebGreeting].
type Web struct {
	server *http.Server
	served sync.WaitGroup
}

// StartWeb starts the web server, in every family that works from end to end. It
// is closed with the network, or earlier by the caller.
func (n *Network) StartWeb() (*Web, error) {
	w := &Web{server: &http.Server{
		Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
			response.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(response, WebGreeting)
		}),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          log.New(io.Discard, "", 0),
	}}
	for _, f := range n.Families() {
		address := netip.AddrPortFrom(f.Addrs().Web, PortWeb)
		listener, err := n.Internet.Listen("tcp", address.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start web server: %w", err), w.Close())
		}
		w.served.Go(func() { _ = w.server.Serve(listener) }) // ends with Close
	}
	if err := n.own(w); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close stops the server, drops its connections and waits until it is gone. It is
// safe twice.
func (w *Web) Close() error {
	err := w.server.Close()
	w.served.Wait()
	return err
}
