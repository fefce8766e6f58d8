// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// desk is a Book with a clock of its own, and all that it has told.
type desk struct {
	*Book
	now  time.Time
	told []string
}

var dawn = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func newDesk() *desk {
	d := &desk{now: dawn}
	d.Book = NewBook(Options{
		Now: func() time.Time { return d.now },
		OnChange: func(e Event) {
			d.told = append(d.told, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", at(e.Time), e.Kind, e.Source, short(e.Prefix), e.Holder)))
		},
	})
	return d
}

func short(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// take returns what was told since.
func (d *desk) take() []string {
	told := d.told
	d.told = nil
	return told
}

func (d *desk) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.take(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func (d *desk) after(wait time.Duration) { d.now = d.now.Add(wait) }

func (d *desk) say(kind Kind, source, prefix, holder string, life time.Duration) {
	l := Lease{Prefix: netip.MustParsePrefix(prefix), Holder: holder, Source: source, Start: d.now}
	if life > 0 {
		l.End = d.now.Add(life)
	}
	d.Lease(Event{Kind: kind, Lease: l, Time: d.now})
}

func (d *desk) holder(addr string) string {
	l, ok := d.Lookup(netip.MustParseAddr(addr))
	if !ok {
		return ""
	}
	return l.Source + " " + l.Prefix.String() + " " + l.Holder
}

func TestBookTells(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.say(Granted, "a", "192.0.2.1/32", "alice", time.Hour)
	d.want(t, "08:00:00 granted a 192.0.2.1/32 alice")
	d.after(30 * time.Minute)
	d.say(Granted, "a", "192.0.2.1/32", "alice", time.Hour) // renewed, and nothing is said
	d.want(t)
	d.after(30 * time.Minute)
	d.say(Renewed, "a", "192.0.2.1/32", "alice", time.Hour)
	d.want(t, "09:00:00 renewed a 192.0.2.1/32 alice")
	if l, _ := d.Lookup(netip.MustParseAddr("::ffff:192.0.2.1")); !l.Start.Equal(dawn) || !l.End.Equal(d.now.Add(time.Hour)) {
		t.Errorf("%+v", l)
	}
	d.after(time.Minute)
	d.Lease(Event{Lease: Lease{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Holder: "alice", Hostname: "new", Source: "a"}, Time: d.now})
	d.want(t, "09:01:00 renewed a 192.0.2.1/32 alice") // another host name is told of at once
	d.say(Granted, "a", "192.0.2.1/32", "bob", time.Hour)
	d.want(t, "09:01:00 released a 192.0.2.1/32 alice", "09:01:00 granted a 192.0.2.1/32 bob")
	d.say(Released, "a", "192.0.2.1/32", "alice", 0) // late news
	d.want(t)
	d.say(Released, "b", "192.0.2.1/32", "", 0) // of another source
	d.want(t)
	d.say(Released, "a", "192.0.2.1/32", "", 0)
	d.want(t, "09:01:00 released a 192.0.2.1/32 bob")
	if got := d.holder("192.0.2.1"); got != "" {
		t.Error(got)
	}
}

func TestBookExpires(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.say(Granted, "a", "192.0.2.1/32", "alice", time.Hour)
	d.say(Granted, "a", "192.0.2.2/32", "bob", 0)
	d.take()
	d.after(time.Hour + lateness*time.Second - time.Second)
	d.expire()
	d.want(t)
	d.after(time.Second)
	if got := d.holder("192.0.2.1"); got != "" {
		t.Errorf("still held by %q", got)
	}
	d.expire()
	d.want(t, "09:00:00 released a 192.0.2.1/32 alice")
	if got := d.holder("192.0.2.2"); got != "a 192.0.2.2/32 bob" || d.Len() != 1 {
		t.Errorf("%q, %d leases", got, d.Len())
	}
	// What has ended long ago is no news, whoever says it.
	d.Lease(Event{Lease: Lease{Prefix: netip.MustParsePrefix("192.0.2.3/32"), Source: "a", End: dawn}, Time: d.now})
	d.want(t)
}

func TestBookLooksUp(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.say(Granted, "a", "2001:db8:1::/56", "home", 0)
	d.say(Granted, "a", "2001:db8:1::7/128", "phone", 0)
	d.say(Granted, "a", "::/0", "all", 0)
	d.say(Granted, "a", "192.0.2.1/32", "old", 0)
	d.after(time.Minute)
	d.say(Granted, "b/192.0.2.9", "192.0.2.1/32", "new", 0)
	for addr, want := range map[string]string{
		"2001:db8:1::7":      "a 2001:db8:1::7/128 phone",
		"2001:db8:1:ff::1":   "a 2001:db8:1::/56 home",
		"2001:db8:1:ff::1%x": "a 2001:db8:1::/56 home",
		"2001:db8:2::1":      "a ::/0 all",
		"192.0.2.1":          "b/192.0.2.9 192.0.2.1/32 new",
		"192.0.2.2":          "",
	} {
		if got := d.holder(addr); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	if _, ok := d.Lookup(netip.Addr{}); ok {
		t.Error("nothing is an address")
	}
	d.take()
	d.Lease(Event{Kind: AllGone, Lease: Lease{Source: "b/192.0.2.9"}, Time: d.now})
	d.want(t, "08:01:00 all gone b/192.0.2.9")
	if got := d.holder("192.0.2.1"); got != "a 192.0.2.1/32 old" {
		t.Error(got)
	}
	d.Lease(Event{Kind: Granted, Time: d.now}) // without a prefix: nothing
	d.want(t)
}

func TestBookReads(t *testing.T) {
	t.Parallel()
	d := newDesk()
	read := func(leases ...string) Reading { // ADDRESS HOLDER, or ADDRESS alone: gone
		r := d.Read("a")
		for _, l := range leases {
			addr, holder, held := strings.Cut(l, " ")
			p := netip.MustParsePrefix(addr + "/32")
			if !held {
				r.Gone(p)
				continue
			}
			r.Hold(Lease{Prefix: p, Holder: holder})
		}
		return r
	}
	// The last word counts, and nothing is told before the end.
	r := read("192.0.2.1 alice", "192.0.2.2 bob", "192.0.2.1 carol", "192.0.2.3 dan", "192.0.2.3")
	d.want(t)
	if d.Len() != 0 {
		t.Error("it holds before the commit")
	}
	r.Commit(d.now)
	d.want(t, "08:00:00 granted a 192.0.2.1/32 carol", "08:00:00 granted a 192.0.2.2/32 bob")

	read("192.0.2.1 mallory") // broken off
	d.want(t)
	d.after(time.Minute)
	read("192.0.2.1 alice", "192.0.2.1 carol", "192.0.2.4 eve").Commit(d.now)
	d.want(t, "08:01:00 released a 192.0.2.2/32 bob", "08:01:00 granted a 192.0.2.4/32 eve")
	d.after(time.Hour)
	read("192.0.2.1 carol", "192.0.2.4 eve", "192.0.2.4 frank", "192.0.2.1").Commit(d.now)
	d.want(t, "09:01:00 released a 192.0.2.1/32 carol", "09:01:00 released a 192.0.2.4/32 eve", "09:01:00 granted a 192.0.2.4/32 frank")
	d.after(time.Hour)
	read("192.0.2.4 frank").Commit(d.now)
	d.want(t, "10:01:00 renewed a 192.0.2.4/32 frank")
	read().Commit(d.now)
	d.want(t, "10:01:00 released a 192.0.2.4/32 frank")
}

func TestBookHealth(t *testing.T) {
	t.Parallel()
	d := newDesk()
	broken := errors.New("broken")
	d.Asked("a", d.now, nil)
	d.say(Granted, "a", "192.0.2.1/32", "alice", 0)
	d.say(Granted, "b/192.0.2.9", "192.0.2.2/32", "bob", 0)
	d.say(Granted, "b/192.0.2.8", "192.0.2.3/32", "carol", 0)
	d.Asked("b", d.now, broken)
	for i := range mostProblems + 5 {
		d.Bad("b", Problem{File: "x", Line: i, What: "rubbish", Text: strings.Repeat("y", 1000)})
	}
	d.after(time.Minute)
	h := d.Health()
	if len(h) != 2 {
		t.Fatalf("%+v", h)
	}
	if a := h[0]; a.Source != "a" || a.Degraded() || a.Age != time.Minute || a.Leases != 1 || a.BadLines != 0 {
		t.Errorf("%+v", a)
	}
	b := h[1]
	if b.Source != "b" || !b.Degraded() || !errors.Is(b.Err, broken) || b.Leases != 2 || b.BadLines != mostProblems+5 || len(b.Problems) != mostProblems {
		t.Errorf("%+v", b)
	}
	if got, want := b.Problems[0].String(), "x:5: rubbish: "; !strings.HasPrefix(got, want) || len(got) > 100 {
		t.Errorf("got %q", got)
	}
	d.Asked("b", d.now, nil)
	if b := d.Health()[1]; b.Degraded() || !errors.Is(b.LastErr, broken) || !b.LastErrTime.Equal(dawn) {
		t.Errorf("%+v", b)
	}
}

// The Book against a map: whatever news comes in, it says the same, and the history
// told, played back, is what it says.
func TestBookModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			playModel(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

type held struct {
	source string
	prefix netip.Prefix
}

func playModel(t *testing.T, dice *rand.Rand) {
	t.Helper()
	now := dawn
	history := map[held]string{} // as told
	b := NewBook(Options{Now: func() time.Time { return now }, OnChange: func(e Event) {
		key := held{e.Source, e.Prefix}
		switch e.Kind {
		case Granted:
			if who, taken := history[key]; taken {
				t.Errorf("granted to %s while %s has it", e.Holder, who)
			}
			history[key] = e.Holder
		case Renewed, Released:
			if history[key] != e.Holder {
				t.Errorf("%s of %s, which %q has", e.Kind, e.Holder, history[key])
			}
			if e.Kind == Released {
				delete(history, key)
			}
		case AllGone:
			maps.DeleteFunc(history, func(k held, _ string) bool { return k.source == e.Source })
		}
	}})
	model := map[held]Lease{}
	prefixes := []string{"192.0.2.%d/32", "2001:db8::%d/128", "2001:db8:0:%d00::/56"}
	random := func() Lease {
		l := Lease{
			Prefix: netip.MustParsePrefix(fmt.Sprintf(prefixes[dice.IntN(3)], dice.IntN(40))),
			Holder: fmt.Sprint("holder", dice.IntN(3)), Hostname: strings.Repeat("h", dice.IntN(200)),
			Source: fmt.Sprint("s", dice.IntN(2)),
		}
		if dice.IntN(2) == 0 {
			l.End = now.Add(time.Duration(dice.IntN(100)) * time.Minute)
		}
		return l
	}
	over := func(l Lease) bool { return !l.End.IsZero() && !l.End.Add(lateness*time.Second).After(now) }
	for range 3000 {
		switch n := dice.IntN(100); {
		case n < 60:
			l := random()
			b.Lease(Event{Kind: Granted, Lease: l, Time: now})
			if !over(l) {
				model[held{l.Source, l.Prefix}] = l
			} else if m := model[held{l.Source, l.Prefix}]; m.Holder == l.Holder {
				delete(model, held{l.Source, l.Prefix})
			}
		case n < 90:
			l := random()
			b.Lease(Event{Kind: Released, Lease: l, Time: now})
			if model[held{l.Source, l.Prefix}].Holder == l.Holder {
				delete(model, held{l.Source, l.Prefix})
			}
		case n < 91:
			source := fmt.Sprint("s", dice.IntN(2))
			b.Lease(Event{Kind: AllGone, Lease: Lease{Source: source}, Time: now})
			maps.DeleteFunc(model, func(k held, _ Lease) bool { return k.source == source })
		case n < 93:
			source := fmt.Sprint("s", dice.IntN(2))
			r := b.Read(source)
			named := map[held]Lease{}
			for range dice.IntN(100) {
				l := random()
				l.Source = source
				delete(named, held{source, l.Prefix})
				if dice.IntN(4) == 0 {
					r.Gone(l.Prefix)
					continue
				}
				r.Hold(l)
				if !over(l) {
					named[held{source, l.Prefix}] = l
				}
			}
			if dice.IntN(3) == 0 {
				break // broken off
			}
			r.Commit(now)
			maps.DeleteFunc(model, func(k held, _ Lease) bool { return k.source == source })
			maps.Copy(model, named)
		default:
			now = now.Add(time.Duration(dice.IntN(600)) * time.Second)
			b.expire()
			maps.DeleteFunc(model, func(_ held, l Lease) bool { return over(l) })
		}
	}
	b.expire()
	maps.DeleteFunc(model, func(_ held, l Lease) bool { return over(l) })
	if b.Len() != len(model) || len(history) != len(model) {
		t.Errorf("%d leases, %d told of, want %d", b.Len(), len(history), len(model))
	}
	for key, l := range model {
		if history[key] != l.Holder {
			t.Errorf("%v: told %q, want %q", key, history[key], l.Holder)
		}
		got, ok := b.Lookup(l.Prefix.Addr())
		if !ok || got.Prefix.Bits() < l.Prefix.Bits() {
			t.Errorf("%v: found %v", key, got)
		}
		if other, both := model[held{got.Source, got.Prefix}]; !both || other.Holder != got.Holder || other.Hostname != got.Hostname || seconds(other.End) != seconds(got.End) {
			t.Errorf("%v: found %+v, want %+v", key, got, other)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	table, model := newTable[uint32, uint64](), map[uint32]uint64{}
	for range 200_000 {
		key := dice.Uint32N(9000)
		if dice.IntN(5) < 2 {
			table.remove(key)
			delete(model, key)
			continue
		}
		v, isNew := table.put(key)
		if _, had := model[key]; had == isNew || !isNew && *v != model[key] || isNew && *v != 0 {
			t.Fatalf("%d: %d, new %v", key, *v, isNew)
		}
		*v = dice.Uint64()
		model[key] = *v
	}
	for key := range uint32(9000) {
		want, ok := model[key]
		if v := table.get(key); (v != nil) != ok || ok && *v != want {
			t.Fatalf("%d: %v, want %v %v", key, v, want, ok)
		}
	}
	seen := 0
	for key, v := range table.all() {
		if seen++; *v != model[key] {
			t.Errorf("%d: %d", key, *v)
		}
		table.remove(key)
	}
	if seen != len(model) || table.len() != 0 {
		t.Errorf("saw %d of %d, %d left", seen, len(model), table.len())
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	var x texts
	var places []uint32
	for i := range 10_000 {
		places = append(places, x.add(fmt.Sprint(i), "!"))
	}
	x.add("", "")
	for i, at := range places {
		if got, want := string(x.get(at, len(fmt.Sprint(i))+1)), fmt.Sprint(i)+"!"; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if got := x.get(0, 0); len(got) != 0 || slices.Contains(places[1:], 0) {
		t.Error(got)
	}
}
