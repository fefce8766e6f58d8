// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestHighestLossless(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		capacity, limit float64
		sender          float64 // what it can do at most
		low, high       float64 // what may come out
	}{
		{"capacity in the range", 500, 640, 1e9, 490, 500},
		{"all of it", 1e9, 640, 1e9, 630, 640},
		{"loses at every rate", 0, 640, 1e9, 0, 0},
		{"sender is the limit", 1e9, 640, 300, 300, 300},
	}
	for _, tt := range tests {
		tries := 0
		got := highestLossless(tt.limit, func(rate float64) (float64, bool) {
			tries++
			// The first of two tries may lose something to the machine.
			return min(rate, tt.sender), rate <= tt.capacity && tries%2 == 0
		})
		if got < tt.low || got > tt.high {
			t.Errorf("%s: %.0f, want %.0f to %.0f", tt.name, got, tt.low, tt.high)
		}
		if tries > 2*searchSteps {
			t.Errorf("%s: %d trials", tt.name, tries)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	samples := make([]time.Duration, 1000)
	for i := range samples {
		samples[i] = time.Duration(i)
	}
	for share, want := range map[float64]time.Duration{0.5: 500, 0.99: 990, 0.999: 999, 1: 999} {
		if got := percentile(samples, share); got != want {
			t.Errorf("percentile(%v) = %d, want %d", share, got, want)
		}
	}
	if got := percentile(samples[:1], 0.999); got != 0 {
		t.Errorf("of one sample: %d", got)
	}
}

func TestBenchReport(t *testing.T) {
	t.Parallel()
	all := []peer{{name: kernelPeer}, {name: relayRouter}, {name: "all_router", relay: relayRouter}}
	what := []measurement{{figures: []figure{{"tcp_up", "TCP up", "Gbit/s"}, {"rss", "memory", "MiB"}}}}
	r := newBenchReport(all, what, 3, 1)
	for round := range 3 {
		r.add(kernelPeer, values{"tcp_up": 10 + float64(round)})
		r.add(relayRouter, values{"tcp_up": 5.5})
		r.add("all_router", values{"tcp_up": 4.4, "rss": 20})
	}
	r.finish()
	p := r.peer("all_router")
	if got := p.Ratios[kernelPeer]["tcp_up"]; got != 0.4 {
		t.Errorf("ratio to the kernel: %v, want 4.4/11", got)
	}
	if got := short(p.Ratios[relayRouter]["tcp_up"]); got != "0.80" {
		t.Errorf("ratio to the relay: %v, want 4.4/5.5", got)
	}
	if _, known := p.Ratios[kernelPeer]["rss"]; known {
		t.Error("the kernel has no process")
	}
	table := r.table()
	for _, want := range []string{"TCP up, Gbit/s  11.0    5.50 (0.50)  4.40 (0.40)\n", "memory, MiB     -       -            20.0\n"} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %q in\n%s", want, table)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0.00", 0.614: "0.61", 9.994: "9.99", 9.996: "10.0", 99.96: "100", 1234: "1234", 72_049: "72.0k", 532_400: "532k", 1_234_567: "1.23M",
	} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %s, want %s", v, got, want)
		}
	}
}
