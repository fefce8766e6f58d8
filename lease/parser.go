// SPDX-License-Identifier: Apache-2.0

package lease

import "net/netip"

// parser makes leases out of lines. It goes on where it was when a file grows, and
// is used by one goroutine.
type parser interface {
	// line takes the next line, which may belong to a declaration of several.
	line(number int, text string, to notes)
	// usable returns why what was read so far is no lease file at all.
	usable() error
}

// notes take what a parser finds out.
type notes interface {
	hold(l Lease)
	gone(p netip.Prefix)
	// bad takes what is wrong with a line.
	bad(number int, what, text, fix string)
}
