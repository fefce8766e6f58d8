// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"op25b/config"
	"op25b/control"
	"op25b/exempt"
	"op25b/filter"
)

// sourcePort is where the SYN that explain asks about comes from; no verdict
// depends on it.
const sourcePort = 49152

// inquiry is about one connection. It knows what of the rules concerns it, so that a
// policy of a million prefixes is compiled for any time in no time.
type inquiry struct {
	rules *rulebook
	src   netip.Addr
	dst   netip.AddrPort
}

// about returns an inquiry into what the rules say of a connection.
func (r *rulebook) about(src netip.Addr, dst netip.AddrPort) *inquiry {
	cfg := *r.cfg
	has := func(prefixes []netip.Prefix, addr netip.Addr) []netip.Prefix {
		return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !p.Contains(addr) })
	}
	var held []netip.Prefix
	cfg.Policy.Pools = slices.Clone(cfg.Policy.Pools)
	for i := range cfg.Policy.Pools {
		p := &cfg.Policy.Pools[i]
		p.Prefixes = has(p.Prefixes, src)
		held = append(held, p.Prefixes...)
	}
	cfg.Policy.Relays = slices.Clone(cfg.Policy.Relays)
	for i := range cfg.Policy.Relays {
		cfg.Policy.Relays[i].Prefixes = has(cfg.Policy.Relays[i].Prefixes, dst.Addr())
	}
	cfg.Policy.Destinations = slices.Clone(cfg.Policy.Destinations)
	for i := range cfg.Policy.Destinations {
		cfg.Policy.Destinations[i].Prefixes = has(cfg.Policy.Destinations[i].Prefixes, dst.Addr())
	}
	exemptions := slices.DeleteFunc(slices.Clone(r.exemptions), func(e exempt.Exemption) bool { return !e.Prefix.Contains(src) || len(held) == 0 })
	return &inquiry{newRulebook(&cfg, exemptions), src, dst}
}

// at says what happens to the connection at a time. The answer comes from the code that
// judges packets.
func (q *inquiry) at(t time.Time) (filter.Explanation, error) {
	policy, err := q.rules.at(t)
	if err != nil {
		return filter.Explanation{}, err
	}
	return policy.Explain(filter.Outbound, filter.Probe(netip.AddrPortFrom(q.src, sourcePort), q.dst), filter.ChecksumUnknown), nil
}

// explain says all that the rules themselves know.
func (q *inquiry) explain(at time.Time, texts customerTexts) (*control.Explanation, error) {
	x, err := q.at(at)
	if err != nil {
		return nil, err
	}
	e := &control.Explanation{
		Source: q.src, Destination: q.dst, At: at,
		Action: x.Action.String(), Reason: x.Reason.String(),
		Pool: x.Pool, Relay: x.Relay, Phase: x.Rule, Text: sentence(x, q.src, q.dst),
	}
	const percent = 100
	if x.Pool != "" {
		e.PoolPrefix, e.Assignment = x.PoolPrefix.String(), assignment(x.Static)
		e.Subscriber, e.Place = x.Delegated.String(), float64(x.Share)/percent
	}
	if x.Relay != "" {
		e.RelayPrefix = x.RelayPrefix.String()
	}
	if x.Exempt {
		e.Exemption = q.exemption(x.ExemptPrefix)
	}
	if e.Since, err = q.since(at, x.Verdict); err != nil {
		return nil, err
	}
	if e.Next, err = q.next(at, x.Verdict); err != nil {
		return nil, err
	}
	q.tell(e, texts)
	return e, nil
}

func (q *inquiry) exemption(prefix netip.Prefix) *control.ExemptionStatus {
	i := slices.IndexFunc(q.rules.exemptions, func(e exempt.Exemption) bool { return e.Prefix == prefix })
	if i < 0 {
		return nil
	}
	e := q.rules.exemptions[i]
	return &control.ExemptionStatus{Prefix: prefix.String(), Reason: e.Reason, Ticket: e.Ticket, By: e.By, Until: e.Until}
}

// since is the first boundary from which on the verdict has been the same. Zero: it was
// so before the first one.
func (q *inquiry) since(at time.Time, v filter.Verdict) (since time.Time, err error) {
	boundaries := q.rules.schedule.Boundaries(time.Time{}, at)
	if len(boundaries) == 0 {
		return time.Time{}, nil
	}
	for _, b := range slices.Backward(boundaries) {
		if x, err := q.at(b); err != nil || x.Verdict != v {
			return since, err
		}
		since = b
	}
	x, err := q.at(since.Add(-time.Nanosecond))
	if x.Verdict == v {
		since = time.Time{}
	}
	return since, err
}

// next is the first boundary behind which the verdict is another.
func (q *inquiry) next(at time.Time, v filter.Verdict) (*control.NextVerdict, error) {
	for {
		boundary, planned := q.rules.schedule.Next(at)
		if !planned {
			return nil, nil //nolint:nilnil // there is none, and no error
		}
		x, err := q.at(boundary)
		if err != nil {
			return nil, err
		}
		if x.Verdict != v {
			return &control.NextVerdict{
				Time: boundary, Action: x.Action.String(), Reason: x.Reason.String(),
				What: happened(&q.rules.schedule, at, boundary),
			}, nil
		}
		at = boundary
	}
}

// tell adds what to say to the customer, if the connection is refused or will be.
func (q *inquiry) tell(e *control.Explanation, texts customerTexts) {
	c := customerCase{Source: q.src, Destination: q.dst.Addr(), Port: q.dst.Port(), Pool: e.Pool, Phase: e.Phase}
	refused := func(action, reason string) bool {
		return reason == filter.ReasonBlockedPort.String() && action != filter.Monitored.String()
	}
	var from time.Time
	switch {
	case refused(e.Action, e.Reason):
		c.Refused = true
	case e.Next != nil && refused(e.Next.Action, e.Next.Reason):
		from = e.Next.Time
	default:
		return
	}
	e.CustomerTexts = texts.say(c, e.Since, from)
	e.Customer = e.CustomerTexts[languages()[0]]
}

func assignment(static bool) string {
	if static {
		return string(config.AssignmentStatic)
	}
	return string(config.AssignmentDynamic)
}

// sentence says what happens and why.
func sentence(x filter.Explanation, src netip.Addr, dst netip.AddrPort) string {
	pool := fmt.Sprintf("%s is in the %s pool %q (%s)", src, assignment(x.Static), x.Pool, x.PoolPrefix)
	port := strconv.Itoa(int(dst.Port()))
	if x.Action == filter.Monitored {
		return fmt.Sprintf("The connection goes through, and is counted. %s, %s: it would be refused if that were not monitored.", pool, byRule(x))
	}
	switch x.Reason {
	case filter.ReasonBlockedPort:
		return fmt.Sprintf("The connection is refused. %s, policy.ports holds %s, %s is no relay%s, %s. %s",
			pool, port, dst.Addr(), closed(x), byRule(x), answerText(x))
	case filter.ReasonOtherPort:
		return fmt.Sprintf("The connection goes through. %s, but policy.ports does not hold %s.", pool, port)
	case filter.ReasonRelay:
		return fmt.Sprintf("The connection goes through. %s, and %s is the relay %q (%s), which stays reachable.",
			pool, dst.Addr(), x.Relay, x.RelayPrefix)
	case filter.ReasonStatic:
		return fmt.Sprintf("The connection goes through. %s, and static pools are exempt.", pool)
	case filter.ReasonExempt:
		return fmt.Sprintf("The connection goes through. %s, but %s is exempt.", pool, x.ExemptPrefix)
	case filter.ReasonNotInForce:
		return fmt.Sprintf("The connection goes through. %s, and no phase that has begun takes in this subscriber and destination.", pool)
	case filter.ReasonSpoofedSource:
		return fmt.Sprintf("Every packet from %s is dropped without an answer: it is in no pool, and "+
			"forwarding.source_validation is strict. If it is a subscriber's, add its prefix to policy.pools.", src)
	case filter.ReasonUnlisted:
		return fmt.Sprintf("The connection goes through. %s is in no pool, and forwarding.source_validation is off.", src)
	case filter.ReasonRouter:
		return fmt.Sprintf("The packet is for the gateway itself: %s is in tunnel.addresses. No such port is open there.", dst.Addr())
	default:
		return fmt.Sprintf("The packet is dropped without an answer (%s): no router forwards from %s to %s.",
			x.Reason, src, dst.Addr())
	}
}

func byRule(x filter.Explanation) string {
	if x.Rule == "" {
		return "and its pool is refused everything"
	}
	return fmt.Sprintf("and %q has begun", x.Rule)
}

// closed says that a relay is not for this subscriber.
func closed(x filter.Explanation) string {
	if !x.RelayClosed {
		return ""
	}
	return fmt.Sprintf(" for this pool (%q is for others)", x.Relay)
}

func answerText(x filter.Explanation) string {
	switch {
	case x.Notice:
		return `The client is let in, told "554 5.7.1" with the text of texts.notice, and gets nothing further; where too many come, it gets a TCP reset.`
	case x.Action == filter.Reset:
		return `The client gets a TCP reset and sees "connection refused" at once.`
	case x.Action == filter.Prohibited:
		return "The client gets ICMP \"administratively prohibited\" and gives up at once."
	default:
		return "The client gets no answer and sees a timeout."
	}
}
