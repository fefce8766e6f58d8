// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"testing"
	"time"
)

// BenchmarkAdd is by what packets come.
func BenchmarkAdd(b *testing.B) {
	const subscribers = 1 << 17
	crowd := func(book *Book) {
		for i := range subscribers {
			book.Add(try(noon, customer(i), server(i%1000)))
		}
	}
	for name, shape := range map[string]func(i int) Attempt{
		"retry": func(int) Attempt { return try(noon, customer(1), server(1)) },
		"retry-of-many": func(i int) Attempt {
			i = i * 7919 % subscribers
			return try(noon, customer(i), server(i%1000))
		},
		"attempt-again": func(i int) Attempt {
			return try(after(time.Duration(i%2)*10*time.Minute), customer(i/2%subscribers), server(i/2%subscribers%1000))
		},
		"scanner": func(i int) Attempt { return try(noon, alice, server(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			book := NewBook(Options{})
			crowd(book)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				book.Add(shape(i))
			}
		})
	}
}

// BenchmarkWatched has a watcher who reads nothing.
func BenchmarkWatched(b *testing.B) {
	book := NewBook(Options{})
	defer book.Watch(netip.Prefix{}).Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		book.Add(try(noon, alice, server(i)))
	}
}

// BenchmarkRead is of 200,000 subscribers.
func BenchmarkRead(b *testing.B) {
	book := NewBook(Options{})
	for i := range defaultSubscribers {
		book.Add(try(noon, customer(i), server(i%5000)))
	}
	b.Run("top", func(b *testing.B) {
		for b.Loop() {
			book.Top(20)
		}
	})
	b.Run("current", func(b *testing.B) {
		for b.Loop() {
			book.Current()
		}
	})
}

// BenchmarkRecord is of one with a sketch and as many destinations as there can be: the
// most that a reader does under one lock is a chunk of them.
func BenchmarkRecord(b *testing.B) {
	book := NewBook(Options{})
	for i := range 100_000 {
		book.Add(try(noon, alice, server(i)))
	}
	for b.Loop() {
		book.Subscriber(alice)
	}
}

// A retry and a solicited reply allocate nothing: whatever is of a packet stays on the
// stack. Attempts of a known target do not either.
func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun is of the whole process
	b := NewBook(Options{})
	now := noon
	for what, do := range map[string]func(){
		"a retry":          func() { b.Add(try(noon, alice, mx1)) },
		"an attempt again": func() { now = now.Add(2 * time.Minute); b.Add(try(now, bob, mx1)) },
		"a reply":          func() { b.AddReply(Reply{Time: noon, Subscriber: alice, Peer: mx1, Kind: ReplyData}) },
		"one unsolicited":  func() { b.AddReply(Reply{Time: noon, Subscriber: bob, Peer: mx2, Kind: ReplyData}) },
	} {
		now = noon
		b.Add(try(noon, alice, mx1))
		b.Add(try(noon, bob, mx1))
		if n := testing.AllocsPerRun(25, do); n != 0 {
			t.Errorf("%s: %g allocations", what, n)
		}
	}
}
