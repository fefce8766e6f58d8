// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/netip"
	"time"
)

const (
	usualTop = 20
	mostTop  = 1000
	// usualDays and mostDays are how far to look back for one subscriber, usualSpan and
	// mostSpan how long a report's time is. No journal goes back further than mostSpan.
	usualDays = 7
	mostDays  = 400
	usualSpan = 7 * 24 * time.Hour
	mostSpan  = 3650 * 24 * time.Hour
)

// normalize puts in what was left out, or says what cannot be.
func (o *TopOptions) normalize() error {
	if o.Most == 0 {
		o.Most = usualTop
	}
	if o.Most < 1 || o.Most > mostTop {
		return misasked("most is out of range", "set it to a number from 1 to 1000, or leave it out for 20")
	}
	return nil
}

// normalize makes the prefix what packets' addresses are compared with.
func (o *TailOptions) normalize() error {
	const mapped = 96 // bits before the IPv4 address
	addr, bits := o.Within.Addr(), o.Within.Bits()
	switch {
	case !addr.Is4In6():
		o.Within = o.Within.Masked()
	case bits >= mapped:
		o.Within = netip.PrefixFrom(addr.Unmap(), bits-mapped).Masked()
	default:
		return misasked("the prefix holds more than IPv4 addresses", "write it as IPv4, as in 192.0.2.0/24")
	}
	return nil
}

// normalize makes the address what packets have.
func (o *SubscriberOptions) normalize() error {
	o.Address = o.Address.Unmap().WithZone("")
	if o.Days == 0 {
		o.Days = usualDays
	}
	switch {
	case !o.Address.IsValid():
		return misasked("there is no address", "set address to an IP address, as in 192.0.2.1")
	case o.Days < 1 || o.Days > mostDays:
		return misasked("days is out of range", "set it to a number from 1 to 400, or leave it out for 7")
	}
	return nil
}

// normalize makes the time whole hours in UTC: those that were asked for have a part in
// it.
func (o *ReportOptions) normalize(now time.Time) error {
	if o.To.IsZero() {
		o.To = now
	}
	if o.From.IsZero() {
		o.From = o.To.Add(-usualSpan)
	}
	o.From = o.From.UTC().Truncate(time.Hour)
	if to := o.To.UTC().Truncate(time.Hour); to.Before(o.To) {
		o.To = to.Add(time.Hour)
	} else {
		o.To = to
	}
	switch {
	case !o.From.Before(o.To):
		return misasked("from is not before to", "set from to the earlier moment")
	case o.To.Sub(o.From) > mostSpan:
		return misasked("the time between from and to is too long", "ask for 3650 days at most")
	}
	return nil
}
