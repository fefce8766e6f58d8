// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long an edit waits for others. One takes milliseconds, more on a
// disk that is busy.
const lockWait = 30 * time.Second

// lockedFile is a file that nobody else edits here meanwhile.
type lockedFile struct {
	path string // behind all symbolic links; there may be nothing yet
	dir  *os.File
}

// lockFile waits until nobody else edits the file. What is locked is its directory:
// the file itself is another one after each edit.
func lockFile(path string) (*lockedFile, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, err = missing(path)
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	if err := lock(dir); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	return &lockedFile{target, dir}, nil
}

// lock waits in the kernel's queue, which is fair; asking again and again is not. It
// cannot be called off there: who waits too long closes the directory when its turn
// comes after all. On an error the directory is closed.
func lock(dir *os.File) error {
	turn, late := make(chan error), make(chan struct{})
	go func() {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX) //nolint:gosec // a descriptor
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(int(dir.Fd()), unix.LOCK_EX) //nolint:gosec // a descriptor
		}
		if err != nil {
			dir.Close()
		}
		select {
		case turn <- err:
		case <-late:
			dir.Close()
		}
	}()
	select {
	case err := <-turn:
		return err
	case <-time.After(lockWait):
		close(late)
		return errors.New("somebody else edits there: try again")
	}
}

// missing returns where a file that is not there would be.
func missing(path string) (string, error) {
	if _, err := os.Lstat(path); err == nil {
		return "", errors.New("a symbolic link to nothing: make that file, or remove the link")
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

func (f *lockedFile) unlock() { f.dir.Close() }

// replace puts a new content in the file's place, whole or not at all. It has the
// old one's owner, group and mode.
func (f *lockedFile) replace(content []byte) error {
	like, err := f.owner()
	if err != nil {
		return err
	}
	// The name is free: nobody else is here. What is there is of one that was killed.
	name := filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".new")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(name, content, like); err != nil {
		return errors.Join(err, remove(name))
	}
	if err := os.Rename(name, f.path); err != nil {
		return errors.Join(err, remove(name))
	}
	return f.dir.Sync()
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// owner returns whose the file is and who may do what. A new one is for the group of
// its directory to read, which is how a gateway that is not root can.
func (f *lockedFile) owner() (*unix.Stat_t, error) {
	var like, dir unix.Stat_t
	err := unix.Stat(f.path, &like)
	if !errors.Is(err, unix.ENOENT) {
		return &like, err
	}
	if err := unix.Fstat(int(f.dir.Fd()), &dir); err != nil { //nolint:gosec // a descriptor
		return nil, err
	}
	const mode = 0o640
	return &unix.Stat_t{Uid: uint32(os.Geteuid()), Gid: dir.Gid, Mode: mode}, nil //nolint:gosec // a user's number
}

// writeFile makes a file that is on the disk when this returns.
func writeFile(name string, content []byte, like *unix.Stat_t) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// The owner first: a change of owner can take bits of the mode away.
	if err := f.Chown(int(like.Uid), int(like.Gid)); err != nil {
		return fmt.Errorf("%w: run as root, or as the file's owner", err)
	}
	if err := f.Chmod(fs.FileMode(like.Mode & 0o777)); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
