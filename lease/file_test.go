// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shelf is a source that follows a file, looked at by hand.
type shelf struct {
	*desk
	t      *testing.T
	source *File
	path   string
	tick   int
}

func newShelf(t *testing.T, newSource func(name, path string) *File) *shelf {
	t.Helper()
	s := &shelf{desk: newDesk(), t: t, path: filepath.Join(t.TempDir(), "leases")}
	s.source = newSource("a", s.path)
	s.source.now = func() time.Time { return s.now }
	return s
}

// look looks once and returns the error.
func (s *shelf) look() error { return s.source.look(s.t.Context(), s) }

func (s *shelf) mustLook() {
	s.t.Helper()
	if err := s.look(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) wantError(text string) {
	s.t.Helper()
	if err := s.look(); err == nil || !strings.Contains(err.Error(), text) {
		s.t.Errorf("got %v, want %s", err, text)
	}
}

// write writes a file beside the source's; its time is another one each time, and
// long ago.
func (s *shelf) write(suffix, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path+suffix, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.touch(suffix)
}

func (s *shelf) touch(suffix string) {
	s.t.Helper()
	s.tick++
	when := dawn.Add(-time.Hour + time.Duration(s.tick)*time.Millisecond)
	if err := os.Chtimes(s.path+suffix, when, when); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) add(text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	s.touch("")
}

func (s *shelf) rename(from, to string) {
	s.t.Helper()
	if err := os.Rename(s.path+from, s.path+to); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) remove(suffix string) {
	s.t.Helper()
	if err := os.Remove(s.path + suffix); err != nil {
		s.t.Fatal(err)
	}
}

const (
	alice = "0 52:54:00:00:00:01 192.0.2.1 alice *\n"
	bob   = "0 52:54:00:00:00:02 192.0.2.2 bob *\n"
)

func TestDnsmasqFile(t *testing.T) {
	t.Parallel()
	s := newShelf(t, NewDnsmasq)
	s.wantError("name the file that the DHCP server writes")
	s.write("", alice+bob)
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.1/32 52:54:00:00:00:01", "08:00:00 granted a 192.0.2.2/32 52:54:00:00:00:02")
	s.mustLook() // nothing has changed
	s.write("", bob)
	s.mustLook()
	s.want(t, "08:00:00 released a 192.0.2.1/32 52:54:00:00:00:01")

	// Away for a moment, and for longer.
	s.remove("")
	if err := s.look(); !errors.Is(err, errNoNews) {
		t.Error(err)
	}
	s.after(absence)
	if err := s.look(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s.want(t)

	// Half written: the end is missing.
	s.write("", alice+bob[:20])
	s.wantError("cut off")
	s.want(t)
	// Rubbish.
	s.write("", "<html>\nno leases here\n"+alice)
	s.wantError(`2 of 3 lines or declarations make no sense, nothing of it is believed: name the lease file and its kind; the first: ` + s.path + `:1: not the five fields of a lease: "<html>"`)
	s.wantError("nothing of it is believed")
	s.want(t)
	// One bad line among others.
	s.write("", alice+"nonsense\n"+bob)
	s.mustLook()
	s.want(t, "08:00:10 granted a 192.0.2.1/32 52:54:00:00:00:01")
	if h := s.Health()[0]; h.BadLines != 1 || !strings.HasPrefix(h.Problems[0].String(), s.path+":2: ") {
		t.Errorf("%+v", h)
	}
	s.write("", "")
	s.mustLook()
	s.want(t, "08:00:10 released a 192.0.2.1/32 52:54:00:00:00:01", "08:00:10 released a 192.0.2.2/32 52:54:00:00:00:02")
	if h := s.Health()[0]; h.BadLines != 0 || len(h.Problems) != 0 {
		t.Errorf("%+v", h)
	}
}

// A file that is written all the time is not read while it is.
func TestDnsmasqUnsettled(t *testing.T) {
	t.Parallel()
	s := newShelf(t, NewDnsmasq)
	s.write("", alice)
	future := dawn.Add(time.Hour)
	if err := os.Chtimes(s.path, future, future); err != nil {
		t.Fatal(err)
	}
	s.mustLook() // its time is odd, but nothing changes
	s.want(t, "08:00:00 granted a 192.0.2.1/32 52:54:00:00:00:01")
}

// dnsmasq empties its file and writes it anew; nobody loses a lease over what a
// reader sees in between.
func TestDnsmasqRewrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leases")
	if err := os.WriteFile(path, []byte(alice+bob), 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan Event, 100)
	b := NewBook(Options{OnChange: func(e Event) { told <- e }})
	f := NewDnsmasq("a", path)
	f.poll = time.Millisecond
	const long = 5 * settled // a writer whom a busy machine keeps waiting is still at it
	f.settled = long
	runBook(t, b, f)
	<-told
	<-told
	for range 4 {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{alice, bob[:15], bob[15:]} {
			time.Sleep(long / 100)
			if _, err := file.WriteString(piece); err != nil {
				t.Fatal(err)
			}
		}
		file.Close()
		time.Sleep(long * 3 / 2)
	}
	if err := os.WriteFile(path, []byte(alice+bob+"0 52:54:00:00:00:03 192.0.2.3 carol *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := <-told; e.Hostname != "carol" {
		t.Errorf("%+v", e)
	}
}

func TestOddFiles(t *testing.T) {
	t.Parallel()
	s := newShelf(t, NewISC)
	if err := unix.Mkfifo(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wantError("not a regular file")
	s.remove("")
	if err := os.Mkdir(s.path, 0o700); err != nil {
		t.Fatal(err)
	}
	s.wantError("not a regular file")
}

func iscLeaseText(last int, holder, state string) string {
	return fmt.Sprintf("lease 192.0.2.%d {\n  binding state %s;\n  hardware ethernet %s;\n}\n", last, state, holder)
}

func TestISCFile(t *testing.T) {
	t.Parallel()
	s := newShelf(t, NewISC)
	const head = "# written by dhcpd\n"
	s.write("", head+iscLeaseText(1, "aa:01", "active")+iscLeaseText(1, "aa:02", "active")+iscLeaseText(2, "aa:03", "active")+iscLeaseText(2, "aa:03", "free"))
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.1/32 aa:02")
	// It grows, in pieces.
	text := iscLeaseText(3, "aa:04", "active")
	s.add(text[:30])
	s.mustLook()
	s.want(t)
	s.add(text[30:] + iscLeaseText(1, "aa:02", "free"))
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.3/32 aa:04", "08:00:00 released a 192.0.2.1/32 aa:02")
	s.add("lease 192.0.2.x {\n}\n")
	s.mustLook()
	if h := s.Health()[0]; h.BadLines != 1 || !strings.HasPrefix(h.Problems[0].String(), s.path+":26: not an address") {
		t.Errorf("%v", h.Problems)
	}
	// Written anew.
	s.write(".new", head+iscLeaseText(3, "aa:04", "active")+iscLeaseText(4, "aa:05", "active"))
	s.rename("", "~")
	if err := s.look(); !errors.Is(err, errNoNews) {
		t.Error(err)
	}
	s.rename(".new", "")
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.4/32 aa:05")
	// Emptied, and written anew in place, longer than before.
	s.write("", "")
	s.wantError("is the disk full?")
	s.want(t)
	s.write("", "# written by somebody else\n"+strings.Repeat(iscLeaseText(5, "aa:06", "active"), 10))
	s.mustLook()
	s.want(t, "08:00:00 released a 192.0.2.4/32 aa:05", "08:00:00 released a 192.0.2.3/32 aa:04", "08:00:00 granted a 192.0.2.5/32 aa:06")
}

const keaHead = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"

func keaRow(last int, holder string, life int) string {
	return fmt.Sprintf("192.0.2.%d,%s,,%d,4000000000,1,0,0,,0,\n", last, holder, life)
}

// What Kea's cleanup does, step by step; nobody loses a lease over it.
func TestKeaFile(t *testing.T) {
	t.Parallel()
	s := newShelf(t, NewKea)
	s.write("", "")
	s.wantError("no line with the names of Kea's columns")
	s.write(".2", keaHead+keaRow(1, "aa:01", 60)+keaRow(2, "aa:02", 60))
	s.write("", keaHead+keaRow(2, "aa:03", 60)+keaRow(3, "aa:04", 60))
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.1/32 aa:01", "08:00:00 granted a 192.0.2.2/32 aa:03", "08:00:00 granted a 192.0.2.3/32 aa:04")
	s.add(keaRow(3, "aa:04", 0))
	s.mustLook()
	s.want(t, "08:00:00 released a 192.0.2.3/32 aa:04")

	s.add(keaRow(4, "aa:05", 60)) // nobody has looked since
	s.rename("", ".1")
	if err := s.look(); !errors.Is(err, errNoNews) {
		t.Error(err)
	}
	s.write("", keaHead+keaRow(5, "aa:06", 60))
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.4/32 aa:05", "08:00:00 granted a 192.0.2.5/32 aa:06")
	merged := keaHead + keaRow(1, "aa:01", 60) + keaRow(2, "aa:03", 60) + keaRow(4, "aa:05", 60)
	s.write(".output", merged)
	s.rename(".output", ".completed")
	s.add(keaRow(6, "aa:07", 60))
	s.mustLook()
	s.want(t, "08:00:00 granted a 192.0.2.6/32 aa:07")
	s.remove(".2")
	again := NewKea("a", s.path) // the gateway is started again
	again.now = s.source.now
	s.source = again
	s.mustLook()
	s.want(t)
	s.rename(".completed", ".2")
	s.remove(".1")
	s.mustLook()
	s.want(t)
	again = NewKea("a", s.path)
	again.now = s.source.now
	s.source = again
	s.mustLook()
	s.want(t)
	if s.Len() != 5 {
		t.Errorf("%d leases", s.Len())
	}
}

func TestFileRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leases")
	told := make(chan Event, 10)
	b := NewBook(Options{OnChange: func(e Event) { told <- e }})
	f := NewDnsmasq("a", path)
	f.poll = time.Millisecond
	runBook(t, b, f)
	await(t, func() bool { h := b.Health(); return len(h) == 1 && h[0].Degraded() })
	if err := os.WriteFile(path, []byte(alice), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := <-told; e.Kind != Granted || e.Hostname != "alice" {
		t.Errorf("%+v", e)
	}
	await(t, func() bool { return !b.Health()[0].Degraded() })
}
