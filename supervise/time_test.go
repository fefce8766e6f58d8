// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{first: 700 * time.Millisecond}
	for i, tt := range []struct{ ready, want time.Duration }{
		{0, 700 * time.Millisecond},
		{steady - 1, 1400 * time.Millisecond},
		{0, 2800 * time.Millisecond},
		{0, 5 * time.Second},
		{0, 5 * time.Second},
		{steady, 0},
		{0, 700 * time.Millisecond},
		{0, 1400 * time.Millisecond},
	} {
		if got := b.after(tt.ready); got != tt.want {
			t.Errorf("%d: %v, not %v", i, got, tt.want)
		}
	}
	long := backoff{first: time.Minute}
	if a, b := long.after(0), long.after(0); a != time.Minute || b != time.Minute {
		t.Errorf("%v, %v", a, b)
	}
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	const w = watchdog(5 * time.Second)
	t0 := time.Now()
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

	p := &process{}
	w.alive(p, t0)
	if w.silent(p, at(100)) {
		t.Error("before it was ready")
	}
	p.ready = t0
	watchdog(0).alive(p, t0)
	if !p.ping.IsZero() {
		t.Error("without a watchdog")
	}
	w.alive(p, t0)
	w.alive(p, at(3))
	for _, tt := range []struct {
		at   float64
		want bool
	}{{3, false}, {7.9, false}, {8, true}, {13, true}} {
		if got := w.silent(p, at(tt.at)); got != tt.want {
			t.Errorf("after %v s: %t", tt.at, got)
		}
	}
	if w.silent(p, at(13.1)) || w.silent(p, at(18)) {
		t.Error("we were late: it gets one more interval")
	}
	if !w.silent(p, at(18.2)) {
		t.Error("but not two")
	}
	p.stopping, p.ping = true, time.Time{}
	w.alive(p, at(19))
	if !p.ping.IsZero() {
		t.Error("while it stops")
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		s    Supervisor
		want int
	}{
		{Supervisor{main: &process{}}, -1},
		{Supervisor{main: &process{}, start: now}, -1},
		{Supervisor{main: &process{ping: now.Add(1500 * time.Microsecond)}}, 2},
		{Supervisor{main: &process{ping: now.Add(time.Second), kill: now.Add(time.Millisecond)}}, 1},
		{Supervisor{main: &process{ping: now.Add(-time.Second)}}, 0},
		{Supervisor{main: &process{ping: now.Add(1 << 62)}}, 1<<31 - 1},
		{Supervisor{start: now.Add(time.Second)}, 1000},
	} {
		if got := tt.s.timeout(now); got != tt.want {
			t.Errorf("%+v: %d ms, not %d", tt.s, got, tt.want)
		}
	}
}
