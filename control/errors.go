// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrRunning is returned by [Listen] and [Server.Publish] where a process
// listens on the path already. Stop that one first, or be its successor.
var ErrRunning = errors.New("a gateway is running")

// ErrNotRunning is returned by a [Client] where nobody listens. Start a gateway,
// or name another socket.
var ErrNotRunning = errors.New("no gateway is running")

// ErrPermission is returned by a [Client] that may not open the socket or not
// ask for what it asked. Become somebody who may.
var ErrPermission = fmt.Errorf("no permission: %w", fs.ErrPermission)

// ErrBusy is returned by a [Client] whose connection was closed without an
// answer: too many are open, or the gateway is ending. Try again.
var ErrBusy = errors.New("the gateway hung up")

// ErrEnded is returned by [Client.Tail] when the gateway has ended, or made way for a
// successor. Ask again, if there is one.
var ErrEnded = errors.New("the gateway has ended")

// Error is the JSON document of a request that failed, and a client's error
// where no other says it better.
type Error struct {
	// Code is the HTTP status.
	Code int `json:"-"`
	// Message is one sentence without a full stop.
	Message  string   `json:"error"`
	Problems []string `json:"problems"`
	// Fix is what to do; may be empty.
	Fix string `json:"fix"`
}

// Error returns the message and its fix on one line.
func (e *Error) Error() string {
	if e.Fix == "" {
		return e.Message
	}
	return e.Message + ": " + e.Fix
}
