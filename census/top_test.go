// SPDX-License-Identifier: Apache-2.0

package census

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// Who tries most, and who is tried most.
func TestTop(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	for i := range 50 {
		for j := range i + 1 { // the i-th tries the first i+1
			a := try(after(time.Duration(j)*time.Second), customer(i), server(j))
			a.Outcome = Outcome(i % 2)
			b.Add(a)
			b.Add(a) // a retry counts for nothing
		}
	}
	b.AddReply(Reply{Time: noon, Subscriber: bob, Peer: mx1}) // and no attempt for nobody
	for _, most := range []int{-1, 0, 1, 7, 50, 1000} {
		s := b.Top(most)
		n := min(max(most, 0), 50)
		if len(s.Subscribers) != n || len(s.Destinations) != n {
			t.Fatalf("%d subscribers, %d destinations, want %d", len(s.Subscribers), len(s.Destinations), n)
		}
		for i, a := range s.Subscribers {
			who := 49 - i
			want := Active{Subscriber: customer(who), Pool: "home", Destinations: uint64(who + 1), Last: after(time.Duration(who) * time.Second)}
			want.Attempts[who%2] = uint64(who + 1)
			if d := gocmp.Diff(want, a, equal()); d != "" {
				t.Error(d)
			}
		}
		for i, a := range s.Destinations {
			want := ActiveDestination{Addr: server(i), Port: 25, Attempts: uint64(50 - i), Subscribers: uint64(50 - i)}
			if d := gocmp.Diff(want, a, equal()); d != "" {
				t.Error(d)
			}
		}
		if want := [NumOutcomes]uint64{25 * 25, 25 * 26}; s.Attempts != want {
			t.Errorf("%d attempts, want %d", s.Attempts, want)
		}
	}
}

// best keeps what sorting all would.
func TestBest(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		b := newBest(random.IntN(20), cmp.Compare[int])
		all := make([]int, random.IntN(300))
		for i := range all {
			all[i] = random.IntN(100)
			b.add(all[i])
		}
		slices.Sort(all)
		if d := gocmp.Diff(all[:min(len(all), b.most)], b.sorted(), gocmp.Transformer("", func(s []int) string { return fmt.Sprint(s) })); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

// table never says more than was, and has every key with more than its part.
func TestTable(t *testing.T) {
	t.Parallel()
	const room = 20
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var tb table[uint64]
		truth, sum := map[uint64]uint64{}, uint64(0)
		for range 5000 {
			key := uint64(random.ExpFloat64() * 30)
			truth[key]++
			sum++
			e := tb.find(key)
			switch {
			case e != nil:
			case len(tb.entries) < room:
				e = tb.insert(key)
			default:
				e = tb.replace(key)
			}
			e.rank++
			e.value++
		}
		for _, e := range tb.entries {
			if n := truth[e.key]; e.value > n || e.rank < n {
				t.Errorf("seed %d: key %d has %d to %d, truly %d", seed, e.key, e.value, e.rank, n)
			}
		}
		for key, n := range truth {
			if n > sum/room && tb.find(key) == nil {
				t.Errorf("seed %d: key %d is missing, with %d of %d", seed, key, n, sum)
			}
		}
	}
}

// How long Add has to wait for readers, with many subscribers. The times are logged,
// not judged.
func TestReadersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	n := many(t)
	b, handed := newBook(Options{Subscribers: n})
	for i := range n {
		b.Add(try(noon, customer(i), server(i%5000)))
		b.Add(try(noon, customer(i), server(i*3%7000)))
	}
	for j := range 500 {
		for i := range 600 {
			b.Add(try(noon, customer(j), server(10_000+j+i)))
		}
	}
	for _, reader := range []struct {
		what string
		read func()
	}{
		{"Top", func() { b.Top(1000) }},
		{"Current", func() { b.Current() }},
		{"Tick", func() { b.Tick(after(time.Hour)) }},
	} {
		done := make(chan time.Duration)
		var reading sync.WaitGroup
		reading.Go(func() {
			began := time.Now()
			reader.read()
			done <- time.Since(began)
		})
		var longest time.Duration
		var took time.Duration
		for took == 0 {
			began := time.Now()
			b.Health()
			longest = max(longest, time.Since(began))
			select {
			case took = <-done:
			default:
			}
		}
		reading.Wait()
		t.Logf("%s of %d subscribers took %s, others waited %s at most", reader.what, n, took, longest)
	}
	if len(handed.records[noon]) != n {
		t.Errorf("%d records, want %d", len(handed.records[noon]), n)
	}
}
