// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep removes what networks left whose process ended without [Network.Close]:
// namespaces, the processes that still run in them, and files. It returns the
// names of the namespaces it removed, sorted.
//
// A network counts as left behind when its process is gone and nobody holds the
// lock on its directory; the lock also protects a network whose process lives in
// another PID namespace. Names that are not ours are never touched. [New] does
// not sweep; [Demo] does.
func Sweep() (removed []string, err error) {
	leftovers, err := findLeftovers()
	if err != nil {
		return nil, err
	}
	var errs []error
	for base, namespaces := range leftovers {
		names, err := sweepNetwork(base, namespaces)
		removed = append(removed, names...)
		errs = append(errs, err)
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

// findLeftovers returns the namespaces, by base name, of networks whose process
// is gone. A network that lost its namespaces but not its directory has none.
func findLeftovers() (map[string][]string, error) {
	leftovers := map[string][]string{}
	for _, dir := range []string{runDir, namespaceDir} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for leftovers: %w", err)
		}
		for _, entry := range entries {
			base, pid, ok := parseClaim(entry.Name())
			if !ok || processExists(pid) {
				continue
			}
			namespaces := leftovers[base]
			if entry.Name() != base {
				namespaces = append(namespaces, entry.Name())
			}
			leftovers[base] = namespaces
		}
	}
	return leftovers, nil
}

// sweepNetwork removes one network unless somebody holds its lock.
func sweepNetwork(base string, namespaces []string) (removed []string, err error) {
	dir := filepath.Join(runDir, base)
	lock, err := lockDir(dir, unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		defer lock.Close()
	}

	ids := map[namespaceID]bool{}
	for _, name := range namespaces {
		if id, err := statNamespace(filepath.Join(namespaceDir, name)); err == nil {
			ids[id] = true
		}
	}
	endProcessesIn(ids)

	var errs []error
	for _, name := range namespaces {
		if err := removeNamespace(name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, name)
	}
	// The directory goes last: while it is there, another sweep finds the rest.
	if len(errs) == 0 {
		errs = append(errs, os.RemoveAll(dir))
	}
	return removed, errors.Join(errs...)
}

// processExists reports whether a process has this id. A process of somebody
// else counts: its id may have been ours before. A zombie does not: it lets go of
// everything when it ends, and its parent may never wait for it.
func processExists(pid int) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	// The state follows the name, which stands in parentheses and may hold some.
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return !strings.HasPrefix(state, "Z")
}
