// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"op25b/config/input"
)

func readList(t *testing.T, text string) (*list, []netip.Prefix) {
	t.Helper()
	l := &list{file: "list.txt", key: "policy.pools[0].prefixes_file"}
	prefixes, err := l.read(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l, prefixes
}

func TestListRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		prefixes   string
		lines      []uint32
	}{
		{"nothing", "", "[]", nil},
		{"one", "10.0.0.0/8\n", "[10.0.0.0/8]", []uint32{1}},
		{"no end of line", "10.0.0.0/8", "[10.0.0.0/8]", []uint32{1}},
		{"both families, in their order", "2001:db8::/32\n10.0.0.0/8\n", "[2001:db8::/32 10.0.0.0/8]", []uint32{1, 2}},
		{"Windows line ends", "10.0.0.0/8\r\n\r\n11.0.0.0/8\r\n", "[10.0.0.0/8 11.0.0.0/8]", []uint32{1, 3}},
		{"byte order mark", "\ufeff10.0.0.0/8\n", "[10.0.0.0/8]", []uint32{1}},
		{"byte order mark before a remark", "\ufeff# a\n10.0.0.0/8\n", "[10.0.0.0/8]", []uint32{2}},
		{"remarks", "# a\n  # b\n10.0.0.0/8# c\n11.0.0.0/8\t# d # e\n#12.0.0.0/8\n", "[10.0.0.0/8 11.0.0.0/8]", []uint32{3, 4}},
		{"blanks around it", " \t10.0.0.0/8 \n\u00a011.0.0.0/8\u00a0\n", "[10.0.0.0/8 11.0.0.0/8]", []uint32{1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, prefixes := readList(t, tt.text)
			if got := fmt.Sprint(prefixes); got != tt.prefixes || len(l.found) > 0 {
				t.Errorf("prefixes %s, want %s; problems %v", got, tt.prefixes, l.found)
			}
			if diff := cmp.Diff(tt.lines, l.lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// What follows a byte order mark elsewhere is not a prefix.
func TestListMarkInside(t *testing.T) {
	t.Parallel()
	if l, prefixes := readList(t, "10.0.0.0/8\n\ufeff11.0.0.0/8\n"); len(prefixes) != 1 || len(l.found) != 1 || l.found[0].Line != 2 {
		t.Errorf("%v, %v", prefixes, l.found)
	}
}

func TestListLongLine(t *testing.T) {
	t.Parallel()
	l, prefixes := readList(t, "10.0.0.0/8\n#"+strings.Repeat("x", bufio.MaxScanTokenSize)+"\n11.0.0.0/8\n")
	want := "list.txt:2: policy.pools[0].prefixes_file: is longer than 64 KiB, and nothing after it was read: " + oneEach
	if got := l.problems().Error(); got != want || len(prefixes) != 1 {
		t.Errorf("%v, %s", prefixes, got)
	}
}

func TestListReadError(t *testing.T) {
	t.Parallel()
	l := &list{}
	prefixes, err := l.read(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("10.0.0.0/8\n"))), nil)
	if !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("read = %v, %v", prefixes, err)
	}
}

// A list that cannot be one is refused before anything is read, and without
// waiting.
func TestOpenList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, huge := filepath.Join(dir, "fifo"), filepath.Join(dir, "huge")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxListSize+1); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want, fix string }{
		{fifo, "read " + fifo + ": not a regular file", "name a plain file that can be read"},
		{"/dev/zero", "read /dev/zero: not a regular file", "name a plain file that can be read"},
		{huge, "read " + huge + ": file too large", "divide it among several entries: one has at most 256 MiB"},
		{dir, "read " + dir + ": is a directory", "name a file inside it"},
		{dir + "/absent", "open " + dir + "/absent: no such file or directory", "name an existing file; a relative path starts where the configuration is"},
	}
	for _, tt := range tests {
		f, err := input.Open(tt.path, maxListSize)
		if err == nil {
			f.Close()
			t.Errorf("%s opens", tt.path)
			continue
		}
		if err.Error() != tt.want || listFix(err) != tt.fix {
			t.Errorf("%s: %v: %s", tt.path, err, listFix(err))
		}
	}
	// Root reads everything, so the real thing cannot be had here.
	if got := listFix(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}); !strings.Contains(got, "run as root") {
		t.Errorf("fix = %q", got)
	}
}

// A list with mistakes in every line tells the first, and how many there are.
func TestLoadManyInList(t *testing.T) {
	t.Parallel()
	problems := loadProblems(t, "testdata/many-list.yaml")
	golden(t, "testdata/many-list.txt", problems.Error()+"\n")
}

// A list is read anew by each Load, and a change of it needs no restart.
func TestListChanges(t *testing.T) {
	t.Parallel()
	path := writeMany(t, manyPrefixes(10))
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "many.txt"), []byte("10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Policy.Pools[0].Prefixes; !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}) {
		t.Errorf("prefixes after the change: %v", got)
	}
	if keys := before.RestartKeys(after); len(keys) > 0 {
		t.Errorf("the change needs a restart: %v", keys)
	}
}

// There is room for each prefix, not much for what are none, and the list is read
// from its beginning.
func TestRoom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want int
	}{
		{"", 1},
		{"1.0.0.0/8", 1},
		{"1.0.0.0/8\n1.0.0.0/9", 2},
		{strings.Repeat("\n", 1000), 101},
	}
	for i, tt := range tests {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := input.Open(path, maxListSize)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := room(f); got != tt.want {
			t.Errorf("room for %d in %q, want %d", got, tt.text, tt.want)
		}
		var again bytes.Buffer
		if _, err := again.ReadFrom(f); err != nil || again.String() != tt.text {
			t.Errorf("afterwards %q is read (%v), want %q", again.String(), err, tt.text)
		}
	}
}

// FuzzPrefixList compares what is read of a list with what netip says of each
// line. Every line that says something is a prefix or a problem, and problems are
// few and short.
func FuzzPrefixList(f *testing.F) {
	f.Add([]byte("100.64.0.0/10\n2001:db8::/32\n"))
	f.Add([]byte("\xef\xbb\xbf# remark\r\n\r\n 10.0.0.0/8\t# remark\r\n::ffff:10.0.0.0/104"))
	f.Add([]byte("10.0.0.1\n10.0.0.0/255.0.0.0\n10.0.0.1/8\n10.0.0.0/8, 11.0.0.0/8\n\"::/8\"\nfe80::1%eth0/64\n"))
	f.Add([]byte("\xff\xfe1\x000\x00\n\x00\n\u00a0\u2028\n"))
	f.Add(bytes.Repeat([]byte("x\n"), 50))
	f.Fuzz(func(t *testing.T, data []byte) {
		given := slices.Clone(data)
		l := &list{file: "list.txt", key: "policy.pools[0].prefixes_file"}
		before := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		prefixes, err := l.read(bytes.NewReader(data), before)
		if err != nil || !slices.Equal(given, data) {
			t.Fatalf("error %v; input changed: %t", err, !slices.Equal(given, data))
		}
		want, lines, wrong := slowList(string(data))
		if !slices.Equal(append(before, want...), prefixes) || !slices.Equal(lines, l.lines) || l.first != 1 {
			t.Errorf("%v on lines %v, want %v on %v", prefixes[1:], l.lines, want, lines)
		}
		if got := len(l.found) + l.more; got != wrong {
			t.Errorf("%d problems, want %d", got, wrong)
		}
		problems := l.problems()
		checkProblems(t, problems)
		if len(problems) > maxListProblems+1 {
			t.Errorf("%d problems are told", len(problems))
		}
		for _, p := range problems {
			if len(p.String()) > 1000 {
				t.Errorf("long: %s", p)
			}
		}
	})
}

// slowList reads a list at once: its prefixes, their lines, and how many lines are
// none. The first that is too long is the last.
func slowList(text string) (prefixes []netip.Prefix, lines []uint32, wrong int) {
	for i, line := range strings.Split(text, "\n") {
		if len(line) >= bufio.MaxScanTokenSize {
			return prefixes, lines, wrong + 1
		}
		if i == 0 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(strings.SplitN(line, "#", 2)[0])
		if line == "" {
			continue
		}
		p, err := netip.ParsePrefix(line)
		if err != nil {
			wrong++
			continue
		}
		prefixes, lines = append(prefixes, p), append(lines, uint32(i)+1)
	}
	return prefixes, lines, wrong
}
