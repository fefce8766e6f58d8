// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Queue is one descriptor of a multi-queue TUN. One [Lane] reads it; any number
// of goroutines may write to it.
//
// Reads and writes are raw system calls that do not block: they do not tell Go's
// scheduler, which would hand the processor to another thread and back for every
// packet. Only when nothing is there to read does the reader block, in poll, and
// tell. The descriptor itself is a blocking one: that is a property of the open
// file, which a successor reads at the same time, and Go's poller would wake up for
// every packet of one that is not.
type Queue struct {
	fd     int
	shared bool       // fd belongs to wireguard's device, which closes it
	vector unix.Iovec // of the reader

	wakeup  int // eventfd: readable once the queue is interrupted
	closing atomic.Bool
	gone    atomic.Bool // the device was deleted
	closed  sync.Once
}

func newQueue(fd int) (*Queue, error) {
	wakeup, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &Queue{fd: fd, wakeup: wakeup}, nil
}

// read fills frame with the next frame and returns its length, or zero when there
// is none. What does not fit is cut off without an error.
func (q *Queue) read(frame []byte) (int, error) {
	const here = ^uintptr(0) // offset of a file that has none
	q.vector.Base = unsafe.SliceData(frame)
	q.vector.SetLen(len(frame))
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(q.fd),
			uintptr(unsafe.Pointer(&q.vector)), 1, here, here, unix.RWF_NOWAIT)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, readError(errno)
		}
	}
}

// wait blocks until the queue is readable or interrupted.
func (q *Queue) wait() error {
	fds := [2]unix.PollFd{
		{Fd: int32(q.fd), Events: unix.POLLIN},     //nolint:gosec // a descriptor
		{Fd: int32(q.wakeup), Events: unix.POLLIN}, //nolint:gosec // a descriptor
	}
	_, err := unix.Poll(fds[:], -1)
	switch {
	case err != nil && !errors.Is(err, unix.EINTR):
		return fmt.Errorf("wait for a frame: %w", err)
	case fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0:
		return ErrGone
	default:
		return nil
	}
}

// readable reports whether a frame waits.
func (q *Queue) readable() bool {
	fds := [1]unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	n, err := unix.Poll(fds[:], 0)
	return n > 0 && err == nil && fds[0].Revents&unix.POLLIN != 0
}

// Write sends one frame. It does not block: a frame that the kernel has no room
// for is lost, and the error says so (unix.EAGAIN, unix.ENOBUFS). ErrLinkDown
// and ErrGone stand for a state of the interface; any other error is about this
// frame alone. In no case should the caller stop for good.
func (q *Queue) Write(frame []byte) error {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(q.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(frame))), uintptr(len(frame)))
		switch errno {
		case 0:
			if int(n) != len(frame) {
				return fmt.Errorf("write frame: %d of %d octets taken", n, len(frame))
			}
			return nil
		case unix.EINTR:
		default:
			return writeError(errno)
		}
	}
}

// readError and writeError name the states of the interface that the kernel
// reports as an errno.
func readError(errno syscall.Errno) error {
	if errno == unix.EBADFD {
		return ErrGone
	}
	return fmt.Errorf("read frame: %w", errno)
}

func writeError(errno syscall.Errno) error {
	switch errno {
	case unix.EIO:
		return ErrLinkDown
	case unix.EBADFD:
		return ErrGone
	default:
		return errno
	}
}

// deleted reports whether somebody has deleted the device.
func (q *Queue) deleted() bool {
	fds := [1]unix.PollFd{{Fd: int32(q.fd)}} //nolint:gosec // a descriptor
	n, err := unix.Poll(fds[:], 0)
	return n > 0 && err == nil && fds[0].Revents&unix.POLLERR != 0
}

// end is what a reader returns that was woken.
func (q *Queue) end() error {
	if q.gone.Load() {
		return ErrGone
	}
	return ErrClosed
}

// wake makes the reader return, see end.
func (q *Queue) wake() {
	q.closing.Store(true)
	one := [8]byte{0: 1}
	_, _ = unix.Write(q.wakeup, one[:]) // fails only when the counter is full: awake already
}

// close releases the descriptors. The reader must have been woken before.
func (q *Queue) close() error {
	var err error
	q.closed.Do(func() {
		err = unix.Close(q.wakeup)
		if !q.shared {
			err = errors.Join(err, unix.Close(q.fd))
		}
	})
	return err
}
