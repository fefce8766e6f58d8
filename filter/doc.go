// SPDX-License-Identifier: Apache-2.0

// Package filter decides what happens to a packet.
//
// A [Spec] says what the operator wants; [Compile] turns it into an immutable
// [Policy]; [Policy.Decide] gives each packet a [Verdict]. A Policy does no
// I/O, reads no clock, takes no lock and allocates nothing per packet, so any
// number of goroutines may share one, and a new one is put in force by storing
// a pointer.
//
// # The policy in words
//
// From subscribers: a source that no pool holds is dropped (source validation,
// RFC 2827, RFC 3704). The longest matching prefix names the pool. A static
// pool's packets pass. A dynamic pool's TCP segments that open a connection to
// a blocked port are refused with the pool's response, except towards a relay that
// is the pool's. All the rest passes: UDP, ICMP, SCTP, GRE, ESP, other ports,
// segments of connections that are already open (unless established connections
// are judged too). An [Exemption] lets subscribers pass like static ones.
//
// A pool may be refused less than that: only as far as a [Rule] matches the
// subscriber and the destination, or nothing at all, and what would have been
// refused is counted. See rule.go.
//
// # Polarity
//
// This router forwards by default, so "cannot tell" must never come to mean
// "forward". Where the port of a TCP segment from a dynamic source cannot be
// read (a header cut short, a fragment that reaches into the header, a chain
// of IPv6 extension headers that does not end), the packet is dropped, with a
// [Reason] of its own. See fragment.go for why no reassembly is needed.
package filter
