// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by a queue whose Port was closed. Stop reading.
var ErrClosed = fmt.Errorf("port is closed: %w", os.ErrClosed)

// ErrGone is returned by a queue whose TUN device was deleted by someone else.
// The Port is useless; close it and open another.
var ErrGone = fmt.Errorf("the TUN device was deleted: %w: %w", unix.EBADFD, io.EOF)

// ErrLinkDown is returned by Write while the TUN interface is down. The frame is
// lost; [Host] brings the link up again.
var ErrLinkDown = fmt.Errorf("the TUN link is down: %w", unix.EIO)

// Hint is an error with what the operator can do about it.
type Hint struct {
	Err error
	// Fix is what to type or to change, without a full stop.
	Fix string
}

// Error returns the error and its fix on one line.
func (h *Hint) Error() string { return h.Err.Error() + ": " + h.Fix }

// Unwrap returns the error without the fix.
func (h *Hint) Unwrap() error { return h.Err }
