// SPDX-License-Identifier: Apache-2.0

package census

import (
	"fmt"
	"math"
	"testing"
)

// deviation is by which part of the truth an estimate is off.
func deviation(estimate uint64, truth int) float64 {
	return math.Abs(float64(estimate)-float64(truth)) / float64(truth)
}

// How far estimates are off, over books with seeds of their own. The standard error of
// a sketch with 2^14 registers is 0.81 percent. A mean of squares over 30 seeds above
// twice that does not come by chance, and neither does one of six standard errors.
func TestEstimates(t *testing.T) {
	t.Parallel()
	const seeds = 30
	for _, n := range []int{257, 1000, 5000, 20_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var squares, worst float64
			within := 0
			for range seeds {
				b := NewBook(Options{})
				for i := range n {
					a := try(noon, alice, server(i))
					hash := b.hash(a.Destination)
					b.turn(noon.UnixNano(), false)
					b.subscriber(&a).begin(&a, hash, noon.UnixNano(), b.hour)
				}
				r := of(t, b, alice)
				if !r.Estimated {
					t.Fatal("it is not estimated")
				}
				off := deviation(r.Destinations, n)
				squares += off * off
				worst = max(worst, off)
				if off <= 0.02 {
					within++
				}
			}
			root := math.Sqrt(squares / seeds)
			t.Logf("%d destinations: %.2f %% root mean square, %.2f %% at most, %d of %d within 2 %%", n, 100*root, 100*worst, within, seeds)
			if root > 0.0162 || worst > 0.0486 {
				t.Errorf("off by %.2f %%, %.2f %% at most", 100*root, 100*worst)
			}
		})
	}
}

// Up to Exact destinations, and ports of them, the number is exact.
func TestExact(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 8, 9, 128, 255, 256} {
		b := NewBook(Options{})
		for i := range n {
			b.Add(try(noon, alice, server(i)))
		}
		if r := of(t, b, alice); r.Estimated || r.Destinations != uint64(n) {
			t.Errorf("%d destinations of %d, estimated: %t", r.Destinations, n, r.Estimated)
		}
	}
	b := NewBook(Options{})
	for i := range 80 {
		for port := range uint16(3) {
			a := try(noon, alice, server(i))
			a.Port += port
			b.Add(a)
		}
	}
	if r := of(t, b, alice); r.Estimated || r.Destinations != 80 || r.Total() != 240 {
		t.Errorf("%d destinations of 80 with three ports each", r.Destinations)
	}
}

// What is estimated roughly since there are too many sketches is still of the right
// size.
func TestCoarse(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{Subscribers: 100, Exact: 4})
	for i := range 100 {
		for j := range 1000 {
			b.Add(try(noon, customer(i), server(i*1000+j)))
		}
	}
	var squares float64
	for i := range 100 {
		off := deviation(of(t, b, customer(i)).Destinations, 1000)
		squares += off * off
	}
	root := math.Sqrt(squares / 100)
	t.Logf("%.1f %% root mean square", 100*root)
	if root > 0.13 { // twice the standard error of 2^8 registers
		t.Errorf("off by %.1f %%", 100*root)
	}
	// Who is tried is told apart up to 64 subscribers.
	for i := range 64 {
		b.Add(try(noon, customer(i), mx1))
	}
	for _, d := range b.Top(1000).Destinations {
		if d.Addr == mx1 && d.Subscribers != 64 {
			t.Errorf("%d subscribers of 64", d.Subscribers)
		}
	}
}
