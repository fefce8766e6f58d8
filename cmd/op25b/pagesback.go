// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// giveBack takes the program's own code and constants out of this process's memory. Half
// of what is resident once it is ready was needed for the start alone: every library's
// tables, each with the pages around it. What is needed again comes back from the page
// cache when it is touched, which costs a microsecond for every 64 KiB.
func giveBack() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("give memory back: %w", err)
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("give memory back: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		first, size, ok := constant(strings.TrimSuffix(line, "\n"), program)
		if !ok {
			continue
		}
		// By its number: package unix wants a slice, and this is none of Go's memory.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, first, size, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give memory back: madvise: %w", errno)
		}
	}
	return nil
}

// constant reads a line of /proc/PID/maps (proc_pid_maps(5)), and reports whether it is
// of the program's file and nobody can have written to it.
func constant(line, program string) (first, size uintptr, ok bool) {
	words := strings.SplitN(line, " ", 3) //nolint:mnd // addresses, rights, the rest
	if len(words) < 3 || !strings.HasSuffix(words[2], " "+program) || words[1] != "r-xp" && words[1] != "r--p" {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(words[0], "-")
	begin, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end <= begin {
		return 0, 0, false
	}
	return uintptr(begin), uintptr(end - begin), true
}
