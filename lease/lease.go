// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"net/netip"
	"time"
)

// Lease is an address or a prefix in somebody's hands.
type Lease struct {
	// Prefix is an IPv4 address (/32), an IPv6 address (/128) or a delegated prefix;
	// without bits beyond its length.
	Prefix netip.Prefix
	// Holder is the MAC address, DUID or user name; empty: the source does not say.
	Holder string
	// Hostname is what the client calls itself. Nobody has checked it.
	Hostname string
	// Source is the name of the source; that of an access server is the source's
	// name, a slash and the server's address.
	Source string
	// Start is a time from which Holder is known to have it. It may have had it
	// earlier.
	Start time.Time
	// End is when the lease ends unless it is renewed. Zero: not known, or never.
	End time.Time

	// session tells sessions of one holder apart; 0: the source has none.
	session uint32
}

// Kind says what happened to a lease.
type Kind uint8

const (
	// Granted is a lease that was not there, or had another holder.
	Granted Kind = iota
	// Renewed is a lease that its source has confirmed. A [Book] tells of one at most
	// once an hour, unless the host name has changed.
	Renewed
	// Released is a lease that has ended or was given back.
	Released
	// AllGone says that all leases of Source are over; nothing else of the Lease is
	// set.
	AllGone
)

// String returns the kind in a word.
func (k Kind) String() string {
	switch k {
	case Granted:
		return "granted"
	case Renewed:
		return "renewed"
	case Released:
		return "released"
	case AllGone:
		return "all gone"
	default:
		return "unknown"
	}
}

// Event is one change.
type Event struct {
	Kind Kind
	Lease
	// Time is when it happened as far as the source knows, otherwise when it was
	// noticed.
	Time time.Time
}

// Source is one that knows who has which address.
type Source interface {
	// Name is unique among the sources of a Book.
	Name() string
	// Run tells to what it learns until the context ends; it returns the context's
	// error then. Another error means that it has to be run again later.
	Run(ctx context.Context, to Sink) error
}

// Sink takes what sources learn. All its methods copy what they keep.
type Sink interface {
	// Lease takes one piece of news. Granted and Renewed are the same to it: the
	// lease is held.
	Lease(e Event)
	// Read begins the reading of all that a source knows.
	Read(source string) Reading
	// Asked says that a source could be asked at a time, or why not.
	Asked(source string, at time.Time, err error)
	// Bad says that something of a source could not be understood and was skipped.
	Bad(source string, p Problem)
}

// Reading takes all that a source knows. The last word on a prefix counts. A
// Reading that is never committed changes nothing.
type Reading interface {
	// Hold says that a lease is held.
	Hold(l Lease)
	// Gone says that a prefix is held by nobody.
	Gone(p netip.Prefix)
	// Bad is [Sink.Bad]; the problems replace those of the reading before.
	Bad(p Problem)
	// Commit ends the reading: what it did not name is released.
	Commit(at time.Time)
}
