// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// File is a source that follows a DHCP server's lease file. It looks every two
// seconds whether the file is another one or has changed; inotify would not tell
// of a file on a network file system, nor of one that is not there yet.
type File struct {
	name, path string
	format     format
	poll       time.Duration
	settled    time.Duration // for how long it must not have changed
	now        func() time.Time

	parser  parser    // nil: nothing was read yet
	seen    fileState // before it was read last
	offset  int64     // where the line begins that comes next
	number  int       // of the line before it
	print   fingerprint
	missing time.Time // since when the file is not there; zero: it is

	refused fileState // what was not believed, so that it is not read again
	refusal error     // why
}

// format is one kind of lease file.
type format struct {
	newParser func() parser
	// grows: news is written to the end, and the whole is replaced by another file.
	// Otherwise all of it is written anew in place each time.
	grows bool
	// older returns the files that are read before the one with the given path.
	older func(path string) []string
}

const (
	pollEvery = 2 * time.Second
	// settled is for how long a file that is written in place must not have changed
	// before it is read.
	settled = 200 * time.Millisecond
	// attempts is how often that is tried before the next poll.
	attempts = 5
	// absence is for how long a file may be away without a word: some servers take
	// the old one away before the new one is there.
	absence = 10 * time.Second
)

var (
	errNoNews = errors.New("nothing is known yet")
	errMoved  = errors.New("the file changes all the time while it is read")
	errCut    = fmt.Errorf("the last line of the file is cut off: is the disk full? (%w)", errMoved)
	errHalf   = errors.New("the file is empty, though its server writes a first line into each: is the disk full?")
)

// NewDnsmasq returns a source that reads dnsmasq's dhcp-leasefile.
func NewDnsmasq(name, path string) *File {
	return newFile(name, path, format{newParser: func() parser { return &dnsmasq{} }})
}

// NewISC returns a source that reads ISC dhcpd's dhcpd.leases, that of IPv4 or that
// of IPv6.
func NewISC(name, path string) *File {
	return newFile(name, path, format{newParser: func() parser { return &isc{} }, grows: true})
}

// NewKea returns a source that reads the file of Kea's memfile, that of IPv4 or
// that of IPv6, with what its cleanup leaves beside it.
func NewKea(name, path string) *File {
	return newFile(name, path, format{newParser: func() parser { return &kea{} }, grows: true, older: olderKea})
}

// olderKea returns what Kea itself reads before its file: what the cleanup has
// completed, or else the result of the one before and what it works on.
func olderKea(path string) []string {
	completed := path + ".completed"
	if _, err := os.Lstat(completed); err == nil {
		return []string{completed}
	}
	return []string{path + ".2", path + ".1"}
}

func newFile(name, path string, f format) *File {
	if f.older == nil {
		f.older = func(string) []string { return nil }
	}
	return &File{name: name, path: path, format: f, poll: pollEvery, settled: settled, now: time.Now}
}

// Name returns the source's name.
func (f *File) Name() string { return f.name }

// Run follows the file until the context ends.
func (f *File) Run(ctx context.Context, to Sink) error {
	for {
		if err := f.look(ctx, to); !errors.Is(err, errNoNews) && ctx.Err() == nil {
			to.Asked(f.name, f.now(), err)
		}
		if !pause(ctx, f.poll) {
			return ctx.Err()
		}
	}
}

// look reads what is new.
func (f *File) look(ctx context.Context, to Sink) error {
	state, err := stateOf(f.path)
	if err != nil {
		return f.unreadable(err)
	}
	f.missing = time.Time{}
	if f.parser != nil && state.equal(f.seen) {
		return nil
	}
	if f.refusal != nil && state.equal(f.refused) {
		return f.refusal
	}
	if f.parser != nil && f.format.grows && state.sameFile(f.seen) && state.info.Size() >= f.offset {
		if same, err := f.readOn(ctx, state, to); same || err != nil {
			return err
		}
	}
	return f.readAll(ctx, to)
}

// unreadable says why the file could not be looked at. One that was there a moment
// ago may be back in a moment.
func (f *File) unreadable(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read leases: %w", err)
	}
	if f.missing.IsZero() {
		f.missing = f.now()
	}
	if f.parser != nil && f.now().Sub(f.missing) < absence {
		return errNoNews
	}
	return fmt.Errorf("read leases: %w: name the file that the DHCP server writes", err)
}

// readOn reads what was added to the file. It is false when the file is not the
// one that was read before, though it looks like it.
func (f *File) readOn(ctx context.Context, state fileState, to Sink) (same bool, err error) {
	file, err := openFile(f.path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if !f.print.of(file) {
		return false, nil
	}
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return false, fmt.Errorf("read leases: %w", err)
	}
	out := &liveNotes{to: to, source: f.name, file: f.path, now: f.now()}
	if err := f.parse(ctx, file, out); err != nil {
		return false, err
	}
	f.seen = state
	return true, nil
}

// parse reads an open file to its end and keeps where that was.
func (f *File) parse(ctx context.Context, file *os.File, to notes) error {
	in := newLines(file, f.offset, f.number)
	if err := parseLines(ctx, in, f.parser, to); err != nil {
		return err
	}
	f.offset, f.number = in.offset, in.number
	f.print = printOf(file, f.offset)
	return nil
}

func parseLines(ctx context.Context, in *lines, p parser, to notes) error {
	for {
		text, long, ok := in.next()
		switch {
		case !ok:
			if err := in.failed(); err != nil {
				return fmt.Errorf("read leases: %w", err)
			}
			return nil
		case long:
			to.bad(in.number, "a line that is too long", text, "")
		default:
			p.line(in.number, text, to)
		}
		if in.number%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// readAll reads the file, and those before it, from their beginnings.
func (f *File) readAll(ctx context.Context, to Sink) error {
	err := errMoved
	for range attempts {
		if !f.format.grows && !f.settle(ctx) {
			continue
		}
		if err = f.tryAll(ctx, to); !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}

// settle waits until the file has not changed for a while. It is false when it
// changes still.
func (f *File) settle(ctx context.Context) bool {
	state, err := stateOf(f.path)
	if err != nil {
		return true // it is tried, and the reason told
	}
	// A file that is being emptied has no content and its old time for a moment, so
	// that an old time alone says nothing.
	const least = settled / 20
	wait := f.settled - f.now().Sub(state.info.ModTime())
	return pause(ctx, min(max(wait, least), f.settled)) && f.unchanged(state)
}

func (f *File) unchanged(since fileState) bool {
	now, err := stateOf(f.path)
	return err == nil && now.equal(since)
}

// tryAll reads everything once. Nothing is changed when it fails; the error is
// errMoved when the files have changed meanwhile.
func (f *File) tryAll(ctx context.Context, to Sink) error {
	before, err := stateOf(f.path)
	if err != nil {
		return f.unreadable(err)
	}
	if f.parser != nil && f.format.grows && before.info.Size() == 0 && f.offset > 0 {
		return errHalf
	}
	out := &readingNotes{to: to.Read(f.name)}
	fresh := *f
	fresh.parser, fresh.offset, fresh.number = f.format.newParser(), 0, 0
	fresh.seen, fresh.refusal = before, nil
	if err := fresh.readTo(ctx, out); err != nil {
		return err
	}
	if err := fresh.judge(out); err != nil {
		f.refused, f.refusal = before, err
		return err
	}
	*f = fresh
	out.to.Commit(f.now())
	return nil
}

// readTo reads the files before the main one, and that. It returns errMoved when
// one of them has changed meanwhile.
func (f *File) readTo(ctx context.Context, out *readingNotes) error {
	around, err := lookAround(f.format.older(f.path))
	if err != nil {
		return err
	}
	for _, older := range around.paths {
		out.file = older
		if err := f.readOlder(ctx, older, out); err != nil {
			return err
		}
	}
	out.file = f.path
	if err := f.readMain(ctx, out); err != nil {
		return err
	}
	if now, err := lookAround(f.format.older(f.path)); err != nil || !now.equal(around) {
		return errMoved
	}
	return nil
}

// judge returns why what was read is not to be believed.
func (f *File) judge(out *readingNotes) error {
	if err := f.parser.usable(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return out.believable(f.path)
}

// readMain reads the file itself.
func (f *File) readMain(ctx context.Context, out *readingNotes) error {
	file, err := openFile(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := f.parse(ctx, file, out); err != nil {
		return err
	}
	after, err := stateOf(f.path)
	switch {
	case err != nil || !after.sameFile(f.seen):
		return errMoved
	case !f.format.grows && !after.equal(f.seen):
		return errMoved
	case !f.format.grows && f.offset != after.info.Size():
		return errCut
	}
	return nil
}

// readOlder reads one of the files before the main one, if it is there.
func (f *File) readOlder(ctx context.Context, path string, out notes) error {
	file, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return parseLines(ctx, newLines(file, 0, 0), f.format.newParser(), out)
}
