// SPDX-License-Identifier: Apache-2.0

package census

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// many is how many things the tests of size have: OP25B_CENSUS=200000 for what
// doc comments say.
func many(t testing.TB) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("OP25B_CENSUS"))
	if err != nil {
		return 20_000
	}
	return n
}

// held returns how many octets the heap has more after do than before.
func held(do func()) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

// What subscribers take of the heap, by what they do. Not parallel: others would
// count.
func TestMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	n := many(t)
	for _, row := range []struct {
		name        string
		subscribers int
		each        int
		most        int // octets for one
	}{
		{"one destination", n / 4, 1, 800},
		{"four destinations", n / 4, 4, 1300},
		{"thirty destinations", n / 50, 30, 10_000},
		{"hundreds of destinations", n / 500, 1000, 90 << 10},
		// All do their worst: the bounds on all together hold, 200,000 take 1 GiB.
		{"everybody scans", max(n/50, 2000), 300, 5500},
	} {
		t.Run(row.name, func(t *testing.T) {
			room := defaultSubscribers
			if row.name == "everybody scans" {
				room = row.subscribers
			}
			b := NewBook(Options{Subscribers: room})
			// Who is tried takes some megaoctets whoever tries: not a subscriber's part.
			b.Tick(noon)
			octets := held(func() {
				for i := range row.subscribers {
					for j := range row.each {
						b.Add(try(noon, customer(i), server((i*7+j)%1000)))
					}
				}
			})
			each := octets / row.subscribers
			t.Logf("%d subscribers, %s: %d octets each", row.subscribers, row.name, each)
			if each > row.most {
				t.Errorf("%d octets for a subscriber, more than %d", each, row.most)
			}
			later := held(func() { b.Tick(noon.Add(time.Hour)) }) + octets
			t.Logf("of that, %d stay when the hour is over", later/row.subscribers)
			runtime.KeepAlive(b)
		})
	}
}

// One who tries a million destinations takes what one may, is counted in full, and
// hides nobody who is tried often.
func TestScanner(t *testing.T) { //nolint:paralleltest // it measures the heap
	n := 10 * many(t)
	b := NewBook(Options{})
	for i := range mostTargets { // who is tried has its own bound
		b.Add(try(noon, bob, server(i)))
	}
	rare := 0
	octets := held(func() {
		for i := range n {
			at := after(time.Duration(i) * time.Microsecond)
			b.Add(try(at, alice, server(i)))
			if i%100 == 99 { // more than one in 256
				a := try(at, alice, mx2)
				a.Outcome = Outcome(i / 100 % 2) // each an attempt of its own
				b.Add(a)
				rare++
			}
		}
	})
	t.Logf("%d destinations take %d octets", n, octets)
	if octets > 96<<10 {
		t.Errorf("%d octets", octets)
	}
	r := of(t, b, alice)
	if r.Total() != uint64(n+rare) || r.Packets != uint64(n+rare) {
		t.Errorf("%d attempts of %d packets, want %d", r.Total(), r.Packets, n+rare)
	}
	if off := deviation(r.Destinations, n+1); !r.Estimated || off > 0.04 { // five standard errors
		t.Errorf("%d destinations of %d", r.Destinations, n+1)
	}
	if len(r.Top) != MostTop || r.Top[0].Prefix != host(mx2) || r.Top[0].Attempts > uint64(rare) || r.Top[0].Attempts < uint64(rare)/2 {
		t.Errorf("the most tried is %+v, of %d attempts", r.Top[0], rare)
	}
	if h := b.Health(); h.Destinations != mostTargets {
		t.Errorf("%d destinations for all", h.Destinations)
	}
	top := b.Top(2)
	if d := top.Destinations[0]; d.Addr != mx2 || d.Subscribers != 1 || top.Subscribers[0].Subscriber != alice {
		t.Errorf("%+v", top)
	}
}

// More subscribers than there is room for: those who came first are counted in full, all
// others in Health and in who is tried.
func TestOverflow(t *testing.T) {
	t.Parallel()
	const room = mostStrangers * 3 / 10
	b, handed := newBook(Options{Subscribers: room})
	for range 2 {
		for i := range 3 * room {
			b.Add(try(after(time.Duration(i)*time.Microsecond), customer(i), mx1))
		}
	}
	h := b.Health()
	// Retries of those without room are told as far as one memory for all reaches.
	if h.Subscribers != room || h.Overflowed < 2*room || h.Overflowed > 2*room+room/4 || h.Attempts[Refused] != room+h.Overflowed {
		t.Errorf("%+v", h)
	}
	top := b.Top(1)
	if d := top.Destinations[0]; d.Addr != mx1 || deviation(d.Subscribers, 3*room) > 0.08 {
		t.Errorf("%+v of %d subscribers", d, 3*room)
	}
	if top.Attempts != h.Attempts {
		t.Errorf("%d attempts in the hour, %d since the start", top.Attempts, h.Attempts)
	}
	b.Tick(after(time.Hour))
	if n := len(handed.records[noon]); n != room {
		t.Errorf("%d records, want %d", n, room)
	}
	b.Add(try(after(time.Hour), customer(5*room), mx1))
	if h := b.Health(); h.Subscribers != 1 {
		t.Errorf("%d subscribers in the hour after", h.Subscribers)
	}
}
