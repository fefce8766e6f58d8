// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"net/netip"
	"slices"
	"time"
)

// Exemption lets the subscribers of one prefix send directly for a while.
type Exemption struct {
	// Prefix is masked, and not a whole address family. A file may leave the
	// length of a single address out.
	Prefix netip.Prefix
	// Reason is why, in one line. Never empty.
	Reason string
	// Ticket is where it was asked for, By who wrote it down. Each may be empty.
	Ticket, By string
	// Added is when it was written down. Zero: nobody said. It does not say since
	// when the exemption holds: what is in the file holds.
	Added time.Time
	// Until is the first moment at which it holds no more. Never zero.
	Until time.Time
	// File is the path as given to [Load], and Line where the exemption begins.
	// They mean nothing to [Add].
	File string
	Line int
}

// Active returns the exemptions that hold at a time.
func Active(all []Exemption, at time.Time) []Exemption {
	return slices.DeleteFunc(slices.Clone(all), func(e Exemption) bool { return !at.Before(e.Until) })
}

// Expiring returns those that hold at a time and end within a duration from then,
// the soonest first.
func Expiring(all []Exemption, at time.Time, within time.Duration) []Exemption {
	last := at.Add(within)
	soon := slices.DeleteFunc(Active(all, at), func(e Exemption) bool { return e.Until.After(last) })
	slices.SortStableFunc(soon, func(a, b Exemption) int { return a.Until.Compare(b.Until) })
	return soon
}
