// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// userHertz is the unit of the times in /proc, the same on all of Linux's platforms
// that matter here (sysconf(_SC_CLK_TCK)).
const userHertz = 100

// meter returns what says how many seconds of processor time the machine, and the
// peer's process, have spent since. The machine's counts because the kernel forwards
// in interrupts, which belong to no process; senders and receivers are in it, which
// are the same for every peer.
func (t *turn) meter() (spent func() (machine, process float64)) {
	t.Helper()
	machineBefore, processBefore := machineTime(t), processTime(t, t.pid)
	return func() (machine, process float64) {
		return machineTime(t) - machineBefore, processTime(t, t.pid) - processBefore
	}
}

// machineTime returns the busy time of all processors, in seconds. What ran at low
// priority is somebody else's, unless we do.
func machineTime(t testing.TB) float64 {
	t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq ...
	busy := []int{1, 3, 6, 7}
	// The system call returns 20 minus the priority.
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && raw < 20 {
		busy = append(busy, 2)
	}
	var ticks float64
	for _, i := range busy {
		ticks += ticksOf(t, fields, i)
	}
	return ticks / userHertz
}

// processTime returns the processor time of a process, in seconds; process 0 has
// none.
func processTime(t testing.TB, pid int) float64 {
	t.Helper()
	if pid == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// What follows the name, which is in parentheses, begins with the third field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 14 - 3, 15 - 3
	return (ticksOf(t, fields, user) + ticksOf(t, fields, system)) / userHertz
}

func ticksOf(t testing.TB, fields []string, i int) float64 {
	t.Helper()
	if i >= len(fields) {
		t.Fatalf("no field %d in %q", i, fields)
	}
	ticks, err := strconv.ParseFloat(fields[i], 64)
	if err != nil {
		t.Fatal(err)
	}
	return ticks
}

// memory looks at the process at the end of its turn.
func memory(t *turn) values {
	if t.pid == 0 {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.pid))
	if err != nil {
		t.Fatal(err)
	}
	v := values{}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		name := map[string]string{"VmRSS": "rss", "VmHWM": "rss_peak"}[key]
		if name == "" {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			t.Fatal(err)
		}
		v[name] = kib / 1024
	}
	return v
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func processorModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
