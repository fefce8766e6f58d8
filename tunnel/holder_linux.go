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
// "iff:" line into /proc/PID/fdinfo for each such descriptor; the search covers
// every network namespace, so a gateway of the same name elsewhere on the
// machine may be found too.
func Holder(name string) int {
	files, err := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	if err != nil {
		return 0
	}
	for _, file := range files {
		if attached(file, name) {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			return pid
		}
	}
	return 0
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
