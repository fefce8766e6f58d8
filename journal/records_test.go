// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlite3 "modernc.org/sqlite/lib"

	"op25b/census"
)

// tried is a record of some attempts at one server, in an hour after noon.
func tried(subscriber, pool string, hour int, server string, attempts uint64) census.Record {
	r := census.Record{
		Hour: at(float64(hour)), Subscriber: netip.MustParsePrefix(subscriber), Pool: pool,
		Attempts: [census.NumOutcomes]uint64{attempts}, Packets: 2 * attempts, Destinations: 1, Minutes: 1 << 3,
	}
	r.Top = []census.Destination{{
		Prefix: netip.MustParsePrefix(server), Port: 25, Attempts: attempts, Packets: 2 * attempts,
		First: r.Hour.Add(3 * time.Minute), Last: r.Hour.Add(3*time.Minute + 9*time.Second),
	}}
	return r
}

// collect reads all records, and fails if one cannot be read.
func collect(t testing.TB, records iter.Seq2[census.Record, error]) (all []census.Record) {
	t.Helper()
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// everything is all that a journal has.
func everything(t testing.TB, j *Journal) []census.Record {
	t.Helper()
	return collect(t, j.Records(t.Context(), at(-10_000), at(100_000), netip.Prefix{}))
}

// names says of which subscriber and hour records are.
func names(records []census.Record) string {
	var all []string
	for i := range records {
		all = append(all, fmt.Sprint(records[i].Subscriber, "@", records[i].Hour.Sub(noon).Hours()))
	}
	return strings.Join(all, " ")
}

const mx, other = "203.0.113.25/32", "203.0.113.26/32"

func TestRecords(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	a, b := tried("192.0.2.1/32", "dsl", 1, mx, 3), tried("192.0.2.2/32", "dsl", 1, mx, 1)
	six, lan := tried("2001:db8:0:100::/56", "fiber", 2, "2001:db8:ffff::25/128", 4), tried("2001:db8:0:101::/64", "fiber", 3, mx, 4)
	late, moved := tried("192.0.2.1/32", "dsl", 9, mx, 3), tried("192.0.2.1/32", "cable", 1, mx, 2)
	six.Unsolicited = census.Unsolicited{SYNACKs: 1, Data: 2, Peers: 1, DataPeers: 1}
	j.AddRecords([]census.Record{late, six, b})
	j.AddRecords([]census.Record{a, lan, moved})
	flush(t, j)
	if diff := cmp.Diff([]census.Record{a, moved, b, six, lan, late}, everything(t, j), comparePrefixes()); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		from, to float64
		within   string
		want     string
	}{
		{1, 2, "", "192.0.2.1/32@1 192.0.2.1/32@1 192.0.2.2/32@1"},
		{1.001, 9, "", "2001:db8:0:100::/56@2 2001:db8:0:101::/64@3"},
		{9, 9.001, "", "192.0.2.1/32@9"},
		{5, 5, "", ""},
		{9, 1, "", ""},
		{0, 99, "192.0.2.1/32", "192.0.2.1/32@1 192.0.2.1/32@1 192.0.2.1/32@9"},
		{0, 99, "::ffff:192.0.2.2/128", "192.0.2.2/32@1"},
		{0, 99, "192.0.2.77/24", "192.0.2.1/32@1 192.0.2.1/32@1 192.0.2.2/32@1 192.0.2.1/32@9"},
		{0, 99, "192.0.3.0/24", ""},
		{0, 99, "0.0.0.0/0", "192.0.2.1/32@1 192.0.2.1/32@1 192.0.2.2/32@1 192.0.2.1/32@9"},
		{0, 99, "::/0", "2001:db8:0:100::/56@2 2001:db8:0:101::/64@3"},
		{0, 99, "2001:db8:0:100::/56", "2001:db8:0:100::/56@2 2001:db8:0:101::/64@3"},
		{0, 99, "2001:db8:0:101::/64", "2001:db8:0:101::/64@3"},
		{0, 99, "2001:db8:0:101::1/128", ""},
	} {
		var p netip.Prefix
		if test.within != "" {
			p = netip.MustParsePrefix(test.within)
		}
		if got := names(collect(t, j.Records(t.Context(), at(test.from), at(test.to), p))); got != test.want {
			t.Errorf("%v-%v %s:\n got %s\nwant %s", test.from, test.to, test.within, got, test.want)
		}
	}
	if h := j.Health(); h.Records != 6 || !h.OldestRecord.Equal(at(1)) || h.Lost != 0 || h.Waiting != 0 {
		t.Errorf("%+v", h)
	}
	// A caller may stop, and a context end.
	for r, err := range j.Records(t.Context(), at(0), at(99), netip.Prefix{}) {
		if err != nil || r.Hour != at(1) {
			t.Error(r, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range j.Records(ctx, at(0), at(99), netip.Prefix{}) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	j.Close()
	n := 0
	for _, err := range j.Records(t.Context(), at(0), at(99), netip.Prefix{}) {
		if n++; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Error(n)
	}
}

func TestRecordsOdd(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	if h := j.Health(); h.Records != 0 || !h.OldestRecord.IsZero() {
		t.Errorf("%+v", h)
	}
	wrong, nobody := tried("192.0.2.1/32", "dsl", 1, mx, 1), tried("192.0.2.1/32", "dsl", 1, mx, 1)
	wrong.Top[0].Outcome, nobody.Subscriber = census.NumOutcomes, netip.Prefix{}
	mapped, huge := tried("::ffff:192.0.2.9/128", strings.Repeat("p", 300), 1, mx, 1), tried("192.0.2.10/32", "dsl", 1, mx, 1)
	mapped.Hour = mapped.Hour.Add(17 * time.Minute).In(time.FixedZone("", 9*3600)) // not whole
	huge.Packets = 1 << 63
	j.AddRecords([]census.Record{wrong, mapped, nobody, huge})
	j.AddRecords(nil)
	flush(t, j)
	got := everything(t, j)
	if h := j.Health(); h.Lost != 2 || names(got) != "192.0.2.9/32@1 192.0.2.10/32@1" {
		t.Errorf("%+v %s", h, names(got))
	}
	if got[0].Hour.Location() != time.UTC || len(got[0].Pool) != longest || got[1].Packets != 1<<63-1 {
		t.Errorf("%+v", got)
	}
}

// TestRecordsMerge adds to the record of an hour, as after a restart.
func TestRecordsMerge(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	first, second := tried("192.0.2.1/32", "dsl", 1, mx, 3), tried("192.0.2.1/32", "dsl", 1, mx, 4)
	second.Minutes = 1 << 59
	second.Top[0].First, second.Top[0].Last = at(1.5), at(1.75)
	second.Top[0].Outcome, second.Attempts = census.Monitored, [census.NumOutcomes]uint64{census.Monitored: 4}
	second.Top = append(second.Top, tried("192.0.2.1/32", "dsl", 1, other, 9).Top...)
	second.Destinations, second.Attempts[census.Refused] = 2, 9
	first.Unsolicited = census.Unsolicited{SYNACKs: 1, Resets: 2, Data: 3, Peers: 4, DataPeers: 1}
	second.Unsolicited = census.Unsolicited{SYNACKs: 10, Resets: 20, Data: 30, Peers: 2, DataPeers: 2}
	j.AddRecords([]census.Record{first})
	flush(t, j)
	j.AddRecords([]census.Record{second})
	flush(t, j)
	want := tried("192.0.2.1/32", "dsl", 1, other, 9)
	want.Attempts, want.Packets, want.Destinations = [census.NumOutcomes]uint64{census.Refused: 12, census.Monitored: 4}, 14, 2
	want.Minutes = 1<<3 | 1<<59
	want.Unsolicited = census.Unsolicited{SYNACKs: 11, Resets: 22, Data: 33, Peers: 4, DataPeers: 2}
	want.Top = append(want.Top, census.Destination{
		Prefix: netip.MustParsePrefix(mx), Port: 25, Outcome: census.Monitored, Attempts: 7, Packets: 14, First: first.Top[0].First, Last: at(1.75),
	})
	if diff := cmp.Diff([]census.Record{want}, everything(t, j), comparePrefixes()); diff != "" {
		t.Error(diff)
	}
	if h := j.Health(); h.Records != 1 || h.Lost != 0 {
		t.Errorf("%+v", h)
	}
	if len(first.Top) != 1 || first.Top[0].Attempts != 3 {
		t.Error("what is only to be read was changed", first.Top)
	}
}

// TestRecordsPages has more than a page in an hour, just a page, and hours of a few.
func TestRecordsPages(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	var want []census.Record
	for hour, n := range []int{2*pageSize + 7, 3, pageSize, 0, pageSize - 3, 3, 1} {
		var records []census.Record
		for i := range n {
			r := tried("192.0.2.1/32", fmt.Sprint("pool", i%2), hour, mx, uint64(i+1))
			r.Subscriber = numbered(i / 2)
			records = append(records, r)
		}
		want = append(want, records...)
		j.AddRecords(records)
	}
	want = slices.Clone(want)
	flush(t, j)
	if diff := cmp.Diff(want, everything(t, j), comparePrefixes()); diff != "" {
		t.Error(diff)
	}
	want = slices.DeleteFunc(want, func(r census.Record) bool { return !netip.MustParsePrefix("10.0.1.0/24").Contains(r.Subscriber.Addr()) })
	if diff := cmp.Diff(want, collect(t, j.Records(t.Context(), at(0), at(9), netip.MustParsePrefix("10.0.1.0/24"))), comparePrefixes()); diff != "" {
		t.Error(diff)
	}
}

// TestRecordsPlan makes sure that SQLite seeks, and sorts nothing.
func TestRecordsPlan(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	plan := func(query string, args ...any) string {
		rows, err := j.reader.Load().db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var steps []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, step)
		}
		return strings.Join(steps, "; ")
	}
	if got, want := plan(hoursQuery, []byte{0}, []byte{1}, 1, 2, 3),
		"SEARCH h USING INTEGER PRIMARY KEY (rowid>? AND rowid<?); SEARCH r USING PRIMARY KEY (hour=? AND subscriber>? AND subscriber<?)"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if got, want := plan(hourQuery, 1, []byte{0}, 1, []byte{1}, 3),
		"SEARCH records USING PRIMARY KEY (hour=? AND (subscriber,pool)>(?,?) AND subscriber<?)"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestRecordsQueue fills it while nobody writes, and does not count holdings.
func TestRecordsQueue(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.Queue, opts.Records = 2, 10
	j := open(t, opts)
	do(t, j, func(*writer) error {
		for i := range 7 {
			j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", i, mx, 1), tried("192.0.2.2/32", "dsl", i, mx, 1)})
		}
		j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
		if h := j.Health(); h.Lost != 4 || h.Waiting != 11 {
			t.Errorf("%+v", h)
		}
		return nil
	})
	flush(t, j)
	if h := j.Health(); h.Lost != 4 || h.Waiting != 0 || h.Records != 10 {
		t.Errorf("%+v", h)
	}
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 8, mx, 1)})
	flush(t, j)
	if h := j.Health(); h.Lost != 4 || h.Records != 11 {
		t.Errorf("%+v", h)
	}
	j.Close()
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 8, mx, 1)})
	if h := j.Health(); h.Lost != 5 {
		t.Errorf("%+v", h)
	}
}

// TestRecordsWait has records wait while there is no directory.
func TestRecordsWait(t *testing.T) {
	t.Parallel()
	opts := options(t)
	dir := opts.Path + ".d"
	opts.Path = dir + "/journal.db"
	j, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 1, mx, 1)})
	if err := j.Flush(t.Context()); !errors.Is(err, os.ErrNotExist) || j.Health().Waiting != 1 {
		t.Error(err, j.Health())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	if got := names(everything(t, j)); got != "192.0.2.1/32@1" {
		t.Error(got)
	}
}

// TestRecordsDamaged damages single records: they are told, and the others read.
func TestRecordsDamaged(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	for i := range 4 {
		j.AddRecords([]census.Record{tried(fmt.Sprintf("192.0.2.%d/32", i), "dsl", 1, mx, uint64(i+1))})
	}
	flush(t, j)
	do(t, j, func(w *writer) error {
		_, err := w.store.conn.ExecContext(t.Context(), `UPDATE records SET detail = x'0103' WHERE subscriber = x'c0000201';
			UPDATE records SET subscriber = x'c000020109' WHERE subscriber = x'c0000202'`)
		return err
	})
	read := func() (told []string) {
		for r, err := range j.Records(t.Context(), at(0), at(9), netip.Prefix{}) {
			told = append(told, fmt.Sprint(r.Subscriber, " ", r.Attempts[0], " ", len(r.Top), " ", err))
			if err != nil && !errors.Is(err, errDamaged) {
				t.Error(err)
			}
		}
		return told
	}
	const odd = "invalid Prefix 3 1 a record of 2026-12-01T13:00:00Z: damaged: its subscriber is c000020109"
	if diff := cmp.Diff([]string{
		"192.0.2.0/32 1 1 <nil>",
		"192.0.2.1/32 2 0 the record of 192.0.2.1/32 of 2026-12-01T13:00:00Z: damaged: its detail makes no sense at the end",
		odd,
		"192.0.2.3/32 4 1 <nil>",
	}, read()); diff != "" {
		t.Error(diff)
	}
	// What comes is added to the numbers, and has a detail again.
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 1, mx, 10)})
	flush(t, j)
	if diff := cmp.Diff([]string{"192.0.2.0/32 1 1 <nil>", "192.0.2.1/32 12 1 <nil>", odd, "192.0.2.3/32 4 1 <nil>"}, read()); diff != "" {
		t.Error(diff)
	}
	if h := j.Health(); h.Err != nil {
		t.Error(h.Err)
	}
}

// TestRecordsRetention has hours of more and of less than a step.
func TestRecordsRetention(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	for hour, n := range []int{2*chunk + 3, 0, 5, chunk, 1} {
		var records []census.Record
		for i := range n {
			r := tried("192.0.2.1/32", "dsl", hour, mx, 1)
			r.Subscriber = numbered(i)
			records = append(records, r)
		}
		j.AddRecords(records)
	}
	flush(t, j)
	for _, test := range []struct {
		edge   float64
		most   int
		want   int64
		oldest float64
	}{
		{-5, 9, 3*chunk + 9, 0},
		{0.999, 9, 3*chunk + 9, 0},
		{1, 1, 2*chunk + 8, 0}, // a step takes one more than chunk
		{1, 9, chunk + 6, 2},
		{3, 9, chunk + 1, 3},
		{4.5, 9, 1, 4},
		{99, 9, 0, 0},
	} {
		do(t, j, func(w *writer) error {
			s := sweep{inRecords: true}
			for n := range test.most {
				done, err := s.step(t.Context(), w.store, at(test.edge))
				if err != nil {
					return err
				}
				if done {
					break
				}
				if n == 8 {
					t.Error("it does not end")
				}
			}
			return w.count(t.Context())
		})
		h := j.Health()
		if h.Records != test.want || test.want != 0 && !h.OldestRecord.Equal(at(test.oldest)) || h.Records != int64(len(everything(t, j))) {
			t.Errorf("%v: %+v, %d", test.edge, h, len(everything(t, j)))
		}
	}
	// A whole walk comes to them too.
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 1, mx, 1), tried("192.0.2.1/32", "dsl", 5, mx, 1)})
	sweepAll(t, j, at(3))
	if got := names(everything(t, j)); got != "192.0.2.1/32@5" {
		t.Error(got)
	}
}

// TestRecordsTwoWriters has a gateway and its successor add to the same hours, and
// somebody read meanwhile.
func TestRecordsTwoWriters(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	reader, err := OpenReader(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	const rounds, subscribers = 20, 300
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for k, j := range []*Journal{a, b} {
		writers.Go(func() {
			for round := range rounds {
				var records []census.Record
				for i := range subscribers {
					r := tried("192.0.2.1/32", fmt.Sprint("pool", i%3), round/4, []string{mx, other}[k], 1)
					r.Subscriber = numbered(i)
					records = append(records, r)
				}
				j.AddRecords(records)
				j.Hold(Holding{Prefix: numbered(round), Holder: "a", Source: fmt.Sprint(k)})
				// On a busy machine the other one can be in the way for too long: then all
				// waits, and none is lost.
				err := j.Flush(t.Context())
				for code(err) == sqlite3.SQLITE_BUSY {
					err = j.Flush(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Go(func() {
		for {
			last := ""
			for r, err := range reader.Records(t.Context(), at(0), at(99), netip.Prefix{}) {
				if err != nil {
					t.Error(err)
					return
				}
				key := fmt.Sprintf("%v %x", r.Hour, subscriberKey(r.Subscriber))
				if key <= last || r.Total() != r.Top[0].Attempts && r.Total() != r.Top[0].Attempts+r.Top[1].Attempts {
					t.Errorf("%s after %s: %+v", key, last, r)
				}
				last = key
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	got := collect(t, reader.Records(t.Context(), at(0), at(99), netip.Prefix{}))
	if len(got) != rounds/4*subscribers {
		t.Error(len(got))
	}
	for _, r := range got {
		if r.Total() != 8 || len(r.Top) != 2 || r.Top[0].Attempts != 4 || r.Top[1].Attempts != 4 || r.Destinations != 2 || r.Estimated {
			t.Fatalf("%+v", r)
		}
	}
	flush(t, a) // looks again only if there is something to write
	a.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 50, mx, 1)})
	flush(t, a)
	if h := a.Health(); h.Records != int64(len(got))+1 || h.Lost+b.Health().Lost != 0 {
		t.Errorf("%+v", h)
	}
	check(t, opts.Path)
}

// TestMigrateReleased begins with a file of schema 1, which is still being written
// by its gateway.
func TestMigrateReleased(t *testing.T) {
	t.Parallel()
	opts := options(t)
	db, err := sql.Open("sqlite", location(opts.Path, settings))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "PRAGMA journal_mode=WAL"); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), conn, migrations[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `INSERT INTO shelves VALUES (1, 'dhcp', 0, 32);
		INSERT INTO held VALUES (1, x'c0000201', ?1, ?1, 'a', 'pc'); INSERT INTO mark VALUES (1, ?1)`, at(1).UnixMilli()); err != nil {
		t.Fatal(err)
	}
	predecessor, err := conn.PrepareContext(t.Context(), "INSERT INTO held (began, seen, holder, hostname, shelf, first) VALUES (?, ?, ?, ?, ?, ?)")
	if err != nil {
		t.Fatal(err)
	}
	defer predecessor.Close()
	if _, err := OpenReader(opts.Path); err == nil || !strings.Contains(err.Error(), "its schema is 1, and this op25b reads 3: start the gateway once") {
		t.Error(err)
	}

	j := open(t, opts)
	if got := ask(t, j, "192.0.2.1", 2); got != "dhcp 192.0.2.1/32 a 1-on seen 1" || !j.LastMark().Equal(at(1)) {
		t.Error(got, j.LastMark())
	}
	j.AddRecords([]census.Record{tried("192.0.2.1/32", "dsl", 1, mx, 1)})
	flush(t, j)
	if _, err := predecessor.ExecContext(t.Context(), at(1).UnixMilli(), at(1).UnixMilli(), "b", "", 1, []byte{192, 0, 2, 2}); err != nil {
		t.Error("the predecessor can no longer write:", err)
	}
	if got := ask(t, j, "192.0.2.2", 2); got != "dhcp 192.0.2.2/32 b 1-on seen 1" {
		t.Error(got)
	}
	if got := names(everything(t, j)); got != "192.0.2.1/32@1" || userVersion(t, conn) != 3 {
		t.Error(got, userVersion(t, conn))
	}
	check(t, opts.Path)
}
