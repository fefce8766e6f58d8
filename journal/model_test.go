// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// model is what a journal means: all holdings ever, in the order of being told.
type model struct {
	holdings []*Holding
}

func (m *model) open(p netip.Prefix, source string) *Holding {
	for _, h := range m.holdings {
		if h.Prefix == p && h.Source == source && h.To.IsZero() {
			return h
		}
	}
	return nil
}

func (m *model) hold(n Holding) {
	old := m.open(n.Prefix, n.Source)
	switch {
	case old != nil && old.Holder == n.Holder:
		if n.Seen.After(old.Seen) {
			old.Seen = n.Seen
		}
		if n.Hostname != "" {
			old.Hostname = n.Hostname
		}
		return
	case old != nil:
		n.From = later(n.From, old.From.Add(time.Millisecond))
		old.To = n.From
	}
	for _, h := range m.holdings {
		if h.Prefix == n.Prefix && h.Source == n.Source {
			n.From = later(n.From, h.To)
		}
	}
	m.holdings = append(m.holdings, &n)
}

func (m *model) release(p netip.Prefix, source string, at time.Time) {
	if h := m.open(p, source); h != nil {
		h.To = later(at, h.From.Add(time.Millisecond))
	}
}

func (m *model) releaseAll(source string, at time.Time) {
	for _, h := range m.holdings {
		if h.Source == source {
			m.release(h.Prefix, source, at)
		}
	}
}

func (m *model) forget(edge time.Time) {
	m.holdings = slices.DeleteFunc(m.holdings, func(h *Holding) bool {
		if h.To.IsZero() {
			return h.Seen.Before(edge)
		}
		return h.To.Before(edge)
	})
}

func (m *model) holderAt(addr netip.Addr, t time.Time) (found []Holding) {
	for _, h := range m.holdings {
		if h.Prefix.Contains(addr) && !t.Before(h.From) && (h.To.IsZero() || t.Before(h.To)) {
			found = append(found, *h)
		}
	}
	slices.SortFunc(found, func(a, b Holding) int {
		return cmp.Or(b.Prefix.Bits()-a.Prefix.Bits(), cmp.Compare(a.Source, b.Source))
	})
	return found
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// program is a series of choices.
type program struct{ octets []byte }

func (p *program) more() bool { return len(p.octets) > 0 }

func (p *program) choose(n int) int {
	if len(p.octets) == 0 {
		return 0
	}
	c := int(p.octets[0])
	p.octets = p.octets[1:]
	return c % n
}

// prefix is one of few, so that they meet.
func (p *program) prefix() netip.Prefix {
	addr := p.addr()
	lengths := []int{128, 64, 56, 48, 0}
	if addr.Is4() {
		lengths = []int{32, 32, 24, 0}
	}
	return netip.PrefixFrom(addr, lengths[p.choose(len(lengths))]).Masked()
}

func (p *program) addr() netip.Addr {
	c := p.choose(16)
	if c < 8 {
		return netip.AddrFrom4([4]byte{192, 0, byte(c & 4), byte(c & 3)})
	}
	a := [16]byte{0: 0x20, 1: 1, 6: byte(c & 1), 7: byte(c & 2), 15: byte(c & 4)}
	return netip.AddrFrom16(a)
}

// run does the program to an empty journal and to the model, and compares what
// they say.
func (p *program) run(t *testing.T, j *Journal, now *clock) {
	t.Helper()
	const start, span = 500, 200
	now.set(at(start))
	m, edge := &model{}, time.Time{}
	for p.more() {
		// Mostly forward, sometimes back.
		now.set(now.Now().Add(time.Duration(p.choose(60)-5) * time.Minute))
		when := now.Now().Add(-time.Duration(p.choose(4)) * 20 * time.Minute)
		source := fmt.Sprint("source", p.choose(3))
		switch action := p.choose(16); {
		case action < 10:
			h := Holding{Prefix: p.prefix(), Holder: fmt.Sprint("holder", p.choose(3)), Source: source, From: when, Seen: when}
			if p.choose(3) == 0 {
				h.Seen, h.Hostname = now.Now(), fmt.Sprint("host", p.choose(3))
			}
			j.Hold(h)
			m.hold(h)
		case action < 13:
			prefix := p.prefix()
			j.Release(prefix, source, when)
			m.release(prefix, source, when)
		case action == 13:
			j.ReleaseAll(source, when)
			m.releaseAll(source, when)
		case action == 14:
			flush(t, j)
		default:
			edge = later(edge, now.Now().Add(-time.Duration(p.choose(50))*time.Hour))
			sweepAll(t, j, edge)
			m.forget(edge)
		}
		if p.choose(4) == 0 {
			flush(t, j)
			p.compare(t, j, m, at(start-float64(p.choose(10))+float64(p.choose(span))))
			p.compare(t, j, m, now.Now())
		}
	}
	flush(t, j)
	for hours := 0; hours < span; hours += 4 {
		p.compare(t, j, m, at(start+float64(hours)))
	}
	if h := j.Health(); h.Lost != 0 || h.Err != nil {
		t.Errorf("%+v", h)
	}
}

func (p *program) compare(t *testing.T, j *Journal, m *model, when time.Time) {
	t.Helper()
	addr := p.addr()
	got, err := j.HolderAt(t.Context(), addr, when)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(m.holderAt(addr, when), got, comparePrefixes()); diff != "" {
		t.Fatalf("%s at %s: %s", addr, when, diff)
	}
}

func dice(seed uint64, n int) *program {
	octets := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range n / 8 {
		binary.NativeEndian.PutUint64(octets[8*i:], r.Uint64())
	}
	return &program{octets}
}

// TestModel throws dice. It is no fuzz target: the coverage of a database with a
// goroutine of its own differs from run to run, and tells a fuzzer nothing.
// Settings: OP25B_JOURNAL_MODELS (6), how many series.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range setting(t, "OP25B_JOURNAL_MODELS", 6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			opts, now := options(t), &clock{}
			opts.Now = now.Now
			j := open(t, opts)
			dice(uint64(seed), 4000).run(t, j, now)
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
