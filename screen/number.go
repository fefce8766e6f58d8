// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"time"

	"op25b/human"
)

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
		return human.Count(uint64(r+0.5)) + "/s"
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

// since is human.Span, or says that the moment is not known.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return human.Span(now.Sub(t))
}
