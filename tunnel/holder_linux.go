// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder returns the process that has a queue of the TUN interface name open,
// or 0 when there is none or this process may not look. The kernel writes an
// "iff:" line into /proc/PID/fdinfo for each such descriptor. Interfaces of the
// same name in other network namespaces are none of ours: only processes with a
// thread in the caller's namespace count.
func Holder(name string) int {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return 0
	}
	files, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	if err != nil {
		return 0
	}
	for _, file := range files {
		pid := strings.Split(file, "/")[2]
		if attached(file, name) && livesIn(pid, here) {
			n, _ := strconv.Atoi(pid)
			return n
		}
	}
	return 0
}

// livesIn reports whether a thread of the process is in the namespace.
func livesIn(pid, namespace string) bool {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*/ns/net")
	if err != nil {
		return false
	}
	for _, t := range threads {
		if ns, err := os.Readlink(t); err == nil && ns == namespace {
			return true
		}
	}
	return false
}

func attached(file, name string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if iface, ok := strings.CutPrefix(lines.Text(), "iff:"); ok {
			return strings.TrimSpace(iface) == name
		}
	}
	return false
}
