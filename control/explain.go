// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/http"
	"net/netip"
	"time"
)

// ExplainOptions ask what happens, or happened, to a connection.
type ExplainOptions struct {
	Source      netip.Addr     `json:"source"`
	Destination netip.AddrPort `json:"destination"`
	// At is the moment that is asked about. Zero: now.
	At time.Time `json:"at,omitzero"`
}

// normalize makes the addresses what packets have, or says why they cannot be.
func (o *ExplainOptions) normalize() error {
	o.Source = o.Source.Unmap().WithZone("")
	o.Destination = netip.AddrPortFrom(o.Destination.Addr().Unmap().WithZone(""), o.Destination.Port())
	switch {
	case !o.Source.IsValid():
		return misasked("there is no source address", "set source to an IP address, as in 192.0.2.1")
	case !o.Destination.IsValid():
		return misasked("there is no destination", "set destination to an IP address and a port, as in 192.0.2.25:25 or [2001:db8::25]:25")
	case o.Source.Is4() != o.Destination.Addr().Is4():
		return misasked("source and destination are of different families", "give both as IPv4 or both as IPv6")
	}
	return nil
}

func misasked(message, fix string) *Error {
	return &Error{Code: http.StatusBadRequest, Message: message, Fix: fix}
}

// Explanation is what becomes of a connection, by which rule, and who is behind the
// address. It is for those who support subscribers.
type Explanation struct {
	Source      netip.Addr     `json:"source"`
	Destination netip.AddrPort `json:"destination"`
	// At is the moment that was asked about.
	At time.Time `json:"at"`

	// Action and Reason are the verdict, in the words of package filter.
	Action string `json:"action"`
	Reason string `json:"reason"`
	// Pool and its prefix hold the source, Assignment is the pool's, "dynamic" or
	// "static". Empty: none does.
	Pool       string `json:"pool,omitempty"`
	PoolPrefix string `json:"pool_prefix,omitempty"`
	Assignment string `json:"assignment,omitempty"`
	// Relay and its prefix hold the destination. Empty: none does.
	Relay       string `json:"relay,omitempty"`
	RelayPrefix string `json:"relay_prefix,omitempty"`
	// Phase is the phase or brownout by which the connection is refused or monitored.
	// Empty: it is neither, or by no phase.
	Phase string `json:"phase,omitempty"`
	// Subscriber is the IPv4 address, or the delegated IPv6 prefix, that shares go by.
	// Place is where it stands, in percent: every larger share takes it in.
	Subscriber string  `json:"subscriber,omitempty"`
	Place      float64 `json:"place"`
	// Exemption is the one in force for the source. Nil: none is.
	Exemption *ExemptionStatus `json:"exemption,omitempty"`

	// Policy says which policy the answer is from.
	Policy PolicyOrigin `json:"policy"`
	// Since is when this verdict began to hold. Zero: not known.
	Since time.Time `json:"since,omitzero"`
	// Next is when it changes, as far as is planned. Nil: it does not.
	Next *NextVerdict `json:"next,omitempty"`
	// Holders had the address at that moment, the most specific prefix first. Empty:
	// nobody is known to.
	Holders []Holder `json:"holders"`

	// Text says it in a paragraph, for support.
	Text string `json:"text"`
	// Customer is what to tell the customer, in English, and CustomerTexts the same by
	// language ("en", "ja"). Empty: nothing is refused, nor will be.
	Customer      string            `json:"customer,omitempty"`
	CustomerTexts map[string]string `json:"customer_texts"`
}

// ExemptionStatus is an exemption that is in force.
type ExemptionStatus struct {
	Prefix string    `json:"prefix"`
	Reason string    `json:"reason"`
	Ticket string    `json:"ticket,omitempty"`
	By     string    `json:"by,omitempty"`
	Until  time.Time `json:"until"`
}

// PolicyOrigin tells one policy from others.
type PolicyOrigin struct {
	// Source is "gateway", "file" or "journal".
	Source string `json:"source"`
	// File is the configuration's path. Empty: it is from the journal.
	File string `json:"file,omitempty"`
	// Generation is the gateway's number of it. Zero: it was never in force here.
	Generation int `json:"generation"`
	// Since is when that generation came into force. Zero: it did not.
	Since time.Time `json:"since,omitzero"`
}

// NextVerdict is a verdict that is planned.
type NextVerdict struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Reason string    `json:"reason"`
	// What happens then, as in "phase everybody begins".
	What []string `json:"what"`
}

// Holder is who has an address, as far as a lease source has said.
type Holder struct {
	Prefix string `json:"prefix"`
	// Holder is a hardware address, a DUID or a user name.
	Holder   string `json:"holder"`
	Hostname string `json:"hostname,omitempty"`
	Source   string `json:"source"`
	// From and To bound the time. To is zero while it lasts.
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
	// Age is how long before that moment the source last said so, in seconds.
	Age float64 `json:"age_seconds"`
}
