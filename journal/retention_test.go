// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"testing"
	"time"
)

// TestRetention has more than one step's worth. What the steps forget is compared
// with a model in TestModel.
func TestRetention(t *testing.T) {
	t.Parallel()
	opts := options(t)
	opts.Retention = 24 * time.Hour
	now := &clock{now: at(0)}
	opts.Now = now.Now
	j := open(t, opts)
	const n = chunk + 100
	for i := range n {
		j.Hold(Holding{Prefix: numbered(i), Holder: "old", Source: "dhcp"})
	}
	now.set(at(1))
	for i := range n / 2 {
		j.Hold(Holding{Prefix: numbered(2 * i), Holder: "new", Source: "dhcp"})
	}
	flush(t, j)
	count := func() string {
		var held, history int
		do(t, j, func(w *writer) error {
			return w.store.conn.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM history)").Scan(&held, &history)
		})
		return fmt.Sprint(held, " ", history)
	}
	step := func() {
		do(t, j, func(w *writer) error { w.step(); return nil })
	}
	pass := func(d time.Duration) {
		now.set(now.Now().Add(d))
		do(t, j, func(w *writer) error {
			w.steady.since = w.steady.since.Add(-d)
			w.steady.at = w.steady.at.Add(d)
			return nil
		})
	}
	step()
	before := count()
	// A clock that jumps forgets nothing, for as long as it takes to find out.
	now.set(at(1000))
	for range 10 {
		step()
	}
	now.set(at(1.5))
	for range 10 {
		step()
	}
	if got := count(); got != before {
		t.Error(got)
	}
	pass(23 * time.Hour) // 24.5: what nobody has confirmed since 0.5 goes
	step()
	if got, want := count(), fmt.Sprint(n-chunk/2, " ", n/2); got != want {
		t.Error("the first step", got, want)
	}
	for range 10 {
		step()
	}
	if got, want := count(), fmt.Sprint(n/2, " ", n/2); got != want {
		t.Error("those held", got, want)
	}
	pass(time.Hour) // 25.5: what was over at 1 goes
	for range 10 {
		step()
	}
	if got, want := count(), "0 0"; got != want {
		t.Error("all", got, want)
	}
	if h := j.Health(); h.Err != nil {
		t.Error(h.Err)
	}
}
