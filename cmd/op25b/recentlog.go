// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"sync"
)

// mostRecent is how many lines of the log are kept for a bundle.
const mostRecent = 1000

// recentLog keeps the latest lines of the log. It may be written to and read by many at
// once.
type recentLog struct {
	mu    sync.Mutex
	lines [][]byte
	next  int // where the oldest is, once there are mostRecent
}

// Write takes a line. It never fails.
func (r *recentLog) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < mostRecent {
		r.lines = append(r.lines, bytes.Clone(line))
		return len(line), nil
	}
	r.lines[r.next] = append(r.lines[r.next][:0], line...)
	r.next = (r.next + 1) % mostRecent
	return len(line), nil
}

// text returns the lines, the oldest first.
func (r *recentLog) text() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Join(slices.Concat(r.lines[r.next:], r.lines[:r.next]), nil)
}
