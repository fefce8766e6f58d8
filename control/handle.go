// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// handle answers one request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	peer, _ := r.Context().Value(peerKey{}).(*Peer)
	out := &stream{w: w}
	answer, err := s.ask(out, r, peer)
	code, sent := finish(out, answer, err)
	if r.Method == http.MethodGet && code == http.StatusOK && sent == nil {
		return
	}
	s.log.Info("control request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", code),
		zap.Int("pid", peer.PID), zap.Int("uid", peer.UID), zap.Duration("took", time.Since(start)),
		zap.NamedError("answer", err), zap.NamedError("unsent", sent))
	if out.begun() && err != nil {
		panic(http.ErrAbortHandler) // or the client would take a part for the whole
	}
}

// finish sends what is left to send, and returns the status and why it did not arrive.
func finish(out *stream, answer any, err error) (code int, sent error) {
	code, failure := http.StatusOK, failed(err)
	// What the gateway needed is over; what is left is the client's time.
	out.allow()
	switch {
	case out.begun():
		return code, nil // net/http ends it
	case failure != nil:
		code, answer = failure.Code, failure
	case answer == nil: // a stream of nothing
		return code, out.begin()
	}
	return code, write(out.w, code, answer)
}

// ask checks a request and lets its route answer. A panic in there is a fault of
// this program and an answer like any other.
func (s *Server) ask(out *stream, r *http.Request, peer *Peer) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a control request", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			answer, err = nil, &Error{Code: http.StatusInternalServerError, Message: "the gateway failed to answer, which is a fault of op25b",
				Fix: "report it with what the log has at this time"}
		}
	}()
	route, known := find(r.URL.Path)
	if !known {
		return nil, &Error{Code: http.StatusNotFound, Message: "there is nothing at this path",
			Fix: "GET /v1/openapi.yaml says what there is"}
	}
	if r.Method != route.method {
		out.w.Header().Set("Allow", route.method)
		return nil, &Error{Code: http.StatusMethodNotAllowed, Message: fmt.Sprintf("%s takes %s only", r.URL.Path, route.method)}
	}
	if route.changes() && !s.socket.Trusts(peer) {
		return nil, &Error{Code: http.StatusForbidden, Message: fmt.Sprintf("uid %d may read this gateway's status and no more", peer.UID),
			Fix: "ask as root or as the gateway's own user, or give the socket to a group of yours, with: chgrp GROUP " + s.socket.Path()}
	}
	body, err := io.ReadAll(http.MaxBytesReader(out.w, r.Body, mostBody))
	if err != nil {
		return nil, unread(err)
	}
	// From here on net/http reads on without a deadline, to notice a client that
	// hangs up.
	ctx, cancel := route.bounded(r.Context())
	defer cancel()
	if route.stream == nil {
		return route.answer(s, ctx, body, peer)
	}
	defer context.AfterFunc(ctx, out.end)()
	return nil, route.stream(s, ctx, body, peer, out)
}

// unread says why a body could not be read.
func unread(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return &Error{Code: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request's body has more than %d octets", mostBody)}
	}
	return &Error{Code: http.StatusBadRequest, Message: "the request's body ended early or came too slowly"}
}

// decode reads a request's body: nothing at all, or one JSON object with known
// fields only, since a misspelled one would go unnoticed.
func decode(body []byte, into any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	switch {
	case body[0] != '{': // null would pass
		err = errors.New("not a JSON object")
	case err == nil && dec.InputOffset() != int64(len(body)):
		err = errors.New("something follows the JSON object")
	}
	if err != nil {
		return &Error{Code: http.StatusBadRequest, Message: "the request's body is not understood: " + err.Error(),
			Fix: "GET /v1/openapi.yaml says what it may hold"}
	}
	return nil
}

// failed turns an error into what the client gets.
func failed(err error) *Error {
	var failure *Error
	var refusal *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return failure
	case errors.As(err, &refusal):
		return &Error{Code: http.StatusUnprocessableEntity, Message: "the new configuration was refused: the old policy stays in force",
			Problems: refusal.Problems, Fix: refusal.Fix}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: http.StatusGatewayTimeout, Message: "the gateway was not ready in time: " + err.Error()}
	case errors.Is(err, context.Canceled):
		return &Error{Code: http.StatusServiceUnavailable, Message: "the gateway is ending: " + err.Error()}
	default:
		return &Error{Code: http.StatusInternalServerError, Message: err.Error()}
	}
}

// write sends an answer.
func write(w http.ResponseWriter, code int, answer any) error {
	text, isDocument := answer.(document)
	contentType := "application/yaml"
	if !isDocument {
		contentType = "application/json"
		fill(reflect.ValueOf(answer).Elem())
		var err error
		if text, err = json.Marshal(answer); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		text = append(text, '\n')
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return http.NewResponseController(w).Flush()
}

// fill makes nil lists and maps empty ones: whoever goes through a list should
// not have to know null. What it fills behind a pointer or in a list is a copy, since
// the gateway may share that with others.
func fill(answer reflect.Value) {
	for _, f := range answer.Fields() {
		if !f.CanSet() { // a time's or an address's own
			continue
		}
		switch {
		case f.Kind() == reflect.Struct:
			fill(f)
		case f.Kind() == reflect.Pointer:
			fillPointer(f)
		case f.Kind() == reflect.Slice:
			fillSlice(f)
		case f.Kind() == reflect.Map && f.IsNil():
			f.Set(reflect.MakeMap(f.Type()))
		}
	}
}

func fillPointer(f reflect.Value) {
	if f.IsNil() || f.Type().Elem().Kind() != reflect.Struct {
		return
	}
	into := reflect.New(f.Type().Elem())
	into.Elem().Set(f.Elem())
	fill(into.Elem())
	f.Set(into)
}

func fillSlice(f reflect.Value) {
	if !f.IsNil() && f.Type().Elem().Kind() != reflect.Struct {
		return
	}
	into := reflect.MakeSlice(f.Type(), f.Len(), f.Len())
	reflect.Copy(into, f)
	if f.Type().Elem().Kind() == reflect.Struct {
		for i := range into.Len() {
			fill(into.Index(i))
		}
	}
	f.Set(into)
}
