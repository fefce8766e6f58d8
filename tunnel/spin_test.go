// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"testing"
	"testing/synctest"
	"time"
)

// The window follows what waiting would have gained.
func TestSpinnerFollowsTheTraffic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := spinner{most: 50 * time.Microsecond}
		// wait waits for what comes after gap and reports whether it slept.
		wait := func(gap time.Duration) (slept bool) {
			begun := time.Now()
			err := s.wait(func() bool {
				time.Sleep(time.Microsecond)
				return time.Since(begun) >= gap
			}, func() error {
				slept = true
				time.Sleep(gap - time.Since(begun))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return slept
		}
		for i, step := range []struct {
			gap    time.Duration
			slept  bool
			window time.Duration // afterwards
		}{
			{20 * time.Microsecond, true, 10 * time.Microsecond},
			{20 * time.Microsecond, true, 20 * time.Microsecond},
			{30 * time.Microsecond, true, 40 * time.Microsecond},
			{30 * time.Microsecond, false, 40 * time.Microsecond},
			{45 * time.Microsecond, true, 50 * time.Microsecond},
			{45 * time.Microsecond, false, 50 * time.Microsecond},
			{time.Millisecond, true, 25 * time.Microsecond},
			{time.Second, true, 12500 * time.Nanosecond},
		} {
			if slept := wait(step.gap); slept != step.slept || s.window != step.window {
				t.Errorf("step %d: slept is %t, want %t; window is %s, want %s", i, slept, step.slept, s.window, step.window)
			}
		}
		for range 64 {
			wait(time.Second)
		}
		if s.window != 0 {
			t.Errorf("idle, and the window is %s", s.window)
		}
	})
}

func TestSpinnerOffSleeps(t *testing.T) {
	t.Parallel()
	slept := false
	var s spinner
	_ = s.wait(func() bool { t.Error("looked"); return true }, func() error { slept = true; return nil })
	if !slept {
		t.Error("did not sleep")
	}
}
