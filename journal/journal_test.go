// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap"
)

// noon is when tests happen, unless they say otherwise.
var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func at(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }

// clock is one that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func options(t testing.TB) Options {
	t.Helper()
	return Options{
		Path: filepath.Join(t.TempDir(), "journal.db"), SeenEvery: time.Millisecond,
		Now: (&clock{now: at(1000)}).Now, Log: zap.NewNop(),
	}
}

func open(t testing.TB, opts Options) *Journal {
	t.Helper()
	j, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func flush(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// do has the writer do something, and waits.
func do(t testing.TB, j *Journal, f func(w *writer) error) {
	t.Helper()
	if err := j.ask(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// sweepAll does a whole walk of retention.
func sweepAll(t testing.TB, j *Journal, edge time.Time) {
	t.Helper()
	flush(t, j)
	do(t, j, func(w *writer) error {
		for {
			if done, err := w.sweep.step(context.Background(), w.store, edge); done || err != nil {
				return err
			}
		}
	})
}

// check runs SQLite's own.
func check(t testing.TB, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", location(path, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Error(result, err)
	}
}

func hold(prefix, holder, source string, hours float64) Holding {
	return Holding{Prefix: netip.MustParsePrefix(prefix), Holder: holder, Source: source, From: at(hours), Seen: at(hours)}
}

// answer writes holdings as a test wants to read them: in hours after noon.
func answer(holdings []Holding) string {
	var lines []string
	for _, h := range holdings {
		end := "on"
		if !h.To.IsZero() {
			end = fmt.Sprint(h.To.Sub(noon).Hours())
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %v-%s seen %v",
			h.Source, h.Prefix, h.Holder, h.From.Sub(noon).Hours(), end, h.Seen.Sub(noon).Hours()))
	}
	return strings.Join(lines, "; ")
}

func ask(t testing.TB, j *Journal, addr string, hours float64) string {
	t.Helper()
	found, err := j.HolderAt(t.Context(), netip.MustParseAddr(addr), at(hours))
	if err != nil {
		t.Fatal(err)
	}
	return answer(found)
}

func TestHolderAt(t *testing.T) {
	t.Parallel()
	release := func(prefix, source string, hours float64) func(*Journal) {
		return func(j *Journal) { j.Release(netip.MustParsePrefix(prefix), source, at(hours)) }
	}
	holds := func(prefix, holder, source string, hours float64) func(*Journal) {
		return func(j *Journal) { j.Hold(hold(prefix, holder, source, hours)) }
	}
	type question struct {
		addr  string
		hours float64
		want  string
	}
	const x, y = "192.0.2.1/32", "192.0.2.2/32"
	for name, test := range map[string]struct {
		told []func(*Journal)
		asks []question
	}{
		"nothing": {asks: []question{{"192.0.2.1", 1, ""}}},
		"one holder": {
			[]func(*Journal){holds(x, "a", "dhcp", 1)},
			[]question{{"192.0.2.1", 0.999, ""}, {"192.0.2.1", 1, "dhcp 192.0.2.1/32 a 1-on seen 1"}, {"192.0.2.2", 1, ""}, {"::ffff:192.0.2.1", 1, "dhcp 192.0.2.1/32 a 1-on seen 1"}},
		},
		"renewed": {
			[]func(*Journal){holds(x, "a", "dhcp", 1), holds(x, "a", "dhcp", 2), holds(x, "a", "dhcp", 1.5)},
			[]question{{"192.0.2.1", 5, "dhcp 192.0.2.1/32 a 1-on seen 2"}},
		},
		"another holder": {
			[]func(*Journal){holds(x, "a", "dhcp", 1), holds(x, "b", "dhcp", 2)},
			[]question{{"192.0.2.1", 1.9, "dhcp 192.0.2.1/32 a 1-2 seen 1"}, {"192.0.2.1", 2, "dhcp 192.0.2.1/32 b 2-on seen 2"}},
		},
		"released and held again": {
			[]func(*Journal){holds(x, "a", "dhcp", 1), release(x, "dhcp", 2), release(x, "dhcp", 2.5), holds(x, "a", "dhcp", 3)},
			[]question{{"192.0.2.1", 1, "dhcp 192.0.2.1/32 a 1-2 seen 1"}, {"192.0.2.1", 2, ""}, {"192.0.2.1", 3, "dhcp 192.0.2.1/32 a 3-on seen 3"}},
		},
		"sources do not meddle": {
			[]func(*Journal){holds(x, "a", "dhcp", 1), holds(x, "u", "bras", 2), holds(y, "v", "bras", 2), func(j *Journal) { j.ReleaseAll("bras", at(3)) }, release(y, "dhcp", 2.5)},
			[]question{
				{"192.0.2.1", 2.5, "bras 192.0.2.1/32 u 2-3 seen 2; dhcp 192.0.2.1/32 a 1-on seen 1"},
				{"192.0.2.1", 3, "dhcp 192.0.2.1/32 a 1-on seen 1"},
				{"192.0.2.2", 2.9, "bras 192.0.2.2/32 v 2-3 seen 2"},
				{"192.0.2.2", 3, ""},
			},
		},
		"the most specific first": {
			[]func(*Journal){holds("2001:db8::/32", "isp", "a", 1), holds("2001:db8:0:100::/56", "home", "b", 1), holds("2001:db8:0:101::/64", "lan", "a", 1), holds("2001:db8:0:101::1/128", "host", "a", 1), holds("::/0", "all", "a", 1), holds("0.0.0.0/0", "four", "a", 1)},
			[]question{
				{"2001:db8:0:101::1", 1, "a 2001:db8:0:101::1/128 host 1-on seen 1; a 2001:db8:0:101::/64 lan 1-on seen 1; b 2001:db8:0:100::/56 home 1-on seen 1; a 2001:db8::/32 isp 1-on seen 1; a ::/0 all 1-on seen 1"},
				{"2001:db8:0:1ff::1", 1, "b 2001:db8:0:100::/56 home 1-on seen 1; a 2001:db8::/32 isp 1-on seen 1; a ::/0 all 1-on seen 1"},
				{"2001:db8:0:200::", 1, "a 2001:db8::/32 isp 1-on seen 1; a ::/0 all 1-on seen 1"},
				{"192.0.2.1", 1, "a 0.0.0.0/0 four 1-on seen 1"},
			},
		},
		"host bits, a mapped prefix": {
			[]func(*Journal){holds("198.51.100.77/24", "net", "a", 1), holds("::ffff:192.0.2.1/128", "m", "a", 1)},
			[]question{{"198.51.100.1", 1, "a 198.51.100.0/24 net 1-on seen 1"}, {"192.0.2.1", 1, "a 192.0.2.1/32 m 1-on seen 1"}},
		},
		"said to have begun before the one it ends": {
			[]func(*Journal){holds(x, "a", "dhcp", 2), holds(x, "b", "dhcp", 1), release(x, "dhcp", 0)},
			[]question{{"192.0.2.1", 1, ""}, {"192.0.2.1", 2, "dhcp 192.0.2.1/32 a 2-2.0000002777777777 seen 2"}, {"192.0.2.1", 2.001, ""}},
		},
		"said to have begun before the last ended": {
			[]func(*Journal){holds(x, "a", "dhcp", 1), release(x, "dhcp", 3), holds(x, "b", "dhcp", 2)},
			[]question{{"192.0.2.1", 2.5, "dhcp 192.0.2.1/32 a 1-3 seen 1"}, {"192.0.2.1", 3, "dhcp 192.0.2.1/32 b 3-on seen 2"}},
		},
		"said to begin in the future": {
			[]func(*Journal){holds(x, "a", "dhcp", 9999)},
			[]question{{"192.0.2.1", 1000, "dhcp 192.0.2.1/32 a 1000-on seen 1000"}},
		},
		"any octets, cut": {
			[]func(*Journal){holds(x, "\x00\xff'\n", "dhcp", 1), holds(y, strings.Repeat("n", 1000), "dhcp", 1)},
			[]question{{"192.0.2.1", 1, "dhcp 192.0.2.1/32 \x00\xff'\n 1-on seen 1"}, {"192.0.2.2", 1, "dhcp 192.0.2.2/32 " + strings.Repeat("n", 255) + " 1-on seen 1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := open(t, options(t))
			for _, tell := range test.told {
				tell(j)
			}
			flush(t, j)
			for _, q := range test.asks {
				if got := ask(t, j, q.addr, q.hours); got != q.want {
					t.Errorf("%s at %v:\n got %s\nwant %s", q.addr, q.hours, got, q.want)
				}
			}
		})
	}
}

func TestHoldDefaults(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.SeenEvery = 0 // 10 minutes
	now := &clock{now: at(1)}
	opts.Now = now.Now
	j := open(t, opts)
	x := netip.MustParsePrefix("192.0.2.1/32")
	j.Hold(Holding{Prefix: x, Holder: "a"})
	flush(t, j)
	if got := ask(t, j, "192.0.2.1", 1); got != " 192.0.2.1/32 a 1-on seen 1" {
		t.Error(got)
	}
	now.set(at(1.1))
	j.Hold(Holding{Prefix: x, Holder: "a", Hostname: "pc"})
	flush(t, j)
	want := []Holding{{Prefix: x, Holder: "a", Hostname: "pc", From: at(1), Seen: at(1)}}
	got, err := j.HolderAt(t.Context(), x.Addr(), at(2))
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" || err != nil {
		t.Error(err, diff)
	}
	now.set(at(1.2))
	j.Hold(Holding{Prefix: x, Holder: "a"})
	j.Release(x, "", time.Time{})
	j.Hold(Holding{})
	j.Release(netip.Prefix{}, "", time.Time{})
	flush(t, j)
	want[0].Seen, want[0].To = at(1.2), at(1.2)
	got, err = j.HolderAt(t.Context(), x.Addr(), at(1.1))
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if h := j.Health(); h.Err != nil || h.Lost != 2 || h.Waiting != 0 || h.Size == 0 {
		t.Errorf("%+v", h)
	}
	if got, err := j.HolderAt(t.Context(), netip.Addr{}, at(1)); got != nil || err != nil {
		t.Error(got, err)
	}
}

func comparePrefixes() cmp.Option { return cmpopts.EquateComparable(netip.Prefix{}) }

// TestReleaseAll has more than one chunk.
func TestReleaseAll(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	const n = 2*chunk + 500
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		j.Hold(Holding{Prefix: netip.PrefixFrom(addr, 32), Holder: "a", Source: "bras", From: at(1)})
	}
	j.Hold(hold("2001:db8::/56", "a", "bras", 1))
	j.Hold(hold("10.0.0.1/32", "a", "dhcp", 1))
	j.ReleaseAll("bras", at(2))
	j.ReleaseAll("nobody", at(2))
	j.Hold(hold("10.0.0.7/32", "b", "bras", 3))
	flush(t, j)
	do(t, j, func(w *writer) error {
		var held, history int
		err := w.store.conn.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM history)").Scan(&held, &history)
		if held != 2 || history != n+1 {
			t.Error(held, history)
		}
		return err
	})
	if got, want := ask(t, j, "10.0.0.7", 3), "bras 10.0.0.7/32 b 3-on seen 3"; got != want {
		t.Error(got)
	}
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	j := open(t, options(t))
	document := []byte("policy: ...")
	for i, hours := range []float64{1, 2, 3, 3} {
		j.AddGeneration(Generation{Time: at(hours), Number: i + 1, Document: bytes.Clone(document), Digest: "d", Summary: fmt.Sprint("the ", i)})
	}
	j.AddGeneration(Generation{Number: 9}) // now: 1000
	j.AddGeneration(Generation{Document: make([]byte, largestDocument+1)})
	flush(t, j)
	if lost := j.Health().Lost; lost != 1 {
		t.Error(lost)
	}
	find := func(hours float64) Generation {
		t.Helper()
		g, ok, err := j.GenerationAt(t.Context(), at(hours))
		if err != nil || ok != (g.ID != 0) {
			t.Fatal(g, ok, err)
		}
		return g
	}
	for hours, number := range map[float64]int{0.9: 0, 1: 1, 1.9: 1, 2: 2, 3: 4, 999: 4, 1000: 9} {
		if g := find(hours); g.Number != number {
			t.Errorf("at %v: %+v", hours, g)
		}
	}
	if diff := cmp.Diff(Generation{ID: 2, Time: at(2), Number: 2, Document: document, Digest: "d", Summary: "the 1"}, find(2)); diff != "" {
		t.Error(diff)
	}
	documents := func() (n int) {
		do(t, j, func(w *writer) error {
			return w.store.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM documents").Scan(&n)
		})
		return n
	}
	if n := documents(); n != 2 {
		t.Error("each document is kept once", n)
	}
	// The one in force at the edge stays.
	sweepAll(t, j, at(2.5))
	if find(1.5).ID != 0 || find(2.5).Number != 2 {
		t.Error(find(1.5), find(2.5))
	}
	sweepAll(t, j, at(2000))
	if find(999).ID != 0 || find(2000).Number != 9 || documents() != 1 {
		t.Error(find(999), find(2000), documents())
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	opts := options(t)
	j := open(t, opts)
	if got := j.LastMark(); !got.IsZero() {
		t.Error(got)
	}
	j.Mark(at(2))
	flush(t, j)
	j.Mark(at(1))
	j.Mark(at(3))
	if got := j.LastMark(); !got.Equal(at(3)) {
		t.Error(got)
	}
	// Not asked, it is written after a minute only.
	do(t, j, func(w *writer) error {
		if err := w.write(false); err != nil || w.marked != at(2).UnixMilli() {
			t.Error(w.marked, err)
		}
		return nil
	})
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	j = open(t, opts)
	if got := j.LastMark(); !got.Equal(at(3)) {
		t.Error(got)
	}
}

func TestResetMark(t *testing.T) {
	t.Parallel()
	opts := options(t)
	j := open(t, opts)
	j.Mark(at(5))
	flush(t, j)
	if err := j.ResetMark(t.Context(), at(2)); err != nil || !j.LastMark().Equal(at(2)) {
		t.Error(j.LastMark(), err)
	}
	again := open(t, opts)
	if got := again.LastMark(); !got.Equal(at(2)) {
		t.Error("not written at once", got)
	}
	again.Close()
	// As high as it was before is written again.
	j.Mark(at(5))
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if got := open(t, opts).LastMark(); !got.Equal(at(5)) {
		t.Error(got)
	}
	if err := j.ResetMark(t.Context(), at(1)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestTwoWriters has a gateway and its successor write at once.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	opts := options(t)
	a, b := open(t, opts), open(t, opts)
	for i := range 500 {
		for k, j := range []*Journal{a, b} {
			source := fmt.Sprint("s", k, i%7)
			j.Hold(hold(fmt.Sprintf("192.0.2.%d/32", i%256), fmt.Sprint(i), source, float64(i)/100))
			if i%100 == 99 {
				j.ReleaseAll(source, at(9))
			}
		}
	}
	a.Mark(at(1))
	b.Mark(at(2))
	flush(t, a)
	flush(t, b)
	flush(t, a)
	for i := range 256 {
		addr := fmt.Sprintf("192.0.2.%d", i)
		if x, y := ask(t, a, addr, 3), ask(t, b, addr, 3); x != y || strings.Count(x, ";") == 0 {
			t.Errorf("%s\n%s", x, y)
		}
	}
	check(t, opts.Path)
}

func TestClose(t *testing.T) {
	t.Parallel()
	opts := options(t)
	j := open(t, opts)
	j.Hold(hold("192.0.2.1/32", "a", "dhcp", 1))
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j.Hold(hold("192.0.2.1/32", "b", "dhcp", 1))
	if h := j.Health(); h.Lost != 1 {
		t.Errorf("%+v", h)
	}
	if err := j.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := j.HolderAt(t.Context(), netip.MustParseAddr("192.0.2.1"), noon); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, _, err := j.GenerationAt(t.Context(), noon); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := os.Stat(opts.Path + "-wal"); !os.IsNotExist(err) {
		t.Error("its log is still there", err)
	}
	if got := ask(t, open(t, opts), "192.0.2.1", 1); !strings.Contains(got, " a ") {
		t.Error(got)
	}
}

// TestQueue fills it while nobody writes.
func TestQueue(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.Queue = 10
	j := open(t, opts)
	do(t, j, func(*writer) error {
		for i := range 15 {
			j.Hold(hold("192.0.2.1/32", fmt.Sprint(i), "dhcp", float64(i)))
		}
		for range rareRoom + 2 {
			j.ReleaseAll("dhcp", at(20))
		}
		if h := j.Health(); h.Lost != 7 || h.Waiting != 10+rareRoom {
			t.Errorf("%+v", h)
		}
		return nil
	})
	flush(t, j)
	if h := j.Health(); h.Lost != 7 || h.Waiting != 0 {
		t.Errorf("%+v", h)
	}
	if got := ask(t, j, "192.0.2.1", 19); got != "dhcp 192.0.2.1/32 9 9-20 seen 9" {
		t.Error(got)
	}
}
