// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"syscall"
)

// maxFileSize is in bytes. A hundred thousand exemptions stay below it.
const maxFileSize = 16 << 20

// Load reads files and returns what they say, in that order. If anything is wrong
// with any of them the error is [Problems], all there are, and nothing is returned
// beside it. The same prefix in two files, or twice in one, is a mistake.
func Load(paths ...string) ([]Exemption, error) {
	var (
		all      []Exemption
		problems Problems
		seen     = map[netip.Prefix]Exemption{}
	)
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			problems = append(problems, unreadable(path, err))
			continue
		}
		d := parse(path, data, seen)
		all = append(all, d.exemptions()...)
		problems = append(problems, d.problems...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

// readFile reads a plain file, and nothing that would wait or never end.
func readFile(path string) ([]byte, error) {
	// Without O_NONBLOCK, a FIFO opens only when somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, syscall.EISDIR
	case !info.Mode().IsRegular():
		return nil, errors.New("not a plain file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = syscall.EFBIG
	}
	return data, err
}

// unreadable is the problem of a file of which nothing is known.
func unreadable(path string, err error) Problem {
	what := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		what = p.Err // the path is said already
	}
	return Problem{File: path, What: "cannot be read: " + what.Error(), Fix: readFix(err), cause: err}
}

// readFix tells what to do about a file that cannot be read.
func readFix(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name an existing file; one without exemptions can be empty"
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or let this user read the file"
	case errors.Is(err, syscall.EISDIR):
		return "name a file inside it"
	case errors.Is(err, syscall.EFBIG):
		return fmt.Sprintf("divide it among several files: one has at most %d MiB", maxFileSize>>20)
	}
	return "name a plain file that can be read"
}
