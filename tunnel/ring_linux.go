// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring (io_uring(7)): a queue of requests and one of completions
// in memory that the kernel shares, so that one system call does what is in the
// first and fills the second. It belongs to the thread that made it.
type ring struct {
	fd int

	requests  []request
	submitted *uint32 // tail of the request queue
	pending   uint32  // requests that the kernel has not been told of
	flags     *uint32

	completions []completion
	taken       *uint32 // head of the completion queue
	completed   *uint32 // its tail

	memory [][]byte // mapped
}

// request is struct io_uring_sqe.
type request struct {
	opcode, flags uint8
	_             uint16 // ioprio
	fd            int32
	offset        uint64
	address       uint64
	length        uint32
	opFlags       uint32
	id            uint64 // user_data
	bufferGroup   uint16
	_             [3]uint16
	_             [2]uint64
}

// completion is struct io_uring_cqe.
type completion struct {
	id     uint64
	result int32 // or the negative errno
	flags  uint32
}

// From linux/io_uring.h.
const (
	opPollAdd       = 6
	opAsyncCancel   = 14
	opWrite         = 23
	opReadMultishot = 49 // Linux 6.7

	requestBufferSelect = 1 << 5

	completionMore        = 1 << 1 // the request is still in force
	completionBufferShift = 16

	setupTaskrunFlag  = 1 << 9
	setupSingleIssuer = 1 << 12 // Linux 6.0
	setupDeferTaskrun = 1 << 13 // Linux 6.1
	setupNoArray      = 1 << 16 // Linux 6.6

	enterGetEvents = 1 << 0

	flagTaskrun = 1 << 2

	offsetRings    = 0
	offsetRequests = 0x10000000

	registerBufferRing = 22
)

// ringParams is struct io_uring_params.
type ringParams struct {
	requests, completions uint32
	flags                 uint32
	_                     [4]uint32
	_                     [3]uint32
	request               struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	completion struct {
		head, tail, mask, entries, overflow, entriesAt, flags, _ uint32
		_                                                        uint64
	}
}

// newRing makes a ring for so many requests, a power of two, and twice as many
// completions.
func newRing(requests uint32) (*ring, error) {
	params := ringParams{flags: setupTaskrunFlag | setupSingleIssuer | setupDeferTaskrun | setupNoArray}
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, uintptr(requests), uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("set up io_uring: %w", errno)
	}
	r := &ring{fd: int(fd)}
	if err := r.share(&params); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// share maps the memory of both queues.
func (r *ring) share(p *ringParams) error {
	size := p.completion.entriesAt + p.completions*uint32(unsafe.Sizeof(completion{}))
	rings, err := r.mapped(offsetRings, int(size))
	if err != nil {
		return err
	}
	requests, err := r.mapped(offsetRequests, int(p.requests)*int(unsafe.Sizeof(request{})))
	if err != nil {
		return err
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[at])) }
	r.requests = unsafe.Slice((*request)(unsafe.Pointer(&requests[0])), p.requests)
	r.submitted, r.flags = word(p.request.tail), word(p.request.flags)
	r.completions = unsafe.Slice((*completion)(unsafe.Pointer(&rings[p.completion.entriesAt])), p.completions)
	r.taken, r.completed = word(p.completion.head), word(p.completion.tail)
	return nil
}

func (r *ring) mapped(offset int64, size int) ([]byte, error) {
	m, err := unix.Mmap(r.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map io_uring: %w", err)
	}
	r.memory = append(r.memory, m)
	return m, nil
}

// push adds a request, which goes to the kernel with the next enter. The caller
// sees to it that there are never more than the ring was made for.
func (r *ring) push(q request) {
	tail := *r.submitted
	r.requests[tail&uint32(len(r.requests)-1)] = q //nolint:gosec // small
	atomic.StoreUint32(r.submitted, tail+1)
	r.pending++
}

// next takes a completion, if there is one.
func (r *ring) next() (completion, bool) {
	head := *r.taken
	if head == atomic.LoadUint32(r.completed) {
		return completion{}, false
	}
	c := r.completions[head&uint32(len(r.completions)-1)] //nolint:gosec // small
	atomic.StoreUint32(r.taken, head+1)
	return c, true
}

// ready reports whether enter has something to do or next something to take.
func (r *ring) ready() bool {
	return r.pending > 0 || *r.taken != atomic.LoadUint32(r.completed) || atomic.LoadUint32(r.flags)&flagTaskrun != 0
}

// enter hands the requests over and lets the kernel complete what it can. It
// returns at once, or blocks until there are completions.
func (r *ring) enter(block bool) error {
	var n uintptr
	var errno syscall.Errno
	if block {
		n, _, errno = syscall.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.pending), 1, enterGetEvents, 0, 0)
	} else {
		n, _, errno = syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.pending), 0, enterGetEvents, 0, 0)
	}
	switch errno {
	case 0:
		r.pending -= uint32(n) //nolint:gosec // at most pending
	case unix.EINTR, unix.EAGAIN, unix.EBUSY: // the caller comes again
	default:
		return os.NewSyscallError("io_uring_enter", errno)
	}
	return nil
}

// register hands the kernel a description of something that requests refer to.
func (r *ring) register(what uintptr, description unsafe.Pointer, entries int) error {
	_, _, errno := syscall.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), what, uintptr(description), uintptr(entries), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("io_uring_register", errno)
	}
	return nil
}

// close may be called by any thread, once the ring's own is done with it.
func (r *ring) close() error {
	errs := []error{unix.Close(r.fd)}
	for _, m := range r.memory {
		errs = append(errs, unix.Munmap(m))
	}
	return errors.Join(errs...)
}
