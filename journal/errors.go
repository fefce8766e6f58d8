// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNewer is returned for a file that a newer op25b has written. Use that one,
// or name another file.
var ErrNewer = errors.New("written by a newer op25b")

// ErrForeign is returned for a file that is no journal. Nothing was done to it;
// name another one.
var ErrForeign = errors.New("no journal of op25b")

// ErrClosed is returned by a [Journal] that was closed.
var ErrClosed = fmt.Errorf("the journal is closed: %w", os.ErrClosed)

// errDamaged is a file of ours that cannot be read.
var errDamaged = errors.New("damaged")

// code is SQLite's primary result code for err; 0 if it has none.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}

// damaged reports whether err says that the file's content is at fault.
func damaged(err error) bool {
	c := code(err)
	return errors.Is(err, errDamaged) || c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// advise says which file an error is about, and what to type. It goes by the
// system's errors where it can: SQLite's tell less.
func advise(path string, err error) error {
	dir := filepath.Dir(path)
	advice := ""
	switch c := code(err); {
	case errors.Is(err, ErrNewer), errors.Is(err, ErrForeign):
		advice = fmt.Sprintf("set journal.path to another file, or: mv %s %s.old", path, path)
	case damaged(err):
		advice = "mv " + path + " " + path + ".old"
	case errors.Is(err, fs.ErrNotExist):
		advice = "mkdir -p " + dir
	case errors.Is(err, syscall.EISDIR):
		advice = "set journal.path to a file in it"
	case errors.Is(err, fs.ErrPermission), c == sqlite3.SQLITE_PERM, c == sqlite3.SQLITE_READONLY, c == sqlite3.SQLITE_CANTOPEN:
		advice = fmt.Sprintf("chown %d:%d %s %s*", os.Getuid(), os.Getgid(), dir, path)
	case errors.Is(err, syscall.EROFS):
		advice = "set journal.path to a file system that can be written"
	case errors.Is(err, syscall.ENOSPC), c == sqlite3.SQLITE_FULL:
		return fmt.Errorf("journal %s: the disk is full: make room: df -h %s (%w)", path, dir, err)
	case c == sqlite3.SQLITE_BUSY, c == sqlite3.SQLITE_LOCKED:
		advice = "another process keeps it locked: fuser -v " + path
	case c == sqlite3.SQLITE_IOERR:
		advice = fmt.Sprintf("is the disk full or failing? df -h %s; dmesg | tail", dir)
	}
	if advice == "" {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	return fmt.Errorf("journal %s: %w: %s", path, err, advice)
}
