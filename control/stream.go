// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// A tail without events sends an empty line now and then, so that a reader that
	// has stopped is found, the first one early: until then an error is still an
	// answer with a status, and from then on the client knows that it is heard.
	firstBeat = time.Second
	laterBeat = 15 * time.Second
)

// stream is an answer that is sent as it comes. Status and header go with the first
// piece, so that what fails before it is answered like any other request. Many
// goroutines may use it at once.
type stream struct {
	w http.ResponseWriter
	// contentType is set before the first piece.
	contentType string

	mu      sync.Mutex // one writes
	started atomic.Bool
	ending  atomic.Bool
}

// begun reports whether a part of the answer is on its way.
func (o *stream) begun() bool { return o.started.Load() }

// begin sends the header.
func (o *stream) begin() error {
	_, err := o.Write(nil)
	return err
}

// Write sends a piece to the client, and fails where the client does not take it in
// time.
func (o *stream) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.allow()
	if !o.started.Swap(true) {
		o.w.Header().Set("Content-Type", o.contentType)
		o.w.WriteHeader(http.StatusOK)
	}
	n, err := o.w.Write(piece)
	if err == nil {
		err = http.NewResponseController(o.w).Flush()
	}
	if err != nil {
		return n, fmt.Errorf("send to the client: %w", err)
	}
	return n, nil
}

// allow gives the client its time for what is sent next.
func (o *stream) allow() {
	c := http.NewResponseController(o.w)
	_ = c.SetWriteDeadline(time.Now().Add(hurry))
	if o.ending.Load() { // asked afterwards, so that end and allow may come in any order
		_ = c.SetWriteDeadline(time.Now().Add(grace / 2))
	}
}

// end makes the client's time short: the server is closing, or has no more time.
func (o *stream) end() {
	o.ending.Store(true)
	_ = http.NewResponseController(o.w).SetWriteDeadline(time.Now().Add(grace / 2))
}

// places count how many do the same.
type places struct{ taken atomic.Int32 }

// take takes one of so many places, or says that there is none.
func (p *places) take(most int32, what, fix string) error {
	if p.taken.Add(1) <= most {
		return nil
	}
	p.leave()
	return &Error{Code: http.StatusServiceUnavailable, Message: fmt.Sprintf("there are %d %s at once already, and no more may be", most, what), Fix: fix}
}

func (p *places) leave() { p.taken.Add(-1) }

// streamTail sends attempts, a line of JSON each, until somebody has enough.
func (s *Server) streamTail(ctx context.Context, body []byte, peer *Peer, out *stream) error {
	var opts TailOptions
	if err := decode(body, &opts); err != nil {
		return err
	}
	if err := opts.normalize(); err != nil {
		return err
	}
	if err := s.tails.take(mostTails, "tails", "end one of them, op25b tail or the console's, and ask again"); err != nil {
		return err
	}
	defer s.tails.leave()
	// It stays for long: its connection is one of mostTails from here on, and no longer
	// one of mostConns.
	if leave, ok := ctx.Value(roomKey{}).(func()); ok {
		leave()
	}
	s.log.Info("control tail begins", zap.Int("pid", peer.PID), zap.Int("uid", peer.UID))
	out.contentType = "application/x-ndjson"
	ctx, cancel := context.WithCancel(ctx)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(func() {
		if err := keepAlive(ctx, out); err != nil {
			cancel()
		}
	})
	err := s.gateway.Tail(ctx, opts, func(e TailEvent) error { return sendLine(out, &e) })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func sendLine(out *stream, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

// keepAlive sends empty lines until ctx ends, or one cannot be sent.
func keepAlive(ctx context.Context, out *stream) error {
	timer := time.NewTimer(firstBeat)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if _, err := out.Write([]byte{'\n'}); err != nil {
			return err
		}
		timer.Reset(laterBeat)
	}
}

// streamDiag sends a bundle while it is made.
func (s *Server) streamDiag(ctx context.Context, body []byte, _ *Peer, out *stream) error {
	var opts DiagOptions
	if err := decode(body, &opts); err != nil {
		return err
	}
	if err := s.bundles.take(mostBundles, "diagnostic bundles", "wait until one is done, a minute at most, and ask again"); err != nil {
		return err
	}
	defer s.bundles.leave()
	out.contentType = "application/zip"
	return s.gateway.Diag(ctx, opts, out)
}
