// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		word       string
		candidates []string
		want       string
	}{
		{"prots", []string{"ports", "pools"}, "ports"},
		{"return-path", []string{"return_path"}, "return_path"},
		{"returnpaths", []string{"return_path"}, "return_path"},
		{"LEVEL", []string{"level", "format"}, "level"},
		{"levle", []string{"level"}, "level"},
		{"nmae", []string{"name"}, "name"},
		{"foo", []string{"log", "hop", "mtu"}, ""},
		{"log", []string{"hop"}, ""},
		{"colour", []string{"level", "format"}, ""},
		{"", []string{"on", "off"}, ""},
		{"strict", nil, ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, tt.candidates); got != tt.want {
			t.Errorf("nearest(%q, %v) = %q, want %q", tt.word, tt.candidates, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1},
		{"abcd", "acbd", 1}, {"abcd", "badc", 2}, {"abcdef", "abc", 3}, {"kitten", "sittin", 2},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
