// SPDX-License-Identifier: Apache-2.0

package census

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A watcher hears of each attempt once, when it begins, and only of those within.
func TestWatch(t *testing.T) {
	t.Parallel()
	inside := try(noon, bob, mx1)
	inside.Source = netip.MustParseAddr("2001:db8:0:1aa::7")
	other := inside
	other.Source = netip.MustParseAddr("2001:db8:0:1bb::7")
	other.Destination = mx2
	ipv4 := try(noon, alice, mx1)
	packets := []Attempt{inside, ipv4, other}
	for within, want := range map[string][]Attempt{
		"":                      packets,
		"::/0":                  {inside, other},
		"2001:db8::/32":         {inside, other},
		"2001:db8:0:100::/56":   {inside, other},
		"2001:db8:0:1aa::7/128": {inside},
		"2001:db8:0:200::/56":   nil,
		"100.64.0.1/32":         {ipv4},
		"100.64.0.0/10":         {ipv4},
	} {
		t.Run(within, func(t *testing.T) {
			t.Parallel()
			prefix, _ := netip.ParsePrefix(within)
			b := NewBook(Options{})
			w := b.Watch(prefix)
			for range 2 {
				for _, p := range packets {
					b.Add(p)
				}
			}
			w.Close()
			w.Close()
			var got []Attempt
			for {
				e, err := w.Next(t.Context())
				if err != nil {
					if !errors.Is(err, ErrClosed) || !errors.Is(err, os.ErrClosed) {
						t.Error(err)
					}
					break
				}
				if e.Missed != 0 {
					t.Errorf("missed %d", e.Missed)
				}
				got = append(got, e.Attempt)
			}
			if d := cmp.Diff(want, got, equal()); d != "" {
				t.Error(d)
			}
			if n := b.Health().Watchers; n != 0 {
				t.Errorf("%d watchers are left", n)
			}
		})
	}
}

// A slow reader holds nobody up, and is told how many attempts it has missed, and where.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	w := b.Watch(netip.Prefix{})
	defer w.Close()
	if n := b.Health().Watchers; n != 1 {
		t.Errorf("%d watchers", n)
	}
	for i := range mostWaiting + 100 {
		b.Add(try(noon, alice, server(i)))
	}
	next := func(want int, missed uint64) {
		t.Helper()
		e, err := w.Next(t.Context())
		if err != nil || e.Destination != server(want) || e.Missed != missed {
			t.Errorf("%s, missed %d, %v; want %s, missed %d", e.Destination, e.Missed, err, server(want), missed)
		}
	}
	next(0, 0)
	for i := range 2 {
		b.Add(try(noon, alice, server(5000+i))) // room for one
	}
	for i := range mostWaiting - 1 {
		next(i+1, 0)
	}
	next(5000, 100)
	b.Add(try(noon, alice, server(6000)))
	next(6000, 1)
}

// What wakes a reader that waits.
func TestWakeWatcher(t *testing.T) {
	t.Parallel()
	for what, wake := range map[string]struct {
		by   func(*Book, *Watcher, context.CancelFunc)
		want error
	}{
		"the context":         {func(_ *Book, _ *Watcher, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"closing it":          {func(_ *Book, w *Watcher, _ context.CancelFunc) { w.Close() }, ErrClosed},
		"closing the book":    {func(b *Book, _ *Watcher, _ context.CancelFunc) { b.Close() }, ErrClosed},
		"an attempt":          {func(b *Book, _ *Watcher, _ context.CancelFunc) { b.Add(try(noon, alice, mx1)) }, nil},
		"closing both, often": {func(b *Book, w *Watcher, _ context.CancelFunc) { w.Close(); b.Close(); w.Close() }, ErrClosed},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := NewBook(Options{})
			w := b.Watch(netip.Prefix{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var reading sync.WaitGroup
			reading.Go(func() {
				if _, err := w.Next(ctx); !errors.Is(err, wake.want) {
					t.Errorf("%v, want %v", err, wake.want)
				}
			})
			wake.by(b, w, cancel)
			reading.Wait()
		})
	}
	b := NewBook(Options{})
	b.Close()
	if _, err := b.Watch(netip.Prefix{}).Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed book's watcher: %v", err)
	}
}

// All at the same time, for the race detector: nothing is lost or counted twice.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	var handed uint64 // only OnHour writes, one call at a time
	b := NewBook(Options{Exact: 8, OnHour: func(_ time.Time, records []Record) {
		for i := range records {
			handed += records[i].Total()
		}
	}})
	const adders, each = 3, 4000
	var adding, others sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range adders {
		adding.Go(func() {
			for j := range each {
				at := after(time.Duration(j) * 3 * time.Second)
				b.Add(try(at, customer(i*100+j%100), server(j)))
				b.AddReply(Reply{Time: at, Subscriber: customer(j % 200), Peer: server(j + 7), Kind: ReplyData})
			}
		})
	}
	read := func(do func()) {
		others.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	w := b.Watch(netip.Prefix{})
	read(func() { _, _ = w.Next(ctx) })
	read(func() { b.Tick(noon) })
	read(func() { b.Top(10); b.Health(); b.Subscriber(customer(1)) })
	read(func() { b.Current(); b.Watch(host(mx1)).Close() })
	adding.Wait()
	cancel()
	others.Wait()
	w.Close()
	b.Close()
	if n := total(b.Health().Attempts); n != adders*each || handed != n {
		t.Errorf("%d attempts counted, %d handed on, of %d", n, handed, adders*each)
	}
}
