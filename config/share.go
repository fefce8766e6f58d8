// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"op25b/config/input"
)

// Share is a part of all subscribers, in hundredths of a percent: 1 to 10000. Zero
// is none, which [Load] does not return. The file writes it as 10% or 0.25%.
type Share uint16

// Everyone is 100%.
const Everyone Share = 10000

// String returns the share as it is written: 0.25%.
func (s Share) String() string {
	text := fmt.Sprintf("%d.%02d", s/100, s%100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "%"
}

var shareForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?%$`)

func parseShare(text string) (Share, error) {
	const fix = "write a share from 0.01% to 100%, with two decimals at most"
	m := shareForm.FindStringSubmatch(text)
	if m == nil {
		return 0, &mistake{input.Quote(text) + " is not a share", fix}
	}
	n, _ := strconv.Atoi(m[1] + (m[2] + "00")[:2]) // digits, as matched
	if n < 1 || n > int(Everyone) {
		return 0, &mistake{text + " is out of range", fix}
	}
	return Share(n), nil
}
