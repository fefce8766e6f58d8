// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// runDir holds one directory per network: its files, and its claim to the name.
const runDir = "/run"

// maxNetworks bounds the networks one process may have at a time.
const maxNetworks = 10_000

// claim is a network's hold on its name. It is a directory, because mkdir(2)
// decides between two that want the same name, with a lock on it, because a lock
// ends with the process that took it.
type claim struct {
	base string   // op25b-<pid>-<number>
	dir  string   // /run/<base>, private to root
	lock *os.File // held while the network lives

	tainted bool // something with the name is still there
}

// takeClaim finds a name that no other network uses or has left behind.
func takeClaim() (*claim, error) {
	for number := 1; number <= maxNetworks; number++ {
		base := fmt.Sprintf("op25b-%d-%d", os.Getpid(), number)
		dir := filepath.Join(runDir, base)
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create directory of network: %w", err)
		}
		lock, err := lockDir(dir, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			os.Remove(dir)
			return nil, err
		}
		return &claim{base: base, dir: dir, lock: lock}, nil
	}
	return nil, fmt.Errorf("no free name among %d networks", maxNetworks)
}

// taint says that a namespace could not be removed: the name stays taken until
// Sweep gets rid of it.
func (c *claim) taint() { c.tainted = true }

// release gives the name back, unless it is tainted, and removes the network's
// files.
func (c *claim) release() error {
	defer c.lock.Close()
	if c.tainted {
		return nil
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove directory of network: %w", err)
	}
	return nil
}

// parseClaim returns the network's base name and its process for the name of one
// of our namespaces or directories.
func parseClaim(name string) (base string, pid int, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) == 4 && slices.Contains(roles(), parts[3]) {
		parts = parts[:3]
	}
	if len(parts) != 3 || parts[0] != "op25b" {
		return "", 0, false
	}
	pid, number := parsePositive(parts[1]), parsePositive(parts[2])
	return strings.Join(parts, "-"), pid, pid > 0 && number > 0
}

// parsePositive reads a number in the one way that we write it, or returns 0.
func parsePositive(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || strconv.Itoa(n) != s {
		return 0
	}
	return n
}
