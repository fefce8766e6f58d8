// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// burst reads and writes frames by io_uring: one request stays in force and
// fills buffer after buffer as long as frames are there, and what is to be
// written is handed over all together with the question for more. Where a
// system call costs a microsecond, that is half of the price of a small packet.
// Frames keep their order: there is one read in force, and writes are done as
// they are handed over.
type burst struct {
	ring    *ring
	in, out *Queue

	frames  []byte // all buffers, one behind the other
	buffers []byte // struct io_uring_buf for each, shared with the kernel
	offered uint16 // tail of buffers
	current int    // buffer of the frame that read returned last; -1: none
	reading bool   // the read is in force
	closing bool   // interrupted: what was read is handed out still
}

const (
	// burstFrames is how many frames are on their way at once. Small packets gain
	// from more; large ones lose when the buffers do not fit the processor's cache.
	burstFrames = 16

	// frameStride is FrameSize, rounded up to whole cache lines.
	frameStride = (FrameSize + 63) &^ 63

	// Requests by id; a write has its buffer's number.
	idRead   = 1 << 32
	idWakeup = 1 << 33
	idCancel = 1 << 34

	bufferGroup = 1
	bufferSize  = 16 // octets of struct io_uring_buf
)

// CanBatch returns why frames cannot be read and written many at once here, or nil
// if they can.
func CanBatch() error {
	runtime.LockOSThread() // the ring is this thread's
	defer runtime.UnlockOSThread()
	q, err := newQueue(-1)
	if err != nil {
		return err
	}
	b, err := newBurst(q, q)
	if err != nil {
		return errors.Join(err, unix.Close(q.wakeup))
	}
	// The kernel does not say which requests it knows but by doing one.
	b.ring.push(b.readRequest())
	for err == nil {
		err = b.ring.enter(true)
		c, ok := b.ring.next()
		if !ok {
			continue
		}
		if errno := syscall.Errno(-c.result); errno != unix.EBADF { //nolint:gosec // an errno
			err = fmt.Errorf("read by io_uring: %w", errno)
		}
		break
	}
	return errors.Join(err, b.close(), unix.Close(q.wakeup))
}

// newBurst fails where the kernel has no io_uring that can do this (Linux 6.7), or
// forbids it (kernel.io_uring_disabled, seccomp).
func newBurst(in, out *Queue) (*burst, error) {
	r, err := newRing(2 * burstFrames)
	if err != nil {
		return nil, err
	}
	b := &burst{ring: r, in: in, out: out, current: -1}
	if err := b.offerAll(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	r.push(request{opcode: opPollAdd, fd: int32(in.wakeup), opFlags: unix.POLLIN, id: idWakeup}) //nolint:gosec // a descriptor
	return b, nil
}

// offerAll maps the buffers and tells the kernel of them.
func (b *burst) offerAll() error {
	var err error
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if b.frames, err = unix.Mmap(-1, 0, burstFrames*frameStride, prot, flags); err != nil {
		return fmt.Errorf("map frames: %w", err)
	}
	if b.buffers, err = unix.Mmap(-1, 0, burstFrames*bufferSize, prot, flags); err != nil {
		return fmt.Errorf("map buffers: %w", err)
	}
	// struct io_uring_buf_reg
	description := struct {
		address uint64
		entries uint32
		group   uint16
		_       uint16
		_       [3]uint64
	}{address: addressOf(b.buffers), entries: burstFrames, group: bufferGroup}
	if err := b.ring.register(registerBufferRing, unsafe.Pointer(&description), 1); err != nil {
		return err
	}
	for i := range burstFrames {
		b.offer(i)
	}
	return nil
}

func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

// offer lets the kernel fill a buffer. The tail of the ring of buffers lies where
// the first of them has its reserved field.
func (b *burst) offer(i int) {
	at := unsafe.Pointer(&b.buffers[int(b.offered%burstFrames)*bufferSize])
	*(*uint64)(at) = addressOf(b.frame(i))
	*(*uint32)(unsafe.Add(at, 8)) = frameStride
	*(*uint16)(unsafe.Add(at, 12)) = uint16(i) //nolint:gosec // small
	b.offered++
	// The kernel reads the tail in a system call of this thread, so that a plain
	// store is early enough.
	*(*uint16)(unsafe.Pointer(&b.buffers[14])) = b.offered
}

func (b *burst) frame(i int) []byte { return b.frames[i*frameStride:][:frameStride] }

// read returns the next frame.
func (b *burst) read(l *Lane) ([]byte, error) {
	if b.current >= 0 {
		b.offer(b.current)
		b.current = -1
	}
	for {
		c, ok := b.ring.next()
		if !ok {
			if b.closing && !b.reading && b.ring.pending == 0 {
				return nil, b.in.end()
			}
			if err := b.turn(&l.spin); err != nil {
				return nil, err
			}
			continue
		}
		switch c.id {
		case idRead:
			b.reading = c.flags&completionMore != 0
			if c.result > 0 {
				b.current = int(c.flags >> completionBufferShift)
				return b.frame(b.current)[:c.result], nil
			}
			if err := readResult(c.result); err != nil {
				return nil, err
			}
		case idWakeup:
			b.closing = true
			b.ring.push(request{opcode: opAsyncCancel, fd: -1, address: idRead, id: idCancel})
		case idCancel:
		default:
			if c.result < 0 {
				l.lose(writeError(syscall.Errno(-c.result)))
			}
			b.offer(int(c.id)) //nolint:gosec // a buffer's number
		}
	}
}

// readResult tells what ends a read for good from what does not: all buffers were
// in use, or it was called off.
func readResult(result int32) error {
	switch errno := syscall.Errno(-result); errno {
	case 0, unix.ENOBUFS, unix.ECANCELED, unix.EINTR, unix.EAGAIN:
		return nil
	default:
		return readError(errno)
	}
}

// turn hands everything to the kernel and waits for the next completion.
func (b *burst) turn(s *spinner) error {
	if !b.reading && !b.closing {
		b.ring.push(b.readRequest())
		b.reading = true
	}
	if b.ring.ready() {
		return b.ring.enter(false)
	}
	return s.wait(b.ring.ready, func() error { return b.ring.enter(true) })
}

func (b *burst) readRequest() request {
	return request{
		opcode: opReadMultishot, flags: requestBufferSelect, fd: int32(b.in.fd), //nolint:gosec // a descriptor
		bufferGroup: bufferGroup, id: idRead,
	}
}

// forward writes the frame that read returned last with the next turn.
func (b *burst) forward(frame []byte) {
	b.ring.push(request{
		opcode: opWrite, fd: int32(b.out.fd), offset: ^uint64(0), //nolint:gosec // a descriptor
		address: addressOf(frame), length: uint32(len(frame)), id: uint64(b.current), //nolint:gosec // small
	})
	b.current = -1
}

func (b *burst) close() error {
	errs := []error{b.ring.close()}
	for _, m := range [][]byte{b.frames, b.buffers} {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
	}
	return errors.Join(errs...)
}
