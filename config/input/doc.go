// SPDX-License-Identifier: Apache-2.0

// Package input reads what people write in files, and finds the line of what is wrong
// with it: package config and package exempt say the rest.
package input

import "strconv"

// Mistake is what is wrong with a text, and where.
type Mistake struct {
	// Line counts from 1.
	Line int
	// What is wrong, and Fix is what to write or do.
	What, Fix string
}

// longest is how much of a value a message shows, in characters.
const longest = 60

// Quote shows a value in a message: one line, not too long.
func Quote(s string) string {
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strconv.Quote(s)
}
