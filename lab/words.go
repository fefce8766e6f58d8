// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// inWords says what an error of a connection means to somebody who does not
// write programs.
func inWords(err error) string {
	var answer *smtp.SMTPError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(syscall.ECONNREFUSED):
		return "connection refused"
	case is(syscall.ECONNRESET), is(syscall.EPIPE):
		return "connection reset"
	case is(syscall.EHOSTUNREACH):
		return "host unreachable"
	case is(syscall.ENETUNREACH):
		return "network unreachable"
	case is(syscall.EACCES), is(syscall.EPERM):
		return "communication prohibited"
	case is(context.DeadlineExceeded), is(os.ErrDeadlineExceeded), is(syscall.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case is(io.EOF), is(io.ErrUnexpectedEOF):
		return "connection closed by the server"
	case errors.As(err, &answer):
		return fmt.Sprintf("server said %d %s", answer.Code, answer.Message)
	case errors.As(err, &certificate):
		return "server's certificate not trusted"
	default:
		return err.Error()
	}
}

// inMilliseconds writes a duration as a reader of a log compares it, with two
// digits that matter.
func inMilliseconds(d time.Duration) string {
	ms := milliseconds(d)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// milliseconds keeps three digits after the point.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
