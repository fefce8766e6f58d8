// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// still is a connection that remembers what was done to it.
type still struct {
	net.Conn

	from     net.Addr
	closed   bool
	deadline time.Time
}

func (c *still) RemoteAddr() net.Addr              { return c.from }
func (c *still) Close() error                      { c.closed = true; return nil }
func (c *still) SetDeadline(t time.Time) error     { c.deadline = t; return nil }
func (c *still) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }

func from(addr string) *still {
	return &still{from: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1000))}
}

// Who has to go when all places are taken.
func TestDisplace(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1e9, 0)
	for _, c := range []struct {
		name    string
		holds   []string // in the order of their coming, a millisecond apart
		working []int
		after   time.Duration
		comes   string
		gone    int // -1: the newcomer
	}{
		{"the one with most goes, its oldest first", []string{"192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2"}, nil, 0, "192.0.2.9", 1},
		{"all young and alike: the newcomer", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, nil, 0, "192.0.2.9", -1},
		{"all alike, the oldest had its second", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, nil, patience, "192.0.2.9", 0},
		{"a newcomer with as many is no better", []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"}, nil, 0, "192.0.2.2", -1},
		{"one that is being answered stays", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.3"}, []int{0, 1}, 0, "192.0.2.9", 2},
		{"all are being answered", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.3"}, []int{0, 1, 2, 3}, time.Hour, "192.0.2.9", -1},
		{"a /64 is one source", []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:2::1"}, nil, 0, "192.0.2.9", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(4, 4)
			var all []*still
			for i, addr := range append(c.holds, c.comes) {
				s := from(addr)
				all = append(all, s)
				now := begin.Add(time.Duration(i) * time.Millisecond)
				if i == len(c.holds) {
					now = now.Add(c.after)
				}
				in := g.enter(s, now)
				for _, w := range c.working {
					if w == i && !in.work() {
						t.Fatal("a new connection cannot work")
					}
				}
			}
			got := -1
			for i, s := range all[:len(c.holds)] {
				if s.closed {
					got = i
				}
			}
			if newcomer := all[len(c.holds)].closed; got != c.gone || newcomer != (c.gone < 0) {
				t.Errorf("%d was closed, want %d; the newcomer: %v", got, c.gone, newcomer)
			}
			if open, refused := g.stats(); open != 4 || refused != 1 {
				t.Errorf("%d open, %d refused", open, refused)
			}
		})
	}
}

// No deadline that net/http sets, and none that it takes away, goes beyond the life.
func TestLifetime(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1e9, 0)
	s := from("192.0.2.1")
	c := newGate(1, 1).enter(s, begin)
	if end := begin.Add(lifetime); s.deadline != end {
		t.Errorf("at first %v, want %v", s.deadline, end)
	}
	for set, want := range map[time.Duration]time.Duration{time.Second: time.Second, lifetime: lifetime, time.Hour: lifetime} {
		if err := c.SetReadDeadline(begin.Add(set)); err != nil || s.deadline != begin.Add(want) {
			t.Errorf("%v became %v, %v", set, s.deadline.Sub(begin), err)
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil || s.deadline != begin.Add(lifetime) {
		t.Errorf("none became %v, %v", s.deadline, err)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1":   "192.0.2.1/32",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"2001:db8:1:2::ffff": "2001:db8:1:2::/64",
		"fe80::1%eth0":       "fe80::/64",
	} {
		a, ok := addrOf(from(addr).from)
		if got := sourceOf(a).String(); got != want || !ok {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	s := &still{from: &net.UnixAddr{Name: "x"}}
	if c := newGate(1, 1).enter(s, time.Now()); c != nil || !s.closed {
		t.Error("a connection without an IP address was let in")
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := newLimiter(rates{total: 10, totalBurst: 5, source: 1, sourceBurst: 3})
	now := time.Unix(1e9, 0)
	one, two := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	var got []bool
	for _, step := range []struct {
		source netip.Prefix
		wait   time.Duration
	}{
		{one, 0}, {one, 0}, {one, 0}, {one, 0}, // its burst, and no more
		{two, 0}, {two, 0}, {two, 0}, // all together have 5
		{one, time.Second}, {one, 0}, // one a second comes back
		{one, time.Hour}, {one, 0}, {one, 0}, {one, 0}, // never more than the burst
	} {
		now = now.Add(step.wait)
		got = append(got, l.allow(step.source, now))
	}
	want := []bool{true, true, true, false, true, true, false, true, false, true, true, true, false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c, now := newCache(), time.Unix(1e9, 0)
	key := func(i int) answerKey { return answerKey{language: fmt.Sprint(i)} }
	for i := range 10 * cacheSize {
		c.put(key(i), []byte("x"), now.Add(time.Duration(i)*time.Millisecond))
		if n := len(c.kept); n > cacheSize {
			t.Fatalf("%d are kept", n)
		}
	}
	c.put(key(1), []byte("one"), now)
	for age, want := range map[time.Duration]string{0: "one", cacheTime - 1: "one", cacheTime: ""} {
		if got := string(c.get(key(1), now.Add(age))); got != want {
			t.Errorf("after %v: %q, want %q", age, got, want)
		}
	}
}
