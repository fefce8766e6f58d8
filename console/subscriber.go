// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"op25b/census"
	"op25b/control"
)

// subscriberPage is the form, and what it found.
type subscriberPage struct {
	Form    subscriberForm
	Choices []lookBack
	// Failed says why there is no answer. Found is nil then, and before anything is asked.
	Failed *control.Error
	Found  *found
}

// lookBack is how far a look-up goes.
type lookBack struct {
	Days int
	Name string
}

// subscriberForm is what was asked.
type subscriberForm struct {
	Address, Destination, At string
	Days                     int
}

// found is one subscriber.
type found struct {
	control.Subscriber

	Verdict verdict
	Chart   chart
	// One is a connection of its own, or another moment, if that was asked for.
	One        *control.Explanation
	OneVerdict verdict
	Texts      []text
}

// text is what to send to a customer.
type text struct{ Lang, Name, Text string }

// subscriber answers what support has to know on one page. An answer that there is none
// comes with the form, so that the reader can put it right.
func (s *Server) subscriber(ctx context.Context, r *http.Request) (*reply, error) {
	form := subscriberForm{
		Address: strings.TrimSpace(r.Form.Get("address")), Destination: strings.TrimSpace(r.Form.Get("destination")),
		At: strings.TrimSpace(r.Form.Get("at")), Days: 7, //nolint:mnd // a week
	}
	p := &subscriberPage{Choices: []lookBack{{1, "1 day"}, {7, "7 days"}, {30, "30 days"}, {90, "90 days"}, {400, "400 days"}}}
	code := http.StatusOK
	if form.Address != "" {
		var err error
		if p.Found, err = s.lookUp(ctx, &form, r.Form.Get("days")); err != nil {
			p.Failed = failure(err)
			code = p.Failed.Code
		}
	}
	p.Form = form
	title := "Subscriber"
	if form.Address != "" {
		title = "Subscriber " + form.Address
	}
	a, err := s.show(r, view{page: "subscriber", part: "result", title: title, body: p})
	if err != nil {
		return nil, err
	}
	a.code = code
	return a, nil
}

// lookUp asks the gateway. It notes in the form what was understood.
func (s *Server) lookUp(ctx context.Context, form *subscriberForm, days string) (*found, error) {
	at, err := readAddress(form.Address)
	if err != nil {
		return nil, err
	}
	if days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 400 {
			return nil, &control.Error{Code: http.StatusBadRequest, Message: "The number of days is not from 1 to 400", Fix: "Choose one from the list."}
		}
		form.Days = n
	}
	subscriber, err := s.gateway.Subscriber(ctx, control.SubscriberOptions{Address: at, Days: form.Days})
	if err != nil {
		return nil, err
	}
	f := &found{Subscriber: subscriber, Verdict: judge(&subscriber.Explanation), Texts: texts(&subscriber.Explanation)}
	f.Chart = s.chartOf(subscriber.Records, form.Days)
	if form.Destination != "" || form.At != "" {
		if f.One, err = s.explainOne(ctx, at, form, subscriber.Explanation.Destination); err != nil {
			return nil, err
		}
		f.OneVerdict = judge(f.One)
	}
	return f, nil
}

// explainOne asks about one connection, or another moment.
func (s *Server) explainOne(ctx context.Context, from netip.Addr, form *subscriberForm, to netip.AddrPort) (*control.Explanation, error) {
	at, err := s.moment("at", form.At)
	if err != nil {
		return nil, err
	}
	if form.Destination != "" {
		if to, err = readDestination(form.Destination, to.Port()); err != nil {
			return nil, err
		}
	}
	if to.IsValid() && to.Addr().Is4() != from.Is4() {
		return nil, &control.Error{Code: http.StatusBadRequest, Message: "The destination is of the other family", Fix: "Give both addresses as IPv4 or both as IPv6."}
	}
	one, err := s.gateway.Explain(ctx, control.ExplainOptions{Source: from, Destination: to, At: at})
	return &one, err
}

// readAddress reads an address as people have it: with a length, too.
func readAddress(text string) (netip.Addr, error) {
	whole, _, _ := strings.Cut(text, "/")
	at, err := netip.ParseAddr(whole)
	if err != nil {
		return at, &control.Error{Code: http.StatusBadRequest, Message: fmt.Sprintf("%q is no IP address", text),
			Fix: "Write one as in 100.64.0.2 or 2001:db8::2. Of a complaint, take the address that the mail came from, not a name."}
	}
	return at.Unmap().WithZone(""), nil
}

// readDestination reads an address with or without a port.
func readDestination(text string, port uint16) (netip.AddrPort, error) {
	if both, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(both.Addr().Unmap().WithZone(""), both.Port()), nil
	}
	at, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.AddrPort{}, &control.Error{Code: http.StatusBadRequest, Message: fmt.Sprintf("%q is no destination", text),
			Fix: "Write an address, with a port if it is not the blocked one, as in 192.0.2.25:25 or [2001:db8::25]:25. A name has to be looked up first."}
	}
	if port == 0 {
		port = 25
	}
	return netip.AddrPortFrom(at.Unmap().WithZone(""), port), nil
}

// verdict is what becomes of a connection, in a word that needs no color.
type verdict struct {
	Word string
	// Tone is "bad", "warn" or "good": what the customer would say.
	Tone string
}

func judge(e *control.Explanation) verdict {
	switch e.Action {
	case "reset", "prohibited":
		return verdict{"Refused", "bad"}
	case "drop":
		return verdict{"Dropped", "bad"}
	case "monitored":
		return verdict{"Goes through, and is counted", "warn"}
	case "local":
		return verdict{"Is for the router itself", "warn"}
	}
	if e.Next != nil && e.Next.Action != e.Action {
		return verdict{"Goes through, for now", "warn"}
	}
	return verdict{"Goes through", "good"}
}

// texts are what to tell the customer, English first.
func texts(e *control.Explanation) []text {
	var all []text
	for _, lang := range []struct{ code, name string }{{"en", "English"}, {"ja", "日本語"}} {
		if t := e.CustomerTexts[lang.code]; t != "" {
			all = append(all, text{lang.code, lang.name, t})
		}
	}
	if all == nil && e.Customer != "" {
		all = []text{{"en", "English", e.Customer}}
	}
	return all
}

// chartOf draws records by hours, or by days where those are too many.
func (s *Server) chartOf(records []census.Record, days int) chart {
	const mostHours = 7
	now := s.now().In(s.zone)
	var steps []step
	if days <= mostHours {
		end := now.Truncate(time.Hour)
		for i := days*24 - 1; i >= 0; i-- {
			steps = append(steps, step{from: end.Add(-time.Duration(i) * time.Hour)})
		}
	} else {
		for i := days - 1; i >= 0; i-- {
			steps = append(steps, step{from: time.Date(now.Year(), now.Month(), now.Day()-i, 0, 0, 0, 0, s.zone)})
		}
	}
	for i := range records {
		r := &records[i]
		at, exact := slices.BinarySearchFunc(steps, r.Hour, func(one step, hour time.Time) int { return one.from.Compare(hour) })
		if !exact {
			at-- // the step that it lies in
		}
		if at < 0 {
			continue
		}
		steps[at].blocked += r.Blocked()
		steps[at].passed += r.Total() - r.Blocked()
	}
	return s.draw(steps)
}
