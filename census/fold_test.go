// SPDX-License-Identifier: Apache-2.0

package census

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// Packets of one subscriber to one port of one server, in seconds, and the attempts
// that they make.
func TestFold(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		fold     time.Duration
		seconds  []float64
		attempts uint64
	}{
		{"one", 0, []float64{0}, 1},
		{"Linux, tcp_syn_retries 6", 0, []float64{0, 1, 3, 7, 15, 31, 63}, 1},
		{"Linux 6.5, the first five linear", 0, []float64{0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67}, 1},
		{"Windows", 0, []float64{0, 3, 9}, 1},
		{"Linux, tcp_syn_retries 7: the last gap is 64 s", 0, []float64{0, 1, 3, 7, 15, 31, 63, 127}, 2},
		{"one click, and one more when the first has given up", 0, []float64{0, 1, 3, 7, 15, 31, 63, 130, 131, 133}, 2},
		{"just within", 0, []float64{0, 59.999}, 1},
		{"not within", 0, []float64{0, 60}, 2},
		{"every 30 s for 4 min", 0, []float64{0, 30, 60, 90, 120, 150, 180, 210, 240}, 3},
		{"a mail server's queue, every 5 min", 0, []float64{0, 300, 600, 900}, 4},
		{"a window of 2 s", 2 * time.Second, []float64{0, 1, 3, 7, 15}, 4},
		{"packets overtake each other", 0, []float64{10, 9.9, 10.1, 9.8}, 1},
		{"the clock is set back", 0, []float64{600, 500, 501}, 2},
		{"the clock is set back by just the window", 0, []float64{600, 540}, 2},
		{"late packets do not shorten the window", 0, []float64{50, 1, 105}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := NewBook(Options{Fold: row.fold})
			for _, s := range row.seconds {
				b.Add(try(after(time.Duration(s*float64(time.Second))), alice, mx1))
			}
			r := of(t, b, alice)
			if r.Attempts[Refused] != row.attempts || r.Packets != uint64(len(row.seconds)) {
				t.Errorf("%d attempts of %d packets, want %d of %d",
					r.Attempts[Refused], r.Packets, row.attempts, len(row.seconds))
			}
			if d := r.Top[0]; d.Attempts != row.attempts || d.Packets != r.Packets {
				t.Errorf("the destination has %d attempts of %d packets", d.Attempts, d.Packets)
			}
			if h := b.Health(); h.Attempts != r.Attempts || h.Packets != r.Packets {
				t.Errorf("health: %d of %d packets", h.Attempts, h.Packets)
			}
		})
	}
}

// What makes two packets in the same second two attempts.
func TestApart(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Attempt){
		"subscriber":  func(a *Attempt) { a.Subscriber = bob },
		"length":      func(a *Attempt) { a.Subscriber = netip.PrefixFrom(alice.Addr(), 24) },
		"destination": func(a *Attempt) { a.Destination = mx2 },
		"port":        func(a *Attempt) { a.Port = 465 },
		"outcome":     func(a *Attempt) { a.Outcome = Monitored },
	} {
		b := NewBook(Options{})
		a := try(noon, alice, mx1)
		b.Add(a)
		change(&a)
		b.Add(a)
		if n := total(b.Health().Attempts); n != 2 {
			t.Errorf("another %s: %d attempts, want 2", what, n)
		}
	}
	b := NewBook(Options{})
	a := try(noon, alice, mx1)
	b.Add(a)
	a.Source = mx2
	a.Destination = netip.MustParseAddr("::ffff:192.0.2.1")
	b.Add(a)
	if n := total(b.Health().Attempts); n != 1 {
		t.Errorf("another source of the subscriber, and IPv4 in IPv6: %d attempts, want 1", n)
	}
}

// However many targets a subscriber has, none is taken for another, and a retry right
// after is one.
func TestFoldManyTargets(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 4, 5, 9, 100, 1000, 20_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := NewBook(Options{Exact: 16})
			for i := range n {
				at := after(time.Duration(i) * time.Millisecond)
				b.Add(try(at, alice, server(i)))
				b.Add(try(at.Add(time.Second), alice, server(i)))
			}
			r := of(t, b, alice)
			if r.Total() != uint64(n) || r.Packets != uint64(2*n) {
				t.Errorf("%d attempts of %d packets, want %d of %d", r.Total(), r.Packets, n, 2*n)
			}
		})
	}
}
