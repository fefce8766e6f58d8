// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"strconv"
	"time"
)

// count writes a number with a comma for each thousand.
func count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// perSecond writes how often something happens.
func perSecond(r float64, known bool) string {
	switch {
	case !known:
		return "-"
	case r == 0:
		return "0/s"
	case r < 0.1:
		return "<0.1/s"
	case r < 10:
		return fmt.Sprintf("%.1f/s", r)
	default:
		return count(uint64(r+0.5)) + "/s"
	}
}

// bitRate writes bits per second in steps of a thousand, as links are sold.
func bitRate(r float64, known bool) string {
	if !known {
		return "-"
	}
	for _, unit := range []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s"} {
		if r < 999.95 {
			if unit == "bit/s" {
				return fmt.Sprintf("%.0f %s", r, unit)
			}
			return fmt.Sprintf("%.1f %s", r, unit)
		}
		r /= 1000
	}
	return fmt.Sprintf("%.1f Tbit/s", r)
}

// span writes how long something takes, in the two largest units at most.
func span(d time.Duration) string {
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

// since is span, or says that the moment is not known.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t))
}
