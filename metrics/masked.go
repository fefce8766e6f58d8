// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/netip"
	"strings"
)

const (
	// ofAddresses are the characters that addresses, prefixes and ports are made of.
	ofAddresses = "0123456789abcdefABCDEF.:/"
	// around are those of them that a sentence puts beside an address.
	around = ".:/"
	mask   = "(address)"
)

// masked returns the first line of what a person is told, without addresses. Who
// asks here has proven nothing.
func masked(what string) string {
	line, _, _ := strings.Cut(what, "\n")
	var b strings.Builder
	for line != "" {
		run := len(line) - len(strings.TrimLeft(line, ofAddresses))
		if run == 0 {
			next := strings.IndexAny(line, ofAddresses)
			if next < 0 {
				next = len(line)
			}
			b.WriteString(line[:next])
			line = line[next:]
			continue
		}
		if hasAddress(line[:run]) {
			// The sentence keeps its colons.
			left := strings.TrimLeft(line[:run], around)
			right := strings.TrimRight(left, around)
			b.WriteString(line[:run-len(left)] + mask + left[len(right):])
		} else {
			b.WriteString(line[:run])
		}
		line = line[run:]
	}
	return strings.TrimSpace(b.String())
}

// hasAddress reports whether a run of such characters is an address, a prefix or an
// address with a port, or looks like one of IPv4 with something attached.
func hasAddress(run string) bool {
	for _, s := range []string{run, strings.TrimRight(run, around), strings.TrimLeft(run, around), strings.Trim(run, around)} {
		// What is behind the slash need not be a length.
		s, _, _ = strings.Cut(s, "/")
		if _, err := netip.ParseAddr(s); err == nil {
			return true
		}
		if _, err := netip.ParseAddrPort(s); err == nil {
			return true
		}
	}
	const dots = 3
	return strings.Count(run, ".") >= dots
}
