// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/census"
)

// The test binary is another process too, as these say.
const (
	envRole = "OP25B_TEST_ROLE"
	envPath = "OP25B_TEST_PATH"
	envFrom = "OP25B_TEST_FROM"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "scribe":
		time.AfterFunc(time.Minute, func() { os.Exit(99) })
		scribe()
	case "drafter":
		time.AfterFunc(time.Minute, func() { os.Exit(99) })
		draftForEver()
	}
}

// scribe writes holdings and records, one prefix after the other, and says what Flush has
// acknowledged.
func scribe() {
	j, err := Open(Options{Path: os.Getenv(envPath), Retention: 24 * time.Hour, Log: zap.NewNop()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	from, _ := strconv.Atoi(os.Getenv(envFrom))
	for i := from; ; i++ {
		p := numbered(i)
		j.Hold(Holding{Prefix: p, Holder: fmt.Sprint("first", i), Source: "dhcp"})
		j.Hold(Holding{Prefix: p, Holder: fmt.Sprint("then", i), Source: "dhcp"})
		j.Mark(time.UnixMilli(int64(i)))
		j.AddRecords([]census.Record{numberedRecord(i), numberedRecord(i)}) // the second is added to the first
		if i%5 == 4 {
			if err := j.Flush(context.Background()); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println("have", i)
		}
	}
}

func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

func numberedRecord(i int) census.Record {
	r := tried("192.0.2.1/32", "dsl", i/1000, mx, uint64(i+1))
	r.Subscriber = numbered(i)
	return r
}

// TestKilled kills a process that writes, again and again: everything that Flush
// has acknowledged is there, and the file is whole.
func TestKilled(t *testing.T) {
	t.Parallel()
	opts := options(t)
	next, r := 0, rand.New(rand.NewPCG(1, 2))
	for range 20 {
		next = killScribe(t, opts.Path, next, time.Duration(r.IntN(150))*time.Millisecond) + 1
		// What it left is read by somebody who may not write, and then by us.
		reader, err := OpenReader(opts.Path)
		if err != nil {
			t.Fatal(err)
		}
		checkNumbered(t, reader, max(0, next-100), next)
		checkRecords(t, reader, next)
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		check(t, opts.Path)
	}
	j := open(t, opts)
	if got := j.LastMark(); got.UnixMilli() < int64(next-1) {
		t.Errorf("mark %d of %d", got.UnixMilli(), next-1)
	}
	var last int // of those that are whole
	do(t, j, func(w *writer) error {
		return w.store.conn.QueryRowContext(t.Context(), `SELECT count(*) FROM held JOIN history USING (shelf, first)
			WHERE replace(held.holder, 'then', '') = replace(history.holder, 'first', '')`).Scan(&last)
	})
	if last < next {
		t.Errorf("%d holdings of %d", last, next)
	}
	t.Logf("%d holdings", 2*next)
}

func checkNumbered(t *testing.T, r interface {
	HolderAt(ctx context.Context, addr netip.Addr, t time.Time) ([]Holding, error)
}, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		got, err := r.HolderAt(t.Context(), numbered(i).Addr(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Holder != fmt.Sprint("then", i) {
			t.Fatalf("%d of %d: %+v", i, to, got)
		}
	}
}

// checkRecords makes sure that all records up to one are there, once each. Those of
// the last batch before a kill may have been written and told again.
func checkRecords(t *testing.T, r *Reader, to int) {
	t.Helper()
	got := collect(t, r.Records(t.Context(), at(0), at(1e5), netip.Prefix{}))
	if len(got) < to {
		t.Fatalf("%d records of %d", len(got), to)
	}
	for i := range to {
		g, want := got[i], uint64(i+1)
		if g.Subscriber != numbered(i) || g.Total() < 2*want || g.Total()%(2*want) != 0 || g.Top[0].Attempts != g.Total() || g.Packets != 2*g.Total() {
			t.Fatalf("%d of %d: %+v", i, to, g)
		}
	}
}

// killScribe lets a process write, kills it some time after the first
// acknowledgement, and returns the last.
func killScribe(t *testing.T, path string, from int, after time.Duration) (have int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"=scribe", envPath+"="+path, fmt.Sprint(envFrom, "=", from))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	have = -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, ok := strings.CutPrefix(lines.Text(), "have ")
		if !ok {
			t.Fatal(lines.Text())
		}
		if have < 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if have, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // killed
	if have < 0 {
		t.Fatal("it ended without having written")
	}
	return have
}
