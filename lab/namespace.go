// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDir is where ip-netns(8) looks for namespaces by name.
const namespaceDir = "/run/netns"

// createNamespace makes a network namespace with a name that ip-netns(8) knows.
// The error wraps fs.ErrExist if the name is taken. The caller owns the handle
// and calls removeNamespace.
func createNamespace(name string) (netns.NsHandle, error) {
	if err := prepareNamespaceDir(); err != nil {
		return netns.None(), err
	}
	ns := netns.None()
	err := onThread(func() (err error) {
		ns, err = netns.NewNamed(name)
		return err
	})
	if err == nil {
		return ns, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		os.Remove(filepath.Join(namespaceDir, name)) // the name of a mount that failed
	}
	return netns.None(), fmt.Errorf("create network namespace %s: %w", name, err)
}

// removeNamespace takes the name away. The kernel frees the namespace once the
// last handle, socket and process in it is gone.
func removeNamespace(name string) error {
	path := filepath.Join(namespaceDir, name)
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount network namespace %s: %w", name, err)
	}
	// EINVAL: a bare file, left between creating the name and mounting on it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", name, err)
	}
	return nil
}

// prepareNamespaceDir makes the directory a shared mount, as ip-netns(8) does
// before it adds its first namespace. Without that, every process under
// `ip netns exec` holds its own copies of the mounts and keeps namespaces alive
// that were removed long ago; and the ip command, run later, would mount over
// the names that are there.
func prepareNamespaceDir() error {
	if err := os.MkdirAll(namespaceDir, 0o755); err != nil {
		return fmt.Errorf("prepare %s: %w", namespaceDir, err)
	}
	// The ip command takes the same lock: two that prepare at once would stack
	// mounts on one another.
	dir, err := lockDir(namespaceDir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer dir.Close()

	share := func() error { return unix.Mount("", namespaceDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err = share()
	if errors.Is(err, unix.EINVAL) { // not a mount of its own yet
		err = unix.Mount(namespaceDir, namespaceDir, "none", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = share()
		}
	}
	if err != nil {
		return fmt.Errorf("make %s a shared mount: %w", namespaceDir, err)
	}
	return nil
}

// lockDir opens a directory and takes a flock(2) on it; how is LOCK_EX, with
// LOCK_NB to fail instead of waiting. Closing the file, or the end of the
// process, releases the lock.
func lockDir(path string, how int) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	for {
		err = unix.Flock(int(dir.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock directory %s: %w", path, err)
	}
	return dir, nil
}
