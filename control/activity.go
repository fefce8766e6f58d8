// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/netip"
	"time"

	"op25b/census"
	"op25b/report"
)

// TopOptions ask who tries most at the moment.
type TopOptions struct {
	// Most is how many subscribers and destinations to name, 1 to 1000. Zero: 20.
	Most int `json:"most,omitempty"`
}

// Top is who has tried most since the hour began, and how fast packets flow.
type Top struct {
	Time time.Time `json:"time"`
	// Since is when counting began: the hour, or the gateway's start.
	Since        time.Time           `json:"since"`
	Subscribers  []ActiveSubscriber  `json:"subscribers"`
	Destinations []ActiveDestination `json:"destinations"`
	// Attempts are all since Since, by outcome.
	Attempts map[string]uint64 `json:"attempts"`
	// Lost counts attempts since the gateway's start that nobody could look at in time.
	Lost uint64 `json:"lost"`
}

// ActiveSubscriber is one who tries.
type ActiveSubscriber struct {
	Subscriber string            `json:"subscriber"`
	Pool       string            `json:"pool"`
	Attempts   map[string]uint64 `json:"attempts"` // by outcome
	// Destinations is how many different ones; Estimated: within some 2 percent.
	Destinations uint64    `json:"destinations"`
	Estimated    bool      `json:"estimated"`
	Last         time.Time `json:"last"`
}

// ActiveDestination is one who is tried.
type ActiveDestination struct {
	Destination string `json:"destination"`
	Port        uint16 `json:"port"`
	Attempts    uint64 `json:"attempts"`
	Subscribers uint64 `json:"subscribers"`
}

// TailOptions ask for attempts as they come.
type TailOptions struct {
	// Within limits them to subscribers in a prefix. Zero: all.
	Within netip.Prefix `json:"within,omitzero"`
}

// TailEvent is an attempt: what one click causes, however often it is retried.
type TailEvent struct {
	Time        time.Time  `json:"time"`
	Pool        string     `json:"pool"`
	Subscriber  string     `json:"subscriber"`
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination"`
	Port        uint16     `json:"port"`
	Outcome     string     `json:"outcome"`
	// Missed counts attempts right before this one that the reader was too slow for.
	Missed uint64 `json:"missed,omitempty"`
}

// SubscriberOptions ask for all that support needs to know of one subscriber.
type SubscriberOptions struct {
	Address netip.Addr `json:"address"`
	// Days is how far to look back, 1 to 400. Zero: 7.
	Days int `json:"days,omitempty"`
}

// Subscriber is one subscriber on one page.
type Subscriber struct {
	// Explanation is of a connection to a blocked port somewhere: the verdict, since
	// when, who holds the address, and what to say.
	Explanation Explanation `json:"explanation"`
	// Records are what was counted, the latest hour first.
	Records []census.Record `json:"records"`
	// Finding is what it looks like; nil if there were no attempts.
	Finding *report.Finding `json:"finding,omitempty"`
}

// ReportOptions ask for a report. Times are taken as whole hours.
type ReportOptions struct {
	// From zero: 7 days before To. To zero: now.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// DiagOptions ask for a bundle of what support needs to find a fault.
type DiagOptions struct {
	// Subscribers leaves their addresses, and names that errors quote, as they are.
	Subscribers bool `json:"subscribers"`
}

// Calendar is the rollout as it is planned and went.
type Calendar struct {
	// Now is the rollout's clock.
	Now    time.Time       `json:"now"`
	Events []CalendarEvent `json:"events"`
}

// CalendarEvent is something that begins or ends.
type CalendarEvent struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
	Past bool      `json:"past"`
}
