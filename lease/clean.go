// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is the longest holder or host name that is kept, in bytes. The
// longest DUID has 130 octets (RFC 8415 section 11.1), a user name in RADIUS 253
// bytes, a host name in DHCP 255.
const longestName = 512

// clean makes a name fit to be kept and shown: clients choose it, and it ends up
// on terminals and in logs. What cannot be printed becomes a question mark.
func clean(name string) string {
	if len(name) > longestName {
		name = name[:longestName]
	}
	if plain(name) {
		return name
	}
	name = strings.ToValidUTF8(name, "?")
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
	return name
}

// plain reports whether all of it is printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// colons writes octets the way MAC addresses and DUIDs are written.
func colons(octets []byte) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	b.Grow(3 * len(octets))
	for i, o := range octets {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteByte(digits[o>>4])
		b.WriteByte(digits[o&15])
	}
	return b.String()
}
