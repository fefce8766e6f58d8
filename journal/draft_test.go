// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/census"
)

// part is some subscribers' records of an hour, each with as many attempts.
func part(hour, subscribers int, attempts uint64) (records []census.Record) {
	for i := range subscribers {
		r := tried("192.0.2.1/32", fmt.Sprint("pool", i%3), hour, mx, attempts)
		r.Subscriber = numbered(i)
		records = append(records, r)
	}
	return records
}

// attempts are all that a journal's records have, by hour after noon.
func attempts(t testing.TB, j *Journal) string {
	t.Helper()
	var lines []string
	hours := map[int]uint64{}
	records := everything(t, j)
	for i := range records {
		hours[int(records[i].Hour.Sub(noon).Hours())] += records[i].Total()
	}
	for hour := range 24 {
		if n, ok := hours[hour]; ok {
			lines = append(lines, fmt.Sprintf("%d:%d", hour, n))
		}
	}
	return strings.Join(lines, " ")
}

// rows counts what drafts there are in the file.
func rows(t testing.TB, j *Journal) string {
	t.Helper()
	var drafters, drafts int
	if err := j.reader.Load().db.QueryRowContext(t.Context(),
		"SELECT (SELECT count(*) FROM drafters), (SELECT count(*) FROM drafts)").Scan(&drafters, &drafts); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d of %d", drafts, drafters)
}

// abandon ends a journal as kill -9 does.
func abandon(t testing.TB, j *Journal) {
	t.Helper()
	do(t, j, kill)
	j.Close()
}

// kill takes the file from a writer.
func kill(w *writer) error {
	w.close()
	w.j.opts.Path += ".nowhere/journal.db"
	return nil
}

// adoptAll has a journal watch for some time, and adopt what it then may.
func adoptAll(t testing.TB, j *Journal, passed time.Duration) {
	t.Helper()
	do(t, j, watchFor(passed))
}

func watchFor(passed time.Duration) func(w *writer) error {
	return func(w *writer) error {
		look(w)
		for run, seen := range w.adoption.watched {
			w.adoption.watched[run] = watch{seen.beats, seen.since.Add(-passed)}
		}
		for look(w); w.adoption.run != 0; {
			look(w)
		}
		return nil
	}
}

// look has a writer look now, or go a step on with what it adopts.
func look(w *writer) {
	w.adoption.due = time.Time{}
	w.adopt()
}

// claim has a writer begin to adopt.
func claim(w *writer) {
	look(w)
	for run, seen := range w.adoption.watched {
		w.adoption.watched[run] = watch{seen.beats, seen.since.Add(-adoptAfter)}
	}
	look(w)
}

func TestDraft(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	a.Draft(part(1, 2500, 1))
	flush(t, a)
	a.Draft(part(1, 2600, 2)) // in place of that
	flush(t, a)
	if got := rows(t, a); got != "2600 of 1" {
		t.Error(got)
	}
	if got := attempts(t, a); got != "" {
		t.Error("a draft is among the records:", got)
	}
	if h := a.Health(); h.Waiting != 0 || h.Lost != 0 || h.Records != 0 {
		t.Errorf("%+v", h)
	}
	adoptAll(t, a, time.Hour) // not its own
	adoptAll(t, b, adoptAfter-time.Minute)
	if got := rows(t, b); got != "2600 of 1" {
		t.Error(got)
	}
	b.AddRecords(part(1, 10, 5)) // adopted into what is there
	flush(t, b)
	abandon(t, a)
	adoptAll(t, b, adoptAfter)
	if got := rows(t, b); got != "0 of 0" {
		t.Error(got)
	}
	if got := attempts(t, b); got != "1:5250" {
		t.Error(got)
	}
	if h := b.Health(); h.Records != 2600 || h.Err != nil {
		t.Errorf("%+v", h)
	}
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "1:5250" {
		t.Error(got)
	}
	check(t, opts.Path)
}

// TestDraftOver has hours end: what was handed on is not drafted any more.
func TestDraftOver(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	a.Draft(append(part(1, 100, 3), part(2, 10, 1)...))
	flush(t, a)
	a.AddRecords(part(1, 90, 4)) // ten are lost, as if there were no room
	a.Draft(part(1, 100, 3))     // made before, and told too late
	flush(t, a)
	if got := rows(t, a); got != "0 of 1" {
		t.Error(got)
	}
	a.Draft(part(2, 10, 2))
	flush(t, a)
	a.Draft(nil)
	flush(t, a)
	if got := rows(t, a); got != "0 of 1" {
		t.Error(got)
	}
	a.Draft(part(2, 10, 2))
	flush(t, a)
	abandon(t, a)
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "1:360 2:20" {
		t.Error(got)
	}
}

// TestDraftSuccession has a gateway hand on its hour beside its successor, which
// watches all the time.
func TestDraftSuccession(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	for range 5 {
		a.Draft(part(1, 30, 1))
		flush(t, a)
		adoptAll(t, b, adoptAfter-time.Minute) // it lives: its draft has changed each time
	}
	b.Draft(part(1, 30, 10))
	a.AddRecords(part(1, 40, 2))
	flush(t, b)
	a.Close()
	if got := rows(t, b); got != "30 of 1" {
		t.Error(got)
	}
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "1:80" {
		t.Error(got)
	}
	b.AddRecords(part(1, 30, 11))
	b.Close()
	c := open(t, opts)
	adoptAll(t, c, adoptAfter)
	if got := attempts(t, c); got != "1:410" || rows(t, c) != "0 of 0" {
		t.Error(got, rows(t, c))
	}
}

// TestDraftHalf has a process end between any two transactions of its second draft, of
// its first one, and of handing on the hour.
func TestDraftHalf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first  bool // draft written before
		told   func(a *Journal)
		finish string
	}{
		"first":  {told: func(a *Journal) { a.Draft(part(1, 2500, 2)) }, finish: "1:5000"},
		"second": {first: true, told: func(a *Journal) { a.Draft(part(1, 2500, 2)) }, finish: "1:5000"},
		"over":   {first: true, told: func(a *Journal) { a.AddRecords(part(1, 2500, 2)) }, finish: "1:5000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for steps := range 6 {
				opts := options(t)
				a, b := open(t, opts), open(t, opts)
				if c.first {
					a.Draft(part(1, 2500, 1))
					flush(t, a)
				}
				do(t, a, func(w *writer) error {
					c.told(a)
					for range steps {
						more, err := w.writeRecords(t.Context())
						if err == nil && !more {
							_, err = w.writeDraft(t.Context())
						}
						if err != nil {
							return err
						}
					}
					return kill(w)
				})
				a.Close()
				adoptAll(t, b, adoptAfter)
				want := map[bool]string{true: "1:2500", false: ""}[c.first]
				switch {
				case steps >= 3:
					want = c.finish
				case name == "over": // each subscriber's record is either
					want = fmt.Sprint("1:", 2500+1000*steps)
				}
				if got := attempts(t, b); got != want || rows(t, b) != "0 of 0" {
					t.Errorf("after %d steps %s, not %s; %s", steps, got, want, rows(t, b))
				}
			}
		})
	}
}

// TestDraftStopped has a process come to life again after it was taken for dead.
func TestDraftStopped(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		opts := options(t)
		a, b := open(t, opts), open(t, opts)
		a.Draft(part(1, 10, 1))
		flush(t, a)
		adoptAll(t, b, adoptAfter)
		if got := attempts(t, b); got != "1:10" {
			t.Error(got)
		}
		if again {
			a.Draft(append(part(1, 10, 2), part(2, 10, 3)...))
			flush(t, a)
		}
		a.AddRecords(append(part(1, 10, 2), part(2, 10, 4)...))
		flush(t, a)
		if h := a.Health(); h.Lost != 10 || h.Waiting != 0 {
			t.Errorf("%+v", h)
		}
		adoptAll(t, b, adoptAfter)
		if got := attempts(t, b); got != "1:10 2:40" {
			t.Error(again, got)
		}
	}
}

// TestDraftTaken has a process come to life while another one adopts its draft.
func TestDraftTaken(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	a.Draft(part(1, 2500, 1))
	flush(t, a)
	do(t, b, func(w *writer) error {
		claim(w)
		w.adopt() // 1000 of it
		return b.problem()
	})
	a.Draft(part(1, 2500, 2))
	flush(t, a)
	a.AddRecords(part(1, 2500, 3))
	flush(t, a)
	if h := a.Health(); h.Lost != 2500 || h.Waiting != 0 {
		t.Errorf("%+v", h)
	}
	a.Close()
	adoptAll(t, b, 0)
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "1:2500" || rows(t, b) != "0 of 0" {
		t.Error(got, rows(t, b))
	}
}

// TestDraftTwoAdopters has both adopt at the same time, one of which ends half-way.
func TestDraftTwoAdopters(t *testing.T) {
	t.Parallel()
	opts := options(t)
	for i := range 3 {
		a := open(t, opts)
		a.Draft(part(i, 2500, 1))
		flush(t, a)
		abandon(t, a)
	}
	half := open(t, opts)
	do(t, half, func(w *writer) error {
		claim(w)
		w.adopt()
		if n, _, err := w.store.countRecords(t.Context()); n != 1000 || err != nil {
			t.Error(n, err)
		}
		return kill(w)
	})
	half.Close()
	next := open(t, opts)
	adoptAll(t, next, 0) // what was begun goes on at once
	if got := len(everything(t, next)); got != 2500 {
		t.Error(got)
	}
	var both sync.WaitGroup
	for range 2 {
		j := open(t, opts)
		both.Go(func() {
			if err := j.ask(t.Context(), watchFor(adoptAfter)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	adoptAll(t, next, adoptAfter) // if they were in each other's way for too long
	if got := attempts(t, next); got != "0:2500 1:2500 2:2500" || rows(t, next) != "0 of 0" {
		t.Error(got, rows(t, next))
	}
	check(t, opts.Path)
}

func TestDraftRetention(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	a.Draft(append(part(1, 3000, 1), part(5, 10, 1)...))
	flush(t, a)
	abandon(t, a)
	sweepAll(t, b, at(2))
	if got := rows(t, b); got != "10 of 1" {
		t.Error(got)
	}
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "5:10" {
		t.Error(got)
	}
}

// TestDraftQueue has no room, and no file.
func TestDraftQueue(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.Records = 10
	j := open(t, opts)
	do(t, j, func(*writer) error {
		j.Draft(part(1, 5, 1))
		j.Draft(part(1, 20, 1))
		j.AddRecords(part(0, 10, 1)) // has room beside it
		return nil
	})
	flush(t, j)
	if got := rows(t, j); got != "10 of 1" {
		t.Error(got)
	}
	if h := j.Health(); h.Lost != 0 || h.Waiting != 0 || h.Records != 10 {
		t.Errorf("%+v", h)
	}
	// The file goes: the next draft is in the new one.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(opts.Path + suffix); err != nil {
			t.Fatal(err)
		}
	}
	do(t, j, func(w *writer) error {
		w.look = time.Time{}
		return nil
	})
	j.AddRecords(part(2, 1, 1))
	j.Draft(part(3, 7, 1))
	flush(t, j)
	if got := rows(t, j); got != "7 of 1" || j.Health().Lost != 0 {
		t.Error(got, j.Health())
	}
	j.Close()
	j.Draft(part(4, 7, 1))
	if h := j.Health(); h.Lost != 0 {
		t.Errorf("%+v", h)
	}
}

// TestDraftDamaged has a detail that makes no sense adopted without.
func TestDraftDamaged(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	a.Draft(part(1, 3, 1))
	flush(t, a)
	abandon(t, a)
	if err := execute(opts.Path, "UPDATE drafts SET detail = x'ff'"); err != nil {
		t.Fatal(err)
	}
	b.AddRecords(part(1, 1, 1))
	flush(t, b)
	adoptAll(t, b, adoptAfter)
	if got := attempts(t, b); got != "1:4" {
		t.Error(got)
	}
}

// TestDraftPlan makes sure that no step goes through all drafts.
func TestDraftPlan(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	for _, query := range []string{
		dropQuery("run = 1 AND number < 2"), dropQuery("run = 1"),
		"DELETE FROM drafts WHERE run = 1 AND number IN (1, 2) AND hour = 3 AND subscriber = x'00' AND pool = 4",
		"DELETE FROM drafts WHERE run = 1 AND number = 2 AND (hour, subscriber, pool) <= (3, x'00', 4)",
		readDraftQuery,
	} {
		if strings.Contains(query, "LIMIT ?)") || strings.Contains(query, "= ?") {
			query = strings.ReplaceAll(query, "?", "9")
		}
		plan, err := j.reader.Load().db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		if err != nil {
			t.Fatal(query, err)
		}
		for plan.Next() {
			var (
				id, parent, unused int
				detail             string
			)
			if err := plan.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Error(err)
			}
			if strings.Contains(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
				t.Error(query, detail)
			}
		}
		if err := plan.Err(); err != nil {
			t.Error(err)
		}
		plan.Close()
	}
}

// TestDraftMigrate begins with a file of schema 2, which is still being written by its
// gateway.
func TestDraftMigrate(t *testing.T) {
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
	if err := migrate(t.Context(), conn, migrations[:2]); err != nil {
		t.Fatal(err)
	}
	predecessor := &store{path: opts.Path, db: db, conn: conn}
	const insert = `INSERT INTO pools VALUES (1, 'pool0') ON CONFLICT DO NOTHING;
		INSERT INTO records VALUES (%d, x'0a000000', 1, 7, 0, 0, 0, 0, 7, 1, 0, x'010000');
		INSERT INTO hours VALUES (%[1]d, 1)`
	write := func(hour float64) {
		t.Helper()
		if err := predecessor.conn.QueryRowContext(t.Context(), fmt.Sprintf(insert, hourOf(at(hour)))+" RETURNING 1").Scan(new(int)); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	j := open(t, opts)
	write(2)
	j.Draft(part(1, 2, 1))
	flush(t, j)
	abandon(t, j)
	j = open(t, opts)
	adoptAll(t, j, adoptAfter)
	if got := attempts(t, j); got != "1:9 2:7" || userVersion(t, conn) != 3 {
		t.Error(got, userVersion(t, conn))
	}
	check(t, opts.Path)
}

// draftForEver drafts an hour that grows, again and again, then hands on one hour and begins
// the next. It says what was acknowledged last.
func draftForEver() {
	j, err := Open(Options{Path: os.Getenv(envPath), Log: zap.NewNop()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for hour := 0; ; hour++ {
		const drafts = 3
		for n := 1; n <= drafts+1; n++ {
			records := part(hour, 1500, uint64(n))
			if n <= drafts {
				j.Draft(records)
			} else {
				j.AddRecords(records)
			}
			if err := j.Flush(context.Background()); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println("have", hour, n)
		}
	}
}

// TestDraftKilled kills a process that drafts: each record that was acknowledged is
// there once, as it was then or as it was meant to be next.
func TestDraftKilled(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		opts := options(t)
		hour, n := killDrafter(t, opts.Path, time.Duration(r.IntN(300))*time.Millisecond)
		j := open(t, opts)
		adoptAll(t, j, adoptAfter)
		records := everything(t, j)
		if len(records) < 1500*(hour+1) {
			t.Fatalf("%d records, killed after %d %d", len(records), hour, n)
		}
		key := map[netip.Prefix]int{}
		for i := range records {
			got, at := records[i].Total(), int(records[i].Hour.Sub(noon).Hours())
			if key[records[i].Subscriber] != at {
				t.Fatalf("%v comes twice or is missing", records[i])
			}
			key[records[i].Subscriber]++
			switch { // four of each hour that is over
			case at < hour && got != 4,
				at == hour && got != uint64(n) && got != uint64(n+1),
				at == hour+1 && (n != 4 || got != 1),
				at > hour+1:
				t.Fatalf("%d attempts in hour %d, killed after %d %d", got, at, hour, n)
			}
		}
		if rows(t, j) != "0 of 0" {
			t.Error(rows(t, j))
		}
		check(t, opts.Path)
	}
}

func killDrafter(t *testing.T, path string, after time.Duration) (hour, n int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"=drafter", envPath+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if _, err := fmt.Sscanf(lines.Text(), "have %d %d", &hour, &n); err != nil {
			t.Fatal(lines.Text())
		}
	}
	_ = cmd.Wait() // killed
	if n == 0 {
		t.Fatal("it ended without having written")
	}
	return hour, n
}
