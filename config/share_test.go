// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestParseShare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, shown string
		want        Share
	}{
		{"100%", "100%", Everyone}, {"100.00%", "100%", Everyone}, {"10%", "10%", 1000}, {"1%", "1%", 100}, {"0.5%", "0.5%", 50},
		{"0.50%", "0.5%", 50}, {"0.05%", "0.05%", 5}, {"0.01%", "0.01%", 1}, {"99.99%", "99.99%", 9999}, {"20%", "20%", 2000},
	}
	for _, tt := range tests {
		if got, err := parseShare(tt.text); err != nil || got != tt.want || got.String() != tt.shown {
			t.Errorf("%s: %d (%s), %v; want %d", tt.text, got, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "%", "10", "10 %", "0%", "0.00%", "0.001%", "101%", "100.01%", "999.99%", "-1%", "+1%", "010%", ".5%", "5.%", "1e1%", "10%%", "١%"} {
		if got, err := parseShare(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// Each share is read again from how it is shown.
func TestShareString(t *testing.T) {
	t.Parallel()
	for s := Share(1); s <= Everyone; s++ {
		if got, err := parseShare(s.String()); err != nil || got != s {
			t.Errorf("%d is shown as %s, which is %d (%v)", s, s, got, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Duration{"1d": Days(1), "90d": Days(90), "3650d": Days(3650), "0d": 0, "99999d": Days(99999)} {
		if got, err := parseDuration(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "90", "90 d", "90D", "090d", "-1d", "1.5d", "90days", "24h", "100000d", "99999999999999999999d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
