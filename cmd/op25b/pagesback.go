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
//
// What the loader has written to stays, as the addresses in a position-independent
// executable that it then makes read-only: no file has that.
func giveBack() error {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("give memory back: %w", err)
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("give memory back: %w", err)
	}
	for _, m := range constants(string(maps), program) {
		// By its number: package unix wants a slice, and this is none of Go's memory.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.first, m.size, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give memory back: madvise: %w", errno)
		}
	}
	return nil
}

// mapping is a part of the address space, in octets.
type mapping struct{ first, size uintptr }

// constants returns from /proc/PID/smaps (proc_pid_smaps(5)) what is in memory as the
// program's file has it.
func constants(smaps, program string) (found []mapping) {
	var m mapping
	var candidate bool
	for line := range strings.Lines(smaps) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.Fields(line)
		switch {
		case len(words) > 0 && !strings.HasSuffix(words[0], ":"):
			m, candidate = constant(line, program)
		case candidate && len(words) == 3 && words[0] == "Anonymous:" && words[1] == "0":
			found = append(found, m)
		}
	}
	return found
}

// constant reads the first line of a mapping, and reports whether it is of the program's
// file and nobody can write to it.
func constant(line, program string) (m mapping, ok bool) {
	words := strings.SplitN(line, " ", 3) //nolint:mnd // addresses, rights, the rest
	if len(words) < 3 || !strings.HasSuffix(words[2], " "+program) || words[1] != "r-xp" && words[1] != "r--p" {
		return mapping{}, false
	}
	from, to, _ := strings.Cut(words[0], "-")
	begin, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return mapping{}, false
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end <= begin {
		return mapping{}, false
	}
	return mapping{uintptr(begin), uintptr(end - begin)}, true
}
