// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options are what [Open] and [Start] need to know.
type Options struct {
	// Path is the file. Its directory has to be there.
	Path string
	// Retention is how long what is over is kept; zero: for ever.
	Retention time.Duration
	// SeenEvery is how much a holding's Seen may lag behind: a renewal that comes
	// sooner after the last one written is not written. Zero: 10 minutes. A large
	// network with short leases writes little else.
	SeenEvery time.Duration
	// Queue is how many leases may wait to be written; zero: 262144, some 30 MB.
	Queue int
	// Records is how many records may wait to be written; zero: 131072, some 30 MB if
	// few name many destinations, and 250 MB if all do.
	Records int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	Log *zap.Logger
}

// Journal is history that is being written.
type Journal struct {
	opts   Options
	log    *zap.Logger
	now    func() time.Time
	queue  *queue
	asked  chan func(*writer)
	reader atomic.Pointer[Reader] // nil while there is no file
	mark   atomic.Int64           // the highest, in milliseconds; 0: none

	close      sync.Once
	stop, done chan struct{}

	mu    sync.Mutex // for those below
	err   error      // of the last attempt to write
	since time.Time
	// How many records the file had when the writer last looked, and since when.
	records int64
	oldest  time.Time
}

// Open opens the journal at a path, or begins one. A damaged file is set aside
// under another name, and a new one begun. An error says what is wrong and what to
// type.
func Open(opts Options) (*Journal, error) {
	j, w, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	if err := w.write(true); err != nil {
		w.end()
		return nil, err
	}
	go w.run()
	return j, nil
}

// Start is Open for a gateway that goes on without: a file that cannot be opened
// is tried again every second, and meanwhile [Journal.Health] has the error. What
// is told waits. An error is only for options that make no sense.
func Start(opts Options) (*Journal, error) {
	j, w, err := newJournal(opts)
	if err != nil {
		return nil, err
	}
	_ = w.write(true) // reported
	go w.run()
	return j, nil
}

func newJournal(opts Options) (*Journal, *writer, error) {
	const room, recordRoom, seenEvery = 1 << 18, 1 << 17, 10 * time.Minute
	switch {
	case opts.Path == "":
		return nil, nil, errors.New("the journal has no path")
	case opts.Retention < 0 || opts.SeenEvery < 0 || opts.Queue < 0 || opts.Records < 0:
		return nil, nil, fmt.Errorf("the journal's retention %v, lag %v or queues %d and %d are less than nothing",
			opts.Retention, opts.SeenEvery, opts.Queue, opts.Records)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.SeenEvery == 0 {
		opts.SeenEvery = seenEvery
	}
	if opts.Queue == 0 {
		opts.Queue = room
	}
	if opts.Records == 0 {
		opts.Records = recordRoom
	}
	j := &Journal{
		opts: opts, log: opts.Log, now: opts.Now,
		queue: newQueue(opts.Queue, opts.Records),
		asked: make(chan func(*writer)),
		stop:  make(chan struct{}), done: make(chan struct{}),
	}
	return j, &writer{j: j, draft: drafter{run: newRun()}}, nil
}

// Close writes what waits, tries no more than once, and ends. It may be called
// twice.
func (j *Journal) Close() error {
	j.close.Do(func() { close(j.stop) })
	<-j.done
	return nil
}

// Flush waits until what was told before it is written, or could not be. Without
// an error it survives whatever ends this process. Who has a million leases to
// tell at once calls it every hundred thousand, so that none is lost.
func (j *Journal) Flush(ctx context.Context) error {
	return j.ask(ctx, func(w *writer) error { return w.write(true) })
}

// ask has the writer do something.
func (j *Journal) ask(ctx context.Context, do func(*writer) error) error {
	answer := make(chan error, 1)
	select {
	case j.asked <- func(w *writer) { answer <- do(w) }:
	case <-j.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// problem is why nothing can be written; nil if it can.
func (j *Journal) problem() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Holding is that somebody had a prefix.
type Holding struct {
	Prefix netip.Prefix
	// Holder is a hardware address, a DUID or a user name.
	Holder   string
	Hostname string
	// Source says who told.
	Source string
	// From is when it began. To is when it ended, zero if it goes on.
	From, To time.Time
	// Seen is when it was last confirmed, give or take Options.SeenEvery.
	Seen time.Time
}

// longest is of names, in octets. Some are the subscribers' to choose.
const longest = 255

// Hold says that somebody has a prefix. If the source said so before, that is
// now confirmed; if it said somebody else, that ends. From zero is Seen, and Seen
// zero is now; neither is taken to be later than now. To is not looked at.
//
// It does not wait. What there is no room for is lost and counted, as is a prefix
// that is not valid.
func (j *Journal) Hold(h Holding) {
	if !h.Prefix.IsValid() {
		j.queue.lose()
		return
	}
	seen := j.moment(h.Seen)
	at := seen
	if !h.From.IsZero() {
		at = j.moment(h.From)
	}
	j.queue.push(event{
		kind: held, prefix: plainPrefix(h.Prefix), at: at, seen: seen,
		holder: short(h.Holder), hostname: short(h.Hostname), source: short(h.Source),
	})
}

// Release says that nobody has a prefix any more, as far as a source knows. At
// zero is now. It does not wait, as Hold.
func (j *Journal) Release(prefix netip.Prefix, source string, at time.Time) {
	if !prefix.IsValid() {
		j.queue.lose()
		return
	}
	j.queue.push(event{kind: released, prefix: plainPrefix(prefix), source: short(source), at: j.moment(at)})
}

// ReleaseAll is Release for all that a source has.
func (j *Journal) ReleaseAll(source string, at time.Time) {
	j.queue.push(event{kind: allReleased, source: short(source), at: j.moment(at)})
}

// moment is at in milliseconds, or now if that is zero or to come: a source whose
// clock is fast must not keep a prefix for a future of its own.
func (j *Journal) moment(at time.Time) int64 {
	now := j.now()
	if at.IsZero() || at.After(now) {
		at = now
	}
	return at.UnixMilli()
}

func short(s string) string { return s[:min(len(s), longest)] }

// AddGeneration says that a policy is in force. It does not wait. The document is
// the journal's from then on, and must not be changed; one of more than 64 MiB is
// lost.
func (j *Journal) AddGeneration(g Generation) {
	if len(g.Document) > largestDocument {
		j.queue.lose()
		return
	}
	if g.Time.IsZero() {
		g.Time = j.now()
	}
	j.queue.push(event{kind: generated, generation: &g})
}

// HolderAt is [Reader.HolderAt], of all that is written.
func (j *Journal) HolderAt(ctx context.Context, addr netip.Addr, t time.Time) ([]Holding, error) {
	r, err := j.open()
	if err != nil {
		return nil, err
	}
	return r.HolderAt(ctx, addr, t)
}

// GenerationAt is [Reader.GenerationAt], of all that is written.
func (j *Journal) GenerationAt(ctx context.Context, t time.Time) (Generation, bool, error) {
	r, err := j.open()
	if err != nil {
		return Generation{}, false, err
	}
	return r.GenerationAt(ctx, t)
}

func (j *Journal) open() (*Reader, error) {
	if r := j.reader.Load(); r != nil {
		return r, nil
	}
	if err := j.problem(); err != nil {
		return nil, err
	}
	return nil, ErrClosed
}
