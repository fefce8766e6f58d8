// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
)

// many is how many leases the tests of size have: OP25B_LEASES=1000000 for what
// the figures in docs/leases.md say.
func many(t testing.TB) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("OP25B_LEASES"))
	if err != nil {
		return 20_000
	}
	return n
}

// writeMany writes a file with n leases.
func writeMany(t testing.TB, path string, n int, line func(i int, addr netip.Addr) string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	addr := netip.MustParseAddr("10.0.0.0")
	for i := range n {
		addr = addr.Next()
		_, _ = w.WriteString(line(i, addr))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A million leases: how long the first reading takes, how much memory is held, and
// how long an update takes, in each kind of file. The times are logged; only the
// memory is judged.
func TestManyLeases(t *testing.T) {
	n := many(t)
	mac := func(i int) string {
		return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", i>>24&255, i>>16&255, i>>8&255, i&255)
	}
	for _, kind := range []struct {
		name   string
		source func(name, path string) *File
		head   string
		line   func(i int, addr netip.Addr) string
	}{
		{"dnsmasq", NewDnsmasq, "", func(i int, addr netip.Addr) string {
			return fmt.Sprintf("4000000000 %s %s host-%d 01:%s\n", mac(i), addr, i, mac(i))
		}},
		{"kea", NewKea, keaHead, func(i int, addr netip.Addr) string {
			return fmt.Sprintf("%s,%s,01:%s,3600,4000000000,1,0,0,host-%d,0,\n", addr, mac(i), mac(i), i)
		}},
		{"isc", NewISC, "# written by dhcpd\n", func(i int, addr netip.Addr) string {
			return fmt.Sprintf("lease %s {\n  starts 2 2026/11/24 08:00:00;\n  ends 2 2096/11/24 20:00:00;\n  cltt 2 2026/11/24 08:00:00;\n"+
				"  binding state active;\n  next binding state free;\n  rewind binding state free;\n  hardware ethernet %s;\n"+
				"  uid \"\\001RT\\000\\0224V\";\n  client-hostname \"host-%d\";\n}\n", addr, mac(i), i)
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "leases")
			lines := func(changed string) func(i int, addr netip.Addr) string {
				return func(i int, addr netip.Addr) string {
					line := kind.line(i, addr)
					if i == n/2 {
						line = strings.ReplaceAll(line, "host-"+strconv.Itoa(i), changed)
					}
					if i == 0 {
						line = kind.head + line
					}
					return line
				}
			}
			writeMany(t, path, n, lines("before"))
			changes := 0
			b := NewBook(Options{OnChange: func(Event) { changes++ }})
			source := kind.source("s", path)
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			empty, begun := heap(), time.Now()
			look := func(source *File) string {
				begun, busy := time.Now(), processorTime(t)
				if err := source.look(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				return fmt.Sprintf("%.3f s (%.3f s of processor)", time.Since(begun).Seconds(), (processorTime(t) - busy).Seconds())
			}
			load := look(source)
			if b.Len() != n || changes != n {
				t.Fatalf("%d leases, %d told of, want %d", b.Len(), changes, n)
			}
			rss := residentMiB(t)
			held := float64(heap()-empty) / (1 << 20)

			middle := netip.MustParseAddr("10.0.0.0")
			for range n/2 + 1 {
				middle = middle.Next()
			}
			written := time.Now()
			if source.format.grows {
				file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = file.WriteString(strings.ReplaceAll(kind.line(n/2, middle), "host-"+strconv.Itoa(n/2), "after"))
				file.Close()
			} else {
				writeMany(t, path, n, lines("after"))
				time.Sleep(settled) // or the waiting would be counted, which is no work
			}
			update := look(source)
			if l, _ := b.Lookup(middle); l.Hostname != "after" {
				t.Errorf("%+v, written %s ago", l, time.Since(written))
			}
			// The whole once more, as after a rotation.
			fresh := kind.source("s", path)
			again := look(fresh)
			t.Logf("%d leases: load %s, an update %s, the whole again %s; %.0f MiB held, %.0f MiB resident after the load; %d changes told, %s in all",
				n, load, update, again, held, rss, changes, time.Since(begun).Round(time.Millisecond))
			if perLease := held * (1 << 20) / float64(n); perLease > 150 {
				t.Errorf("%.0f bytes for each lease", perLease)
			}
		})
	}
}

// A million sessions by RADIUS accounting.
func TestManySessions(t *testing.T) {
	n := many(t)
	told := 0
	book := NewBook(Options{OnChange: func(Event) { told++ }, Now: func() time.Time { return dawn }})
	server := newServer("bras/192.0.2.10")
	addr := netip.MustParseAddr("10.0.0.0")
	begun := processorTime(t)
	for i := range n {
		addr = addr.Next()
		packet := radius.New(radius.CodeAccountingRequest, secret)
		_ = rfc2866.AcctSessionID_SetString(packet, strconv.Itoa(i))
		_ = rfc2865.UserName_SetString(packet, fmt.Sprintf("user-%d@example.net", i))
		_ = rfc2865.FramedIPAddress_Set(packet, addr.AsSlice())
		server.up(packet, dawn, book)
	}
	if book.Len() != n || told != n {
		t.Errorf("%d leases, %d told of", book.Len(), told)
	}
	t.Logf("%d sessions: %s of processor, %.0f MiB resident at most", n, processorTime(t)-begun, residentMiB(t))
	begun = processorTime(t)
	server.restart(dawn, book)
	if book.Len() != 0 {
		t.Errorf("%d leases", book.Len())
	}
	t.Logf("all gone: %s of processor", processorTime(t)-begun)
}

// processorTime returns what the process has used of the processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMiB returns what the process holds of the machine's memory.
func residentMiB(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	return 0
}

func BenchmarkLookup(b *testing.B) {
	d := newDesk()
	addr := netip.MustParseAddr("10.0.0.0")
	for range 100_000 {
		addr = addr.Next()
		d.Lease(Event{Lease: Lease{Prefix: netip.PrefixFrom(addr, 32), Holder: "alice", Source: "a"}, Time: d.now})
	}
	for b.Loop() {
		if _, ok := d.Lookup(addr); !ok {
			b.Fatal("not found")
		}
	}
}
