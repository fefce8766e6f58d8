// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// openFile opens a lease file. A pipe in its place must not hold up the source.
func openFile(path string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return file, nil
}

// fileState is what tells whether a file has changed.
type fileState struct{ info fs.FileInfo }

func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	if !info.Mode().IsRegular() {
		return fileState{}, fmt.Errorf("%s is not a regular file", path)
	}
	return fileState{info}, nil
}

// sameFile reports whether both are of one file, whatever is in it.
func (s fileState) sameFile(t fileState) bool { return os.SameFile(s.info, t.info) }

// equal reports whether nothing has changed between them.
func (s fileState) equal(t fileState) bool {
	if s.info == nil || t.info == nil {
		return s.info == t.info
	}
	return s.sameFile(t) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// surroundings are the files that are read before the main one, in their order.
type surroundings struct {
	paths  []string
	states []fileState // the zero value: it is not there
}

func lookAround(paths []string) (s surroundings, err error) {
	for _, path := range paths {
		state, err := stateOf(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, fmt.Errorf("read leases: %w", err)
		}
		s.paths, s.states = append(s.paths, path), append(s.states, state)
	}
	return s, nil
}

func (s surroundings) equal(t surroundings) bool {
	return slices.Equal(s.paths, t.paths) && slices.EqualFunc(s.states, t.states, fileState.equal)
}

// fingerprint is what a file began with, and what stood before the place where
// reading goes on: a file that was emptied and written anew has the same inode.
type fingerprint struct {
	head, tail []byte
	offset     int64
}

// printSize is how much of a file is compared at each end, in bytes.
const printSize = 256

func printOf(file *os.File, offset int64) fingerprint {
	n := min(printSize, offset)
	p := fingerprint{head: make([]byte, n), tail: make([]byte, n), offset: offset}
	// What cannot be read now will not be the same later.
	_, _ = file.ReadAt(p.head, 0)
	_, _ = file.ReadAt(p.tail, offset-n)
	return p
}

// of reports whether a file still has the fingerprint.
func (p fingerprint) of(file *os.File) bool {
	now := printOf(file, p.offset)
	return bytes.Equal(now.head, p.head) && bytes.Equal(now.tail, p.tail)
}
