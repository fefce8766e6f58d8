// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// nearest returns the candidate that word was most likely meant to be, or "".
// Two slips of the pen are forgiven, fewer in short words, where two changes
// make any word of another.
func nearest(word string, candidates []string) string {
	best, found := 3, ""
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < best && 2*d < len(c) {
			best, found = d, c
		}
	}
	return found
}

// distance counts the inserted, missing, wrong and swapped bytes between two
// words (optimal string alignment). Words whose lengths alone differ by more
// than two are not compared: nearest would not take them.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	// Rows of the usual table: two back, one back, current.
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+unequal(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}

func unequal(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
