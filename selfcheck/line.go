// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"net/netip"
	"time"
)

// Line is what the page may say about the address that asks. Times are shown in their
// own location.
type Line struct {
	// Address is the one that was asked about. Invalid: that one is taken.
	Address netip.Addr
	// Known: it is in a pool of ours. Else nothing below matters but Shared.
	Known bool
	// Blocked: connections to port 25 are refused now.
	Blocked bool
	// Static: the address stays the subscriber's. Exempt: an exemption is in force.
	Static, Exempt bool
	// Since is since when it is blocked, From from when on it will be. Zero: that is not
	// known, or not planned.
	Since, From time.Time
	// Shared: several lines may share this address, and cannot be told apart.
	Shared bool
	// Texts are what to do in the operator's own words, by language ("en", "ja"). What
	// is missing is not said. They are read, never written to.
	Texts map[string]string
}

// state is the one thing that the page says first. The names are those of the JSON.
type state string

const (
	stateBlocked state = "blocked"
	statePlanned state = "planned" // it will be
	stateExempt  state = "exempt"
	stateStatic  state = "static"
	stateOpen    state = "open"    // dynamic, and nothing is planned
	stateUnknown state = "unknown" // not ours, as far as the address says
)

// state puts what is refused before the reasons why something would not be: the
// customer has come because something fails.
func (l *Line) state() state {
	switch {
	case !l.Known:
		return stateUnknown
	case l.Blocked:
		return stateBlocked
	case !l.From.IsZero():
		return statePlanned
	case l.Exempt:
		return stateExempt
	case l.Static:
		return stateStatic
	default:
		return stateOpen
	}
}
