// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"op25b/census"
)

// Report is about a stretch of time. Lists are never nil, and sorted: what needs
// attention most comes first.
type Report struct {
	// From and To bound what was counted, in whole hours. Made is when.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Made time.Time `json:"made"`
	// Notes say what limits the truth of this report, as that attempts were lost.
	Notes []string `json:"notes"`

	Totals     Totals      `json:"totals"`
	Pools      []PoolRow   `json:"pools"`
	Phases     []PhaseRow  `json:"phases"`
	Findings   []Finding   `json:"findings"`
	Triangular []Suspect   `json:"triangular"`
	Exemptions []Exemption `json:"exemptions"`
	Trend      []Point     `json:"trend"`
}

// Counts are attempts by outcome. Subscribers are those with any attempt that is or
// would be refused.
type Counts struct {
	Subscribers uint64 `json:"subscribers"`
	Refused     uint64 `json:"refused"`
	Monitored   uint64 `json:"monitored"`
	NotInForce  uint64 `json:"not_in_force"`
	Exempt      uint64 `json:"exempt"`
	Relayed     uint64 `json:"relayed"`
}

// Totals are of all pools together.
type Totals struct {
	Counts
	Mailers  uint64 `json:"mailers"`
	Infected uint64 `json:"infected"`
	Unclear  uint64 `json:"unclear"`
}

// PoolRow is one pool's part of the census.
type PoolRow struct {
	Pool string `json:"pool"`
	Counts
	Mailers  uint64 `json:"mailers"`
	Infected uint64 `json:"infected"`
	Unclear  uint64 `json:"unclear"`
}

// PhaseRow is who is or would be refused by a phase or brownout.
type PhaseRow struct {
	Phase string `json:"phase"`
	// Mode is "refuse" or "monitor". State is "active", "planned" or "over".
	Mode  string    `json:"mode"`
	State string    `json:"state"`
	Start time.Time `json:"start"`
	// End is zero for a phase, which stays.
	End time.Time `json:"end,omitzero"`
	// Subscribers and Attempts are those of the report's time that it takes in.
	Subscribers uint64 `json:"subscribers"`
	Attempts    uint64 `json:"attempts"`
}

// Kind is what a subscriber's attempts look like.
type Kind string

// Kinds of subscribers.
const (
	Mailer   Kind = "mailer"   // a mail program or server that is not set up for submission
	Infected Kind = "infected" // a program that sends to whomever it can
	Unclear  Kind = "unclear"  // too little, or some of both
)

// Finding is about one subscriber. It is advice, never a reason to act by itself.
type Finding struct {
	Subscriber string `json:"subscriber"`
	Pool       string `json:"pool"`
	Kind       Kind   `json:"kind"`
	// Confidence is from 0.5, a guess, to 1: how often such a finding was right in the
	// populations that it was tuned on.
	Confidence float64    `json:"confidence"`
	Evidence   []Evidence `json:"evidence"`

	Attempts map[string]uint64 `json:"attempts"` // by outcome
	Packets  uint64            `json:"packets"`
	// Destinations is the sum over hours, so that one tried in two hours counts twice.
	Destinations uint64 `json:"destinations"`
	// Hours is in how many hours there was an attempt.
	Hours uint64               `json:"hours"`
	First time.Time            `json:"first"`
	Last  time.Time            `json:"last"`
	Top   []census.Destination `json:"top"`
	// Holder is who had the address last, as far as is known.
	Holder string `json:"holder,omitempty"`
}

// Evidence is one fact that a finding rests on.
type Evidence struct {
	// Feature names it for programs, as in "destinations_per_hour".
	Feature string  `json:"feature"`
	Value   float64 `json:"value"`
	// Weight is how much it speaks for infected (above zero) or mailer (below).
	Weight float64 `json:"weight"`
	// Text says it for people, as in "212 different destinations in one hour".
	Text string `json:"text"`
}

// Suspect is a subscriber who may lend an address to triangular spam.
type Suspect struct {
	Subscriber string `json:"subscriber"`
	Pool       string `json:"pool"`
	// Kind is "triangular", or "backscatter" where no session went on: somebody forges
	// the address, and the subscriber has no part in it.
	Kind string `json:"kind"`
	census.Unsolicited
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Holder string    `json:"holder,omitempty"`
}

// Exemption is one that ends soon, or has ended and still stands in the file.
type Exemption struct {
	Prefix string    `json:"prefix"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	Ticket string    `json:"ticket,omitempty"`
	By     string    `json:"by,omitempty"`
	// Used is how many attempts it has let through in the report's time.
	Used uint64 `json:"used"`
}

// Point is one step of the trend: an hour, or a day where the report is long.
type Point struct {
	Time time.Time `json:"time"`
	Counts
}
