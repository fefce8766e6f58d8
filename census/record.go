// SPDX-License-Identifier: Apache-2.0

package census

import (
	"fmt"
	"net/netip"
	"time"
)

// Outcome is what became of an attempt.
type Outcome uint8

// What becomes of attempts. Of a subscriber who tries, the first two say who is or
// would be refused today, the third who will be once the rollout is there.
const (
	// Refused: answered with a refusal, or dropped.
	Refused Outcome = iota
	// Monitored: it went through, and would have been refused.
	Monitored
	// NotInForce: it went through, since no phase takes it in yet.
	NotInForce
	// Exempt: it went through, since the subscriber is exempt.
	Exempt
	// Relayed: it went to a relay, as it should.
	Relayed
	// NumOutcomes sizes arrays that are indexed by Outcome.
	NumOutcomes
)

// String returns the name that --json, metrics and the journal use.
func (o Outcome) String() string {
	return [...]string{"refused", "monitored", "not_in_force", "exempt", "relayed"}[o]
}

// MarshalText writes the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a name. The error says that there is no such outcome.
func (o *Outcome) UnmarshalText(text []byte) error {
	for i := range NumOutcomes {
		if i.String() == string(text) {
			*o = i
			return nil
		}
	}
	return fmt.Errorf("%q is no outcome of an attempt", text)
}

// Attempt is that a subscriber wants to reach a blocked port of somebody.
type Attempt struct {
	Time time.Time
	// Pool holds the source. Subscriber is its IPv4 address, or the IPv6 prefix that
	// is delegated to it.
	Pool        string
	Subscriber  netip.Prefix
	Source      netip.Addr
	Destination netip.Addr
	Port        uint16
	Outcome     Outcome
}

// Reply is a segment that came from a blocked port to a dynamic subscriber. Where
// nothing was sent there before, somebody else sends with the subscriber's address:
// Qian et al., "Investigation of Triangular Spamming" (IEEE S&P 2010).
type Reply struct {
	Time       time.Time
	Pool       string
	Subscriber netip.Prefix
	Peer       netip.Addr // the mail server
	Kind       ReplyKind
}

// ReplyKind tells what continues a session from what any forged SYN brings back.
type ReplyKind uint8

// Kinds of replies.
const (
	ReplySYNACK ReplyKind = iota // an answer to a SYN
	ReplyReset                   // a refusal, or the end
	ReplyData                    // anything else: the session goes on
)

// Record is what one subscriber did in one hour. Records are handed on and read by
// many; nobody changes one.
type Record struct {
	// Hour is its beginning, in UTC.
	Hour       time.Time    `json:"hour"`
	Subscriber netip.Prefix `json:"subscriber"`
	Pool       string       `json:"pool"`
	// Attempts are exact, by outcome. Packets are those that they were made of.
	Attempts [NumOutcomes]uint64 `json:"attempts"`
	Packets  uint64              `json:"packets"`
	// Destinations is how many different addresses were tried: exact, or, if Estimated,
	// within some 2 percent.
	Destinations uint64 `json:"destinations"`
	Estimated    bool   `json:"estimated"`
	// Minutes has a bit for each minute of the hour with an attempt, the lowest for
	// the first.
	Minutes uint64 `json:"minutes"`
	// Top are the destinations with the most attempts, the most first, MostTop at most.
	Top []Destination `json:"top"`
	// Unsolicited counts replies without an attempt before them.
	Unsolicited Unsolicited `json:"unsolicited,omitzero"`
}

// MostTop is how many destinations a record names.
const MostTop = 16

// Destination is whom a subscriber tried to reach.
type Destination struct {
	// Prefix is the address, or less of it where privacy asks for that.
	Prefix   netip.Prefix `json:"prefix"`
	Port     uint16       `json:"port"`
	Outcome  Outcome      `json:"outcome"` // of the last attempt
	Attempts uint64       `json:"attempts"`
	Packets  uint64       `json:"packets"`
	First    time.Time    `json:"first"`
	Last     time.Time    `json:"last"`
}

// Add adds what another record, the later one, says of the same destination.
func (d *Destination) Add(other Destination) {
	d.Attempts += other.Attempts
	d.Packets += other.Packets
	if other.First.Before(d.First) {
		d.First = other.First
	}
	if !other.Last.Before(d.Last) {
		d.Last, d.Outcome = other.Last, other.Outcome
	}
}

// Unsolicited is what came from mail servers that the subscriber had not called.
type Unsolicited struct {
	SYNACKs uint64 `json:"syn_acks"`
	Resets  uint64 `json:"resets"`
	// Data are segments of sessions that go on: somebody answers the mail server.
	Data uint64 `json:"data"`
	// Peers is how many mail servers there were, and DataPeers those with Data. Both
	// stop counting at 1024.
	Peers     uint64 `json:"peers"`
	DataPeers uint64 `json:"data_peers"`
}

// Total is the sum over all outcomes.
func (r *Record) Total() (n uint64) {
	for _, a := range r.Attempts {
		n += a
	}
	return n
}

// Blocked is what was refused, would be, or will be: all but what may go through for
// good.
func (r *Record) Blocked() uint64 {
	return r.Attempts[Refused] + r.Attempts[Monitored] + r.Attempts[NotInForce]
}
