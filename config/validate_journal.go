// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path"
	"strconv"

	"op25b/config/input"
)

// maxRetention is ten years: history that is kept for longer is forgotten there.
const maxRetention = 3650

func (v *validator) journal() {
	j := v.Journal
	if j.Path != "" && (!path.IsAbs(j.Path) || !isPlainPath(j.Path) || path.Clean(j.Path) != j.Path || j.Path == "/") {
		v.report("journal.path", input.Quote(j.Path)+" is not the plain, absolute path of a file", `write one, as in /var/lib/op25b/journal.db, or "" for off`)
	}
	const fewest, most = 1024, 1_000_000
	if n := v.Attempts.Subscribers; n < fewest || n > most {
		v.report("attempts.subscribers", strconv.Itoa(n)+" is out of range", fmt.Sprintf("write a number from %d to %d", fewest, most))
	}
	v.listedPrefixes("attempts.providers", v.Attempts.Providers, "everybody would be a provider")
	if j.Retention < Days(1) || j.Retention > Days(maxRetention) {
		v.report("journal.retention", j.Retention.String()+" is out of range", "write a number of days from 1d to "+Days(maxRetention).String())
	}
}
