// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"op25b/census"
)

// population is of subscribers, of whom most never use port 25: what they do in an
// hour follows from who and when alone.
type population struct{ subscribers int }

// habit is what a subscriber does.
type habit int

const (
	silent  habit = iota
	relayer       // 20 %: some mail by the provider's relay, 5 hours a day
	mailer        // 2.5 %: a few attempts at 1 to 3 servers, 10 hours a day
	bot           // 0.3 %: hundreds of attempts, every hour
	scanner       // 0.05 %: thousands of destinations, every hour
)

func (p population) habit(i int) habit {
	switch n := i * 7919 % 10_000; {
	case n < 5:
		return scanner
	case n < 35:
		return bot
	case n < 285:
		return mailer
	case n < 2285:
		return relayer
	}
	return silent
}

// subscriber i: three of four have IPv4.
func (p population) subscriber(i int) netip.Prefix {
	if i%4 != 3 {
		return numbered(i)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i)}), 56)
}

// server is one of many, of the family of who asks.
func server(of netip.Prefix, n uint32) netip.Prefix {
	var a [16]byte
	binary.BigEndian.PutUint32(a[:], n)
	if of.Addr().Is4() {
		a[0] = 198
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(a[:4])), 32)
	}
	binary.BigEndian.PutUint64(a[8:], uint64(n)*2654435761)
	a[0], a[1] = 0x2a, 0x01
	return netip.PrefixFrom(netip.AddrFrom16(a), 128)
}

// record is what subscriber i did in an hour, if anything.
func (p population) record(i int, hour time.Time) (census.Record, bool) {
	h, of := p.habit(i), hour.Hour()
	r := rand.New(rand.NewPCG(uint64(i), uint64(hour.Unix())))
	names, attempts, outcome := 1, 1+r.IntN(6), census.Refused
	switch {
	case h == silent, h == relayer && (of+i)%24 >= 5, h == mailer && (of < 8 || of >= 18):
		return census.Record{}, false
	case h == relayer:
		outcome = census.Relayed
	case h == mailer:
		names = 1 + i%3
	case h == bot:
		names, attempts = census.MostTop, 1+r.IntN(30)
	case h == scanner:
		names, attempts = census.MostTop, 100
	}
	rec := census.Record{Hour: hour, Subscriber: p.subscriber(i), Pool: []string{"cable", "dsl", "fiber"}[i%3], Destinations: uint64(names)}
	for n := range names {
		at := uint32(i*8 + n)
		if h >= bot {
			at = r.Uint32()
		}
		rec.Top = append(rec.Top, destination(r, &rec, server(rec.Subscriber, at), uint64(max(1, attempts-n)), outcome))
	}
	if h >= bot {
		rec.Destinations, rec.Estimated = uint64(200*attempts), true
		rec.Attempts[outcome] += rec.Destinations
		rec.Packets += 2 * rec.Destinations
		rec.Minutes = 1<<60 - 1
	}
	if h == bot && i%50 == 0 {
		rec.Unsolicited = census.Unsolicited{SYNACKs: 300, Data: 4000, Peers: 20, DataPeers: 19}
	}
	return rec, true
}

// destination is one with some attempts, which are counted in rec too.
func destination(r *rand.Rand, rec *census.Record, p netip.Prefix, attempts uint64, outcome census.Outcome) census.Destination {
	d := census.Destination{Prefix: p, Port: 25, Outcome: outcome, Attempts: attempts, Packets: attempts}
	if outcome == census.Refused {
		d.Packets += uint64(r.IntN(3)) * attempts
	}
	first := r.IntN(3600)
	last := first
	for n := range min(attempts, 60) {
		s := first
		if n > 0 {
			s += r.IntN(3600 - first)
		}
		last = max(last, s)
		rec.Minutes |= 1 << (s / 60)
	}
	d.First, d.Last = rec.Hour.Add(time.Duration(first)*time.Second), rec.Hour.Add(time.Duration(last)*time.Second)
	rec.Attempts[outcome] += d.Attempts
	rec.Packets += d.Packets
	return d
}

func (p population) hour(hour time.Time) (records []census.Record) {
	for i := range p.subscribers {
		if r, ok := p.record(i, hour); ok {
			records = append(records, r)
		}
	}
	return records
}

// mostMemory is what this process has had at most, as Linux writes it.
func mostMemory(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// TestJournalMonth writes the records of a month, and reads them as reports and
// support do. Settings: OP25B_JOURNAL_WHOLE (1 for 30 days of 100,000 subscribers;
// otherwise 3 days of 2,000). What it logs of a whole one is in docs/journal.md.
func TestJournalMonth(t *testing.T) {
	t.Parallel()
	p, days := population{2_000}, 3
	if os.Getenv("OP25B_JOURNAL_WHOLE") == "1" {
		p, days = population{100_000}, 30
	}
	begin := noon.Add(-12 * time.Hour)
	opts := options(t)
	opts.Now, opts.Log = time.Now, zap.NewNop()
	j := open(t, opts)

	var told int
	var attempts uint64
	var wrote, busy time.Duration
	for h := range 24 * days {
		records := p.hour(begin.Add(time.Duration(h) * time.Hour))
		told += len(records)
		for i := range records {
			attempts += records[i].Total()
		}
		start, before := time.Now(), processorTime(t)
		j.AddRecords(records)
		flush(t, j)
		wrote += time.Since(start)
		busy += processorTime(t) - before
	}
	t.Logf("%d records in %v (%v of processor time), %.0f a second", told, wrote.Round(time.Millisecond), busy.Round(time.Millisecond), float64(told)/wrote.Seconds())
	do(t, j, func(w *writer) error { // so that the log counts for nothing
		_, err := w.store.conn.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	})
	h := j.Health()
	if h.Records != int64(told) || !h.OldestRecord.Equal(begin) || h.Lost != 0 {
		t.Errorf("%+v", h)
	}
	perRecord := float64(h.Size) / float64(told)
	t.Logf("%d octets, %.1f each; memory so far %s", h.Size, perRecord, mostMemory(t))
	if perRecord > 90 {
		t.Error("records have become larger than docs/journal.md says")
	}

	for _, of := range []int{min(7, days), days} {
		start, before, n, sum := time.Now(), processorTime(t), 0, uint64(0)
		for r, err := range j.Records(t.Context(), begin.Add(time.Duration(days-of)*day), begin.Add(time.Duration(days)*day), netip.Prefix{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			sum += r.Total()
		}
		t.Logf("%d days read in %v (%v of processor time); memory so far %s", of,
			time.Since(start).Round(time.Millisecond), (processorTime(t) - before).Round(time.Millisecond), mostMemory(t))
		if of == days && (n != told || sum != attempts) {
			t.Errorf("%d records of %d, %d attempts of %d", n, told, sum, attempts)
		}
	}
	p.lookUp(t, j, begin, days)

	start, steps := time.Now(), 0
	do(t, j, func(w *writer) error {
		var s sweep
		for done := false; !done; steps++ {
			var err error
			if done, err = s.step(t.Context(), w.store, begin.Add(day)); err != nil {
				return err
			}
		}
		return w.count(t.Context())
	})
	gone := told - int(j.Health().Records)
	t.Logf("a day forgotten: %d records in %v, %d steps", gone, time.Since(start).Round(time.Millisecond), steps)
	if got := j.Health().OldestRecord; !got.Equal(begin.Add(day)) {
		t.Error(got)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// lookUp asks for all that some subscribers did.
func (p population) lookUp(t *testing.T, j *Journal, begin time.Time, days int) {
	t.Helper()
	var took []time.Duration
	seen := make(map[habit]int)
	for i := 0; i < p.subscribers && len(took) < 400; i += 1 + p.subscribers/400 {
		var want, got []census.Record
		for h := range 24 * days {
			if r, ok := p.record(i, begin.Add(time.Duration(h)*time.Hour)); ok {
				want = append(want, r)
			}
		}
		start := time.Now()
		for r, err := range j.Records(t.Context(), begin, begin.Add(time.Duration(days)*day), p.subscriber(i)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		took = append(took, time.Since(start))
		if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" {
			t.Fatal(i, diff)
		}
		seen[p.habit(i)]++
	}
	if len(seen) < 3 {
		t.Error("few habits", seen)
	}
	slices.Sort(took)
	t.Logf("one subscriber's %d days: %v in the middle, %v at most, of %d", days, took[len(took)/2], took[len(took)-1], len(took))
}
