// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// setting is a number from the environment.
func setting(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: write a number above 0", name, text)
	}
	return n
}

// month is what BenchmarkMonth has: subscribers with a /32 and a delegated prefix
// of their own, in the journal of thirty days.
type month struct {
	leases, changes int
	clock           clock
	r               *rand.Rand
}

const day = 24 * time.Hour

// prefix of lease i: two of three IPv4, the others delegated, of three lengths.
func (m *month) prefix(i int) netip.Prefix {
	if i%3 != 0 {
		return numbered(i)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i)}),
		[]int{56, 60, 64}[i/3%3])
}

func (m *month) holder(i, change int) Holding {
	n := uint64(i)*2654435761 + uint64(change)
	return Holding{
		Prefix: m.prefix(i), Source: []string{"dhcp", "bras-a", "bras-b"}[i%3],
		Holder: fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n)),
	}
}

// write tells all that happened: each lease changes hands so many times, in any
// order of prefixes, in the order of time.
func (m *month) write(b *testing.B, j *Journal) (events int) {
	b.Helper()
	for change := range m.changes {
		for n, i := range m.r.Perm(m.leases) {
			m.clock.set(noon.Add(30 * day * time.Duration(change*m.leases+n) / time.Duration(m.changes*m.leases)))
			j.Hold(m.holder(i, change))
			if events++; events%100_000 == 0 {
				flush(b, j)
			}
		}
	}
	flush(b, j)
	return events
}

// processorTime is what this process has used.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMonth measures writing, size and lookups. Settings:
// OP25B_JOURNAL_LEASES (20000; the real one is 1000000), OP25B_JOURNAL_CHANGES
// (4), how often each changes hands in the thirty days.
func BenchmarkMonth(b *testing.B) {
	m := &month{
		leases: setting(b, "OP25B_JOURNAL_LEASES", 20_000), changes: setting(b, "OP25B_JOURNAL_CHANGES", 4),
		r: rand.New(rand.NewPCG(1, 2)),
	}
	j := open(b, Options{Path: b.TempDir() + "/journal.db", Now: m.clock.Now, Log: zap.NewNop()})
	start := time.Now()
	events := m.write(b, j)
	perSecond := float64(events) / time.Since(start).Seconds()
	if lost := j.Health().Lost; lost != 0 {
		b.Fatal("lost", lost)
	}
	do(b, j, func(w *writer) error { // so that the log counts for nothing
		_, err := w.store.conn.ExecContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	})
	size := float64(j.Health().Size)

	b.Run("renew", func(b *testing.B) {
		m.clock.set(noon.Add(30*day + time.Hour))
		for n := 0; b.Loop(); n++ {
			j.Hold(m.holder(n*7919%m.leases, m.changes-1))
			if n%10_000 == 9_999 {
				flush(b, j)
			}
		}
		flush(b, j)
	})
	b.Run("lookup", func(b *testing.B) {
		var took []time.Duration
		before := processorTime(b)
		for b.Loop() {
			addr := m.prefix(m.r.IntN(m.leases)).Addr()
			when := noon.Add(time.Duration(m.r.Int64N(int64(30 * day))))
			begin := time.Now()
			found, err := j.HolderAt(b.Context(), addr, when)
			took = append(took, time.Since(begin))
			if err != nil || len(found) > 1 {
				b.Fatal(found, err)
			}
		}
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(len(took)), "cpu-µs/op") // whatever else runs
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
		b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs/max")
		b.ReportMetric(perSecond, "written/s")
		b.ReportMetric(size/1e6, "MB")
		b.ReportMetric(size/float64(events), "octets/holding")
	})
	b.Run("release all", func(b *testing.B) {
		var first time.Duration // the others have nothing to do
		for b.Loop() {
			begin := time.Now()
			j.ReleaseAll("bras-a", time.Time{})
			flush(b, j)
			if first == 0 {
				first = time.Since(begin)
			}
		}
		b.ReportMetric(float64(m.leases/3), "holdings")
		b.ReportMetric(first.Seconds(), "s/first")
	})
}
