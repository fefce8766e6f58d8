// SPDX-License-Identifier: Apache-2.0

package human

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[string]string{"-100": "-100", "-1000": "-1,000", "": ""} {
		if got := Grouped(n); got != want {
			t.Errorf("Grouped(%s) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 hours", 1: "1 hour", 1000: "1,000 hours"} {
		if got := Counted(n, "hour", "hours"); got != want {
			t.Errorf("Counted(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Hour: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min", 150 * time.Minute: "2 h 30 min", 49 * time.Hour: "2 d 1 h",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %s, want %s", d, got, want)
		}
	}
}
