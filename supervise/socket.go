// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// mostText is the longest datagram taken, in octets, as in systemd.
	mostText = 4096
	// mostPassed is how many descriptors the kernel passes with one datagram
	// (SCM_MAX_FD).
	mostPassed = 253
	// burst is how many datagrams are read before everything else gets its turn:
	// more than a queue holds (net.unix.max_dgram_qlen, usually 10 to 512).
	burst = 1024
)

// socket is where the program's messages come in.
type socket struct {
	fd      int
	address string // for NOTIFY_SOCKET
	text    [mostText]byte
	extra   []byte
}

// datagram is one of them. Whoever receives it closes its descriptors.
type datagram struct {
	text        string
	sender      unix.Ucred // as the kernel saw it
	descriptors []int
	broken      error // it did not come in whole
}

// listen opens a socket with an address of its own. It is an abstract one: there
// is no directory that has to be writable, nothing stays behind after a kill -9,
// and it is found from every mount namespace, though from this network namespace
// only. What it gives up is a mode: anyone here can send to it, so senders are
// judged one by one.
func listen() (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make the notify socket: %w", err)
	}
	s := &socket{
		fd:      fd,
		address: fmt.Sprintf("@op25b-supervise-%d-%s", os.Getpid(), rand.Text()),
		extra:   make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*mostPassed)),
	}
	// Before bind: what is sent earlier would come without credentials.
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: s.address})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the notify socket: %w", err)
	}
	return s, nil
}

// receive returns the next datagram; ok is false where none is waiting.
func (s *socket) receive() (d datagram, ok bool, err error) {
	n, extra, flags, _, err := unix.Recvmsg(s.fd, s.text[:], s.extra, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return d, false, nil
	case err != nil:
		return d, false, fmt.Errorf("read the notify socket: %w", err)
	}
	d.text = string(s.text[:n])
	d.broken = d.unpack(s.extra[:extra])
	if d.broken == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		d.broken = errors.New("it is too long")
	}
	return d, true, nil
}

// unpack takes the sender and the descriptors out of what came beside the text.
func (d *datagram) unpack(extra []byte) error {
	messages, err := unix.ParseSocketControlMessage(extra)
	if err != nil {
		return fmt.Errorf("parse what came with it: %w", err)
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.SCM_RIGHTS:
			fds, err := unix.ParseUnixRights(&m)
			if err != nil {
				return fmt.Errorf("parse its descriptors: %w", err)
			}
			d.descriptors = append(d.descriptors, fds...)
		case unix.SCM_CREDENTIALS:
			cred, err := unix.ParseUnixCredentials(&m)
			if err != nil {
				return fmt.Errorf("parse its sender: %w", err)
			}
			d.sender = *cred
		}
	}
	return nil
}

// closeDescriptors closes those that nobody took.
func (d *datagram) closeDescriptors() {
	for _, fd := range d.descriptors {
		_ = unix.Close(fd)
	}
}

func (s *socket) close() { _ = unix.Close(s.fd) }
