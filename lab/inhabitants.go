// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// termGrace is how long a process in a namespace that goes away has for an
	// orderly end, after SIGTERM.
	termGrace = time.Second
	// killGrace is how long the kernel has to end it after SIGKILL.
	killGrace = 2 * time.Second
	// scanInterval is the time between two looks at /proc.
	scanInterval = 10 * time.Millisecond
)

// namespaceID tells namespaces apart for as long as they exist.
type namespaceID struct{ device, inode uint64 }

// statNamespace returns the id of the namespace behind a path, such as
// /run/netns/NAME or /proc/PID/ns/net.
func statNamespace(path string) (namespaceID, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return namespaceID{}, fmt.Errorf("identify namespace %s: %w", path, err)
	}
	return namespaceID{device: st.Dev, inode: st.Ino}, nil
}

// endProcessesIn ends every process that lives in one of the namespaces: those we
// started, the daemons they became, and shells that somebody opened there. One
// that stayed would keep the namespace and its links alive without a name.
func endProcessesIn(ids map[namespaceID]bool) {
	if signalUntilGone(ids, syscall.SIGTERM, termGrace) {
		return
	}
	signalUntilGone(ids, syscall.SIGKILL, killGrace)
}

// signalUntilGone sends the signal once to each process that it finds in the
// namespaces, and reports whether none was left when the grace was over.
func signalUntilGone(ids map[namespaceID]bool, sig os.Signal, grace time.Duration) bool {
	signalled := map[int]bool{}
	for deadline := time.Now().Add(grace); ; time.Sleep(scanInterval) {
		pids := inhabitants(ids)
		if len(pids) == 0 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		for _, pid := range pids {
			if !signalled[pid] {
				signalled[pid] = true
				signalIn(ids, pid, sig)
			}
		}
	}
}

// inhabitants returns the processes in the namespaces, never our own: some of its
// threads may be visiting.
func inhabitants(ids map[namespaceID]bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !livesIn(ids, pid) {
			continue
		}
		pids = append(pids, pid)
	}
	return pids
}

// livesIn reports whether the process is in one of the namespaces. It is not once
// it ended, even if nobody has waited for it yet.
func livesIn(ids map[namespaceID]bool, pid int) bool {
	id, err := statNamespace(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && ids[id]
}

// signalIn signals a process if it is still in one of the namespaces. The check
// comes after FindProcess has taken hold of the process (by pidfd), so a new
// process with the same id is not hit by mistake.
func signalIn(ids map[namespaceID]bool, pid int, sig os.Signal) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	if livesIn(ids, pid) {
		_ = process.Signal(sig) // it may have ended by now
	}
	_ = process.Release() // never fails for a process that was found
}
