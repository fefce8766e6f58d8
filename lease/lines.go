// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"io"
	"strings"
)

const (
	// longestLine is the longest line that is read, in bytes. The longest honest one
	// has a user context of Kea's in it.
	longestLine = 64 << 10
	// readSize is how much is read at once, in bytes.
	readSize = 256 << 10
)

// lines reads a file line by line. Lines are pieces of one large string for each
// read, so that a million of them cost no allocation each: whoever keeps a piece
// keeps all of it, so copy what is kept.
type lines struct {
	from io.Reader
	buf  []byte
	rest string // read, and not yet given out

	number  int   // of the line that next returned last
	offset  int64 // where the line after it begins
	skipped int64 // bytes of the line that are gone already: it is too long
	err     error // what ended the reading
}

// newLines reads on at a line's beginning: offset bytes and number lines lie
// before it.
func newLines(from io.Reader, offset int64, number int) *lines {
	return &lines{from: from, buf: make([]byte, readSize), offset: offset, number: number}
}

// next returns the next line without its end, or false at the end of the file or
// of what could be read. What follows the last line's end is not a line yet. A
// line that is too long is returned as such, and cut.
func (l *lines) next() (line string, long, ok bool) {
	for {
		if i := strings.IndexByte(l.rest, '\n'); i >= 0 {
			line, long = l.rest[:i], l.skipped > 0 || i > longestLine
			l.rest = l.rest[i+1:]
			l.offset += l.skipped + int64(i+1)
			l.number++
			l.skipped = 0
			return strings.TrimSuffix(line, "\r"), long, true
		}
		if len(l.rest) > longestLine {
			l.skipped += int64(len(l.rest))
			l.rest = ""
		}
		if l.err != nil {
			return "", false, false
		}
		l.fill()
	}
}

func (l *lines) fill() {
	var n int
	n, l.err = l.from.Read(l.buf)
	if l.rest == "" {
		l.rest = string(l.buf[:n])
		return
	}
	l.rest += string(l.buf[:n])
}

// failed returns what ended the reading before the end of the file.
func (l *lines) failed() error {
	if errors.Is(l.err, io.EOF) {
		return nil
	}
	return l.err
}
