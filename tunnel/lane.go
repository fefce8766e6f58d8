// SPDX-License-Identifier: Apache-2.0

package tunnel

import "time"

// LaneOptions say how a Lane gets its frames.
type LaneOptions struct {
	// Batch reads and writes many frames at once, by io_uring; see [CanBatch].
	// Where that fails after all, and without it, each takes a system call.
	Batch bool
	// BusyPoll is how long, at most, a worker looks for the next frame before it
	// sleeps; 0: it sleeps at once. See [spinner].
	BusyPoll time.Duration
}

// Lane takes frames from a queue of one port to a queue of the other. All its
// methods but Answer and Pending belong to one goroutine, which is locked to its thread from
// before the first Read.
type Lane struct {
	in, out *Queue
	opts    LaneOptions

	begun bool
	burst *burst // nil: a system call for each frame
	frame [FrameSize]byte
	spin  spinner

	lost uint64
	why  error
}

// FrameSize is the length of the largest frame: a header and 64 KiB of IP packet.
const FrameSize = HeaderSize + 65535

// NewLane makes a lane. The queues stay their ports'.
func NewLane(in, out *Queue, opts LaneOptions) *Lane {
	return &Lane{in: in, out: out, opts: opts, spin: spinner{most: opts.BusyPoll}}
}

// Read returns the next frame, a virtio_net_hdr and an IP packet. It blocks until
// there is one. The buffer is the caller's to change, until the next Read. It
// returns ErrClosed once the port is interrupted and ErrGone when the device was
// deleted.
func (l *Lane) Read() ([]byte, error) {
	if !l.begun {
		l.begin()
	}
	if l.burst != nil {
		return l.burst.read(l)
	}
	return l.readOne()
}

// begin runs on the thread that reads: an io_uring belongs to one.
func (l *Lane) begin() {
	l.begun = true
	if !l.opts.Batch {
		return
	}
	if b, err := newBurst(l.in, l.out); err == nil {
		l.burst = b
	}
}

func (l *Lane) readOne() ([]byte, error) {
	for !l.in.closing.Load() {
		n, err := l.in.read(l.frame[:])
		if n > 0 || err != nil {
			return l.frame[:n], err
		}
		err = l.spin.wait(func() bool {
			n, err = l.in.read(l.frame[:])
			return n > 0 || err != nil
		}, l.in.wait)
		if n > 0 || err != nil {
			return l.frame[:n], err
		}
	}
	return nil, l.in.end()
}

// Forward sends the frame that Read returned last, changed in place or cut
// short, to the other port. It is on its way when Read is called again, and Lost
// tells whether it was lost.
func (l *Lane) Forward(frame []byte) {
	if l.burst != nil {
		l.burst.forward(frame)
		return
	}
	if err := l.out.Write(frame); err != nil {
		l.lose(err)
	}
}

func (l *Lane) lose(err error) {
	l.lost++
	l.why = err
}

// Lost returns how many frames the kernel has not taken since the last call, and
// why it did not take the last of them; see [Queue.Write] for the errors.
func (l *Lane) Lost() (frames uint64, why error) {
	frames, why = l.lost, l.why
	l.lost, l.why = 0, nil
	return frames, why
}

// Answer sends a frame back to the port that frames are read from, as
// [Queue.Write] does. Any goroutine may call it.
func (l *Lane) Answer(frame []byte) error { return l.in.Write(frame) }

// Pending reports whether frames wait to be read. Any goroutine may call it while
// the port is open.
func (l *Lane) Pending() bool { return l.in.readable() }

// Close gives back what Read took for itself. The queues stay open.
func (l *Lane) Close() error {
	if l.burst == nil {
		return nil
	}
	return l.burst.close()
}
