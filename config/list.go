// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"op25b/config/input"
)

const (
	// maxListSize is in bytes: ten million prefixes with a remark each.
	maxListSize = 256 << 20
	// maxListProblems is how many mistakes of one list are told. One slip of
	// the program that wrote it is in every line.
	maxListProblems = 20
)

// list is a file of prefixes, one a line, that belong to one pool, relay or group of
// destinations.
type list struct {
	file  string   // as it is opened
	key   string   // that names it: policy.pools[0].prefixes_file
	first int      // index in the pool of its first prefix; those before are in the configuration itself
	lines []uint32 // of each prefix
	found Problems // at most maxListProblems
	more  int      // problems beside those
}

// read appends the list's prefixes to those that the pool has already. It reads
// line by line, since a list can be large. A mistake is reported, and its line
// left out; the error is one of reading.
func (l *list) read(r io.Reader, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	l.first = len(prefixes)
	lines, n := bufio.NewScanner(r), 1
	for ; lines.Scan(); n++ {
		text := content(lines.Bytes(), n)
		if text == "" {
			continue
		}
		p, err := parsePrefix(text)
		if err != nil {
			l.refuse(n, text, err)
			continue
		}
		prefixes, l.lines = append(prefixes, p), append(l.lines, uint32(n))
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		l.report(n, fmt.Sprintf("is longer than %d KiB, and nothing after it was read", bufio.MaxScanTokenSize>>10), oneEach)
		return prefixes, nil
	}
	return prefixes, lines.Err()
}

// content is what the n-th line of a list says: without the mark that some
// editors put before the first one (U+FEFF), remark and blanks.
func content(line []byte, n int) string {
	if n == 1 {
		line = input.Text(line)
	}
	line, _, _ = bytes.Cut(line, []byte("#"))
	return string(bytes.TrimSpace(line))
}

const oneEach = "write one prefix on each line, as in 192.0.2.0/24, and a # before remarks"

// refuse reports a line that holds no prefix.
func (l *list) refuse(line int, text string, err error) {
	m := &mistake{what: err.Error()}
	errors.As(err, &m)
	fix := strings.ReplaceAll(m.fix, `"`, "") // quotes are for YAML
	if strange := input.Strange([]byte(text)); strange != nil {
		m.what, fix = strange.What, strange.Fix
	} else if strings.ContainsAny(text, " \t,;") {
		fix = oneEach
	}
	l.report(line, m.what, fix)
}

func (l *list) report(line int, what, fix string) {
	if len(l.found) == maxListProblems {
		l.more++
		return
	}
	l.found = append(l.found, Problem{File: l.file, Line: line, Path: l.key, What: what, Fix: fix})
}

// problems are those that were reported, by line, and how many more there are.
func (l *list) problems() Problems {
	slices.SortStableFunc(l.found, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if l.more == 0 {
		return l.found
	}
	rest := Problem{File: l.file, Path: l.key, What: fmt.Sprintf("and %d more", l.more), Fix: "correct those above, and check again"}
	return append(l.found, rest)
}

// room is how many prefixes a list holds, at most: it counts the lines. To grow
// without knowing copies a large list several times, which is most of the time
// that reading takes. Zero: not known.
func room(f *os.File) int {
	// The shortest prefix that is not refused is as long as 1.0.0.0/8.
	const shortest = len("1.0.0.0/8\n")
	lines, size, chunk := 1, 0, make([]byte, 64<<10)
	for {
		n, err := f.Read(chunk)
		size += n
		lines += bytes.Count(chunk[:n], []byte("\n"))
		if err == nil {
			continue
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return 0
		}
		return min(lines, 1+size/shortest)
	}
}

// listFix tells what to do about a list that cannot be read.
func listFix(err error) string {
	fix := input.Fix(err, "entries", maxListSize)
	if errors.Is(err, fs.ErrNotExist) {
		fix += "; a relative path starts where the configuration is"
	}
	return fix
}
