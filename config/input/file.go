// SPDX-License-Identifier: Apache-2.0

package input

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var errIrregular = errors.New("not a regular file")

// Open opens a regular file of so many octets at most, and nothing that would wait or
// never end. The error is an [*fs.PathError].
func Open(path string, most int64) (*os.File, error) {
	// Without O_NONBLOCK, a FIFO opens only when somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		err = &fs.PathError{Op: "read", Path: path, Err: errIrregular}
	case info.Size() > most:
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EFBIG}
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// Read returns what is in a file that [Open] opens.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, most)
}

// ReadAll returns what is in an open file. One that does not say how large it is, or has
// grown since it was opened, is as wrong as any that is too large.
func ReadAll(f *os.File, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: syscall.EFBIG}
	}
	return text, err
}

// Fix tells what to do about an error of Open or Read. unit is what a file that is too
// large is to be divided among, such as "files"; most is what was asked for.
func Fix(err error, unit string, most int64) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name an existing file"
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or let this user read the file"
	case errors.Is(err, syscall.EISDIR):
		return "name a file inside it"
	case errors.Is(err, syscall.EFBIG):
		return fmt.Sprintf("divide it among several %s: one has at most %d MiB", unit, most>>20)
	}
	return "name a plain file that can be read"
}
