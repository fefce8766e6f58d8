// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"op25b/filter/filtertest"
)

// TestRandomSequences sends longer and wilder sequences than can be enumerated.
// Longer:
//
//	OP25B_FRAGMENT_SEQUENCES=1000000 OP25B_SEED=7 go test -run TestRandomSequences ./filter
func TestRandomSequences(t *testing.T) {
	t.Parallel()
	const shards = 4
	sequences := setting(t, "OP25B_FRAGMENT_SEQUENCES", 20_000)
	seed := setting(t, "OP25B_SEED", 25)
	t.Logf("%d sequences from seed %d", sequences, seed)
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			d := dice{rand.New(rand.NewPCG(uint64(seed), uint64(shard)))} // reproducible
			playSequences(t, d, sequences/shards+1)
		})
	}
}

func playSequences(t *testing.T, d dice, n int) {
	t.Helper()
	const (
		reuse  = 8  // so many sequences are made of one universe
		sample = 15 // one in so many is played unfiltered
	)
	policy := compile(t, tunnels())
	unfiltered := map[string]int{}
	var u universe
	for i := range n {
		if i%reuse == 0 {
			u = d.universe()
		}
		sequence := d.sequence(u)
		if i%sample == 0 {
			for _, prefer := range preferences() {
				if opens(sequence, prefer) {
					unfiltered[prefer.name]++
				}
			}
		}
		survivors := slices.DeleteFunc(sequence, func(w wire) bool { return !passes(policy, w.octets) })
		for _, prefer := range preferences() {
			if opens(survivors, prefer) {
				t.Fatalf("a receiver that prefers %s is opened by\n%s", prefer.name, spell(survivors))
			}
		}
	}
	for _, prefer := range preferences() {
		if unfiltered[prefer.name] < n/sample/10 {
			t.Errorf("%s: of %d sequences, unfiltered, only %d open: the test tests little",
				prefer.name, n/sample+1, unfiltered[prefer.name])
		}
	}
}

// sequence cuts a SYN to port 25 at random, mixes in pieces of its disguises
// and some twice, and shuffles.
func (d dice) sequence(u universe) []wire {
	truth := u.disguises[0]
	var sequence []wire
	for _, b := range truth.Cut(d.cuts(len(truth.Fragmentable()))...) {
		sequence = appendWire(sequence, b)
	}
	for range d.IntN(6) {
		p := pick(d, u.disguises)
		body := p.Fragmentable()
		at := d.cuts(len(body))
		from, to := 0, len(body)
		if len(at) > 0 && d.chance(70) {
			to = at[0]
		}
		if len(at) > 1 && d.chance(50) {
			from, to = at[0], at[1]
		}
		sequence = appendWire(sequence, p.Piece(from, to < len(body) || d.chance(10), body[from:to]))
	}
	if len(sequence) > 0 && d.chance(30) {
		sequence = append(sequence, pick(d, sequence))
	}
	d.Shuffle(len(sequence), func(i, j int) { sequence[i], sequence[j] = sequence[j], sequence[i] })
	return sequence
}

// universe is random in all that may matter to fragments.
func (d dice) universe() universe {
	u := d.bareUniverse(d.chance(50))
	if d.chance(20) {
		return d.within(u)
	}
	return u
}

func (d dice) bareUniverse(v4 bool) universe {
	var chain []filtertest.Header
	if v4 {
		for range d.IntN(3) {
			chain = append(chain, filtertest.AH(pick(d, []int{12, 24, 60, 64, 80, 84})))
		}
		return newUniverse("", "100.64.0.2:40000", "203.0.113.25:25", chain)
	}
	for range d.IntN(4) {
		size := pick(d, []int{8, 8, 16, 24, 40, 480, 488, 496, 504, 512})
		chain = append(chain, pick(d, []filtertest.Header{
			filtertest.DestOpts(size), filtertest.DestOpts(size), filtertest.Mobility(size),
			filtertest.Routing(4, 0), filtertest.AH(12),
		}))
	}
	return newUniverse("", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", chain)
}

// within puts a universe into a tunnel, by IPv4 or IPv6.
func (d dice) within(u universe) universe {
	proto := uint8(4)
	if u.disguises[0].Bytes()[0]>>4 == 6 {
		proto = pick(d, []uint8{41, 47})
	}
	if d.chance(50) {
		return u.within(proto, "100.64.0.2", "203.0.113.9", d.chainBehind(filtertest.AH)...)
	}
	return u.within(proto, "2001:db8:a::2", "2001:db8:ffff::9", d.chainBehind(filtertest.DestOpts)...)
}

// chainBehind returns a header of some size, or none.
func (d dice) chainBehind(kind func(size int) filtertest.Header) []filtertest.Header {
	if d.chance(60) {
		return nil
	}
	return []filtertest.Header{kind(pick(d, []int{16, 24, 40, 48, 56, 440, 448, 456, 504, 512}))}
}

// cuts returns up to five rising offsets below n, mostly in whole units, often
// where the floors are.
func (d dice) cuts(n int) []int {
	var at []int
	for range d.IntN(6) {
		cut := 8 * d.IntN(n/8+1)
		if d.chance(30) {
			cut = pick(d, []int{8, 16, 24, 72, 80, 88, 504, 512, 520})
		}
		if d.chance(2) {
			cut++
		}
		if cut > 0 && cut < n {
			at = append(at, cut)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}
