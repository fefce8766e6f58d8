// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Tail calls each for every attempt as it comes, and returns nil when ctx has ended,
// what each returns if that is an error, and ErrEnded when the gateway has ended. An
// each that takes long makes the gateway count attempts as missed, and then hang up. It
// needs the same right as a change.
func (c *Client) Tail(ctx context.Context, opts TailOptions, each func(TailEvent) error) error {
	body, err := c.open(ctx, "/v1/tail", opts)
	if err == nil {
		defer body.Close()
		var enough bool
		if enough, err = c.lines(body, each); enough {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// lines reads attempts to the end. It reports whether it was each that had enough.
func (c *Client) lines(body io.Reader, each func(TailEvent) error) (enough bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 { // says that the gateway is still there
			continue
		}
		var e TailEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return false, c.strange(err)
		}
		if err := each(e); err != nil {
			return true, err
		}
	}
	switch err := lines.Err(); {
	case err == nil:
		return false, fmt.Errorf("%w on %s, or has made way for another: ask again", ErrEnded, c.path)
	case errors.Is(err, bufio.ErrTooLong):
		return false, c.strange(err)
	default:
		return false, c.cutOff(err)
	}
}

// Diag writes a zip archive to w with what support needs to find a fault. After an
// error, what w has got is not the whole. It needs the same right as a change.
func (c *Client) Diag(ctx context.Context, opts DiagOptions, w io.Writer) error {
	body, err := c.open(ctx, "/v1/diag", opts)
	if err != nil {
		return err
	}
	defer body.Close()
	from := &watched{r: body}
	_, err = io.Copy(w, from)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return c.unanswered(ctx, err)
	case from.err != nil:
		return c.cutOff(from.err)
	default:
		return fmt.Errorf("write the bundle: %w", err)
	}
}

// open asks for an answer that is read as it comes. The caller closes it.
func (c *Client) open(ctx context.Context, path string, opts any) (io.ReadCloser, error) {
	req, err := newRequest(ctx, http.MethodPost, path, opts)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, req)
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	return nil, refused(resp.StatusCode, text)
}

// cutOff says that an answer has no end.
func (c *Client) cutOff(err error) error {
	return fmt.Errorf("the answer on %s was cut off: it was read too slowly, or the gateway failed: see the gateway's log: %w", c.path, err)
}

// watched tells what goes wrong with reading from what goes wrong with writing.
type watched struct {
	r   io.Reader
	err error // but for the end
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
