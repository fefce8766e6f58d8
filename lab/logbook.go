// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"sync"
)

// maxLogLines bounds what is kept of a gateway's log; the oldest lines go first.
const maxLogLines = 5000

// LogLine is a line of a JSON log. Numbers are float64, as encoding/json has it.
type LogLine map[string]any

// Message returns the line's message.
func (l LogLine) Message() string {
	msg, _ := l["msg"].(string)
	return msg
}

// logBook keeps the lines that a process writes, and lets others wait for them.
type logBook struct {
	out io.Writer // may be nil; its errors are not the process's concern

	mu      sync.Mutex // protects the fields below, and writes to out
	partial []byte     // a line without its end
	lines   []string
	changed chan struct{} // closed and replaced when lines come in
}

func newLogBook(out io.Writer) *logBook {
	return &logBook{out: out, changed: make(chan struct{})}
}

// Write implements [io.Writer]. It never fails: the process would stop on it.
func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out != nil {
		_, _ = b.out.Write(p)
	}
	b.partial = append(b.partial, p...)
	for {
		line, rest, found := bytes.Cut(b.partial, []byte{'\n'})
		if !found {
			break
		}
		b.lines = append(b.lines, string(line))
		b.partial = rest
	}
	b.lines = b.lines[max(0, len(b.lines)-maxLogLines):]
	close(b.changed)
	b.changed = make(chan struct{})
	return len(p), nil
}

// next returns a channel that is closed by the next write.
func (b *logBook) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// last returns the last n lines, with one that has no end yet.
func (b *logBook) last(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := slices.Clone(b.lines)
	if len(b.partial) > 0 {
		lines = append(lines, string(b.partial))
	}
	return lines[max(0, len(lines)-n):]
}

// find returns the n-th line with this message.
func (b *logBook) find(msg string, n int) (LogLine, bool) {
	for _, text := range b.last(maxLogLines) {
		var line LogLine
		if json.Unmarshal([]byte(text), &line) != nil || line.Message() != msg {
			continue
		}
		if n--; n == 0 {
			return line, true
		}
	}
	return nil, false
}
