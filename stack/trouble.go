// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"maps"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// trouble counts what the kernel refused, by what was asked and the errno. It is
// off the path of packets that go well, and as large as there are errnos.
type trouble struct {
	mu    sync.Mutex
	count map[string]uint64
}

func (t *trouble) add(what string, err error, n uint64) {
	name := "other"
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		name = unix.ErrnoName(errno)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[string]uint64{}
	}
	t.count[what+" "+name] += n
}

// Errors returns how often the kernel refused what was asked of it, as in "read
// EIO" or "write ENOBUFS".
func (r *Router) Errors() map[string]uint64 {
	r.trouble.mu.Lock()
	defer r.trouble.mu.Unlock()
	return maps.Clone(r.trouble.count)
}
