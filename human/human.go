// SPDX-License-Identifier: Apache-2.0

package human

import (
	"fmt"
	"strconv"
	"time"
)

// Count writes a number with a comma for each thousand.
func Count(n uint64) string { return Grouped(strconv.FormatUint(n, 10)) }

// Grouped is Count for the digits of a whole number, with a sign or without.
func Grouped(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Counted writes a number before the form of the words that goes with it.
func Counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Span writes how long something takes, in its two largest units at most. Less than
// nothing is nothing.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
	}
}
