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
	// Whatever a test looks at happens in one go, so that the writer's own steps do
	// not come in between.
	look := func(pass time.Duration, steps int) (rows string) {
		do(t, j, func(w *writer) error {
			now.set(now.Now().Add(pass))
			w.steady.since, w.steady.at = w.steady.since.Add(-pass), w.steady.at.Add(pass)
			for range steps {
				w.step()
			}
			var held, history int
			err := w.store.conn.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM history)").Scan(&held, &history)
			rows = fmt.Sprint(held, " ", history)
			return err
		})
		return rows
	}
	before := look(0, 1)
	// A clock that jumps forgets nothing, for as long as it takes to find out.
	for _, when := range []time.Time{at(1000), at(1.5)} {
		now.set(when)
		if got := look(0, 10); got != before {
			t.Error("after a jump", got)
		}
	}
	// 24.5: what nobody has confirmed since 0.5 goes.
	if got, want := look(23*time.Hour, 1), fmt.Sprint(n-chunk/2, " ", n/2); got != want {
		t.Error("the first step", got, want)
	}
	if got, want := look(0, 10), fmt.Sprint(n/2, " ", n/2); got != want {
		t.Error("those held", got, want)
	}
	// 25.5: what was over at 1 goes.
	if got, want := look(time.Hour, 10), "0 0"; got != want {
		t.Error("all", got, want)
	}
	if h := j.Health(); h.Err != nil {
		t.Error(h.Err)
	}
}
