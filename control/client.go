// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"golang.org/x/sys/unix"

	"op25b/report"
)

const (
	// mostAnswer is in octets. A status of 16 queues and all counters has a few
	// thousand, a report of a large network many millions.
	mostAnswer = 256 << 20
	// mostLine is in octets; an attempt has some hundred.
	mostLine = 64 << 10
)

// Client asks a gateway, each time on a connection of its own.
type Client struct{ path string }

// Dial returns a client for the gateway that listens on path. It does not
// connect yet.
func Dial(path string) *Client { return &Client{path: path} }

// Status asks how the gateway is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Reload makes the gateway read its configuration again. The error is a
// *Refusal where the old policy stays in force because of what the file says.
func (c *Client) Reload(ctx context.Context, opts ReloadOptions) (ReloadResult, error) {
	var r ReloadResult
	err := c.ask(ctx, http.MethodPost, "/v1/reload", opts, &r)
	return r, err
}

// Explain asks what becomes of a connection, and who has or had the address that it
// comes from. It needs the same right as a change.
func (c *Client) Explain(ctx context.Context, opts ExplainOptions) (Explanation, error) {
	var e Explanation
	err := c.ask(ctx, http.MethodPost, "/v1/explain", opts, &e)
	return e, err
}

// Top asks who tries most at the moment. It needs the same right as a change.
func (c *Client) Top(ctx context.Context, opts TopOptions) (Top, error) {
	var t Top
	err := c.ask(ctx, http.MethodPost, "/v1/top", opts, &t)
	return t, err
}

// Subscriber asks all there is to know of one. It needs the same right as a change.
func (c *Client) Subscriber(ctx context.Context, opts SubscriberOptions) (Subscriber, error) {
	var s Subscriber
	err := c.ask(ctx, http.MethodPost, "/v1/subscriber", opts, &s)
	return s, err
}

// Report asks for a report, which takes up to a minute. It needs the same right as a
// change.
func (c *Client) Report(ctx context.Context, opts ReportOptions) (report.Report, error) {
	var r report.Report
	err := c.ask(ctx, http.MethodPost, "/v1/report", opts, &r)
	return r, err
}

// Calendar asks what is planned, and what was.
func (c *Client) Calendar(ctx context.Context) (Calendar, error) {
	var cal Calendar
	err := c.ask(ctx, http.MethodGet, "/v1/calendar", nil, &cal)
	return cal, err
}

// Lend makes the gateway send copies of its interfaces' queues to a socket.
func (c *Client) Lend(ctx context.Context, to string) (LendResult, error) {
	var r LendResult
	err := c.ask(ctx, http.MethodPost, "/v1/lend", LendOptions{To: to}, &r)
	return r, err
}

// Yield makes the gateway hand its interfaces to the calling process and end.
func (c *Client) Yield(ctx context.Context) (Handover, error) {
	var h Handover
	err := c.ask(ctx, http.MethodPost, "/v1/yield", struct{}{}, &h)
	return h, err
}

func (c *Client) ask(ctx context.Context, method, path string, body, into any) error {
	req, err := newRequest(ctx, method, path, body)
	if err != nil {
		return err
	}
	code, text, err := c.exchange(ctx, req)
	switch {
	case err != nil:
		return c.unanswered(ctx, err)
	case code != http.StatusOK:
		return refused(code, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return c.strange(err)
	}
	return nil
}

func newRequest(ctx context.Context, method, path string, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	if body == nil {
		text = nil
	}
	// The host is not looked up: the socket is the address.
	req, err := http.NewRequestWithContext(ctx, method, "http://op25b"+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	return req, nil
}

// exchange sends a request and reads the answer.
func (c *Client) exchange(ctx context.Context, req *http.Request) (code int, body []byte, err error) {
	resp, err := c.send(ctx, req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	return resp.StatusCode, body, err
}

// send sends a request and returns the answer, whose body the caller reads until ctx
// ends, and closes. http.Transport would do it with two goroutines and a pool, and its
// error hides that a server hung up.
func (c *Client) send(ctx context.Context, req *http.Request) (*http.Response, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, err
	}
	free := context.AfterFunc(ctx, func() { _ = conn.Close() })
	hangUp := func() {
		free()
		_ = conn.Close()
	}
	if err := req.Write(conn); err != nil {
		hangUp()
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		hangUp()
		return nil, err
	}
	resp.Body = &answerBody{ReadCloser: resp.Body, hangUp: hangUp}
	return resp, nil
}

// answerBody is an answer's body, and the connection that goes with it.
type answerBody struct {
	io.ReadCloser

	hangUp func()
}

// Close hangs up first: closing alone would read on to the answer's end.
func (b *answerBody) Close() error {
	b.hangUp()
	return b.ReadCloser.Close()
}

// strange is an error about an answer that makes no sense.
func (c *Client) strange(err error) error {
	return fmt.Errorf("the answer on %s is not a gateway's: %w", c.path, err)
}

// unanswered says what a request that got no answer ran into.
func (c *Client) unanswered(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("no answer on %s: %w: see the gateway's log", c.path, context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w: nobody listens on %s: start it with: op25b run -c FILE, or name the socket with --socket", ErrNotRunning, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s: run as root, or join the socket's group, which ls -l shows", ErrPermission, c.path)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET),
		errors.Is(err, unix.EPIPE), errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%w: too many ask on %s, or it is ending: try again", ErrBusy, c.path)
	default:
		return fmt.Errorf("ask on %s: %w", c.path, err)
	}
}

// refused turns an answer that is not 200 into an error.
func refused(code int, text []byte) error {
	failure := &Error{Code: code}
	if err := json.Unmarshal(text, failure); err != nil || failure.Message == "" {
		return &Error{Code: code, Message: fmt.Sprintf("the gateway answered %d %s", code, http.StatusText(code))}
	}
	switch code {
	case http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrPermission, failure)
	case http.StatusUnprocessableEntity:
		return &Refusal{Problems: failure.Problems, Fix: failure.Fix}
	default:
		return failure
	}
}
