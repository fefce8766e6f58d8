// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"op25b/config/input"
)

// Duration is a number of whole days of 24 hours each, which the file writes as
// 90d. What zero means is said where it is used.
type Duration time.Duration

const day = 24 * time.Hour

// Days returns n days.
func Days(n int) Duration { return Duration(time.Duration(n) * day) }

// String returns the duration as it is written: 90d.
func (d Duration) String() string { return fmt.Sprintf("%dd", time.Duration(d)/day) }

// durationForm has few enough digits for a time.Duration.
var durationForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,4})d$`)

func parseDuration(text string) (Duration, error) {
	m := durationForm.FindStringSubmatch(text)
	if m == nil {
		return 0, &mistake{input.Quote(text) + " is not a number of days", "write one such as 90d"}
	}
	n, _ := strconv.Atoi(m[1]) // digits, as matched
	return Days(n), nil
}
