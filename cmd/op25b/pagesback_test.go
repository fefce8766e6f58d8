// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// resident is what this process has of files in memory, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Skip("this kernel does not tell files from the rest")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Not in parallel: others would bring pages back meanwhile.
func TestGiveBack(t *testing.T) {
	before := resident(t)
	if err := giveBack(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after > before*3/4 {
		t.Errorf("%d KiB of files before, %d after", before, after)
	}
}

// A position-independent executable has constants that its loader has written.
func TestConstants(t *testing.T) {
	t.Parallel()
	const smaps = `55d000000000-55d000001000 r-xp 00000000 fe:00 12                       /usr/bin/op25b
Size:                  4 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
55d000001000-55d000003000 r--p 00001000 fe:00 12                       /usr/bin/op25b
Size:                  8 kB
Anonymous:             8 kB
55d000003000-55d000004000 rw-p 00003000 fe:00 12                       /usr/bin/op25b
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 13                       /usr/lib/libc.so.6
Anonymous:             0 kB
`
	if got := constants(smaps, "/usr/bin/op25b"); len(got) != 1 || got[0] != (mapping{0x55d000000000, 0x1000}) {
		t.Errorf("%x", got)
	}
}

func TestConstant(t *testing.T) {
	t.Parallel()
	const program = "/usr/bin/op25b"
	for line, want := range map[string]bool{
		"00400000-00e00000 r-xp 00000000 fe:00 1234                               /usr/bin/op25b":   true,
		"00e00000-01800000 r--p 00a00000 fe:00 1234                               /usr/bin/op25b":   true,
		"01800000-01900000 rw-p 01400000 fe:00 1234                               /usr/bin/op25b":   false, // variables
		"00400000-00e00000 r-xp 00000000 fe:00 1234                               /usr/bin/op25b-x": false,
		"7f0000000000-7f0000001000 r--p 00000000 00:00 0":                                           false,
		"nonsense": false,
		"":         false,
		"x-y r-xp 00000000 fe:00 1234 /usr/bin/op25b": false,
	} {
		if _, got := constant(line, program); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
