// SPDX-License-Identifier: Apache-2.0

package filter

import "net/netip"

// Explanation is a verdict with the names behind it.
type Explanation struct {
	Verdict
	// Pool and PoolPrefix say which pool holds the subscriber, by which prefix.
	// Pool is empty when no pool does.
	Pool       string
	PoolPrefix netip.Prefix
	// Static is true for a static pool.
	Static bool
	// Notice is true for a pool with [RespondNotice].
	Notice bool
	// Exempt is true for a subscriber who is exempt, by ExemptPrefix.
	Exempt       bool
	ExemptPrefix netip.Prefix
	// Delegated is the subscriber: an IPv4 address, or the IPv6 prefix that the pool
	// delegates. Share is its [Place]: rules with a greater share take it in. Neither
	// means anything when no pool holds the subscriber.
	Delegated netip.Prefix
	Share     uint16
	// Rule is the one that matched the packet: the action says whether it refuses or
	// monitors. It is empty when none did, or none was asked.
	Rule string
	// Relay and RelayPrefix say which relay the other end is. Relay is empty
	// when it is none. RelayClosed is true when it is not for subscribers of the pool.
	Relay       string
	RelayPrefix netip.Prefix
	RelayClosed bool
}

// Explain decides like [Policy.Decide], by the same code, and looks up the names.
// It is for people, not for the packet path.
func (p *Policy) Explain(dir Direction, pkt []byte, sum Checksum) Explanation {
	var v packet
	e := Explanation{Verdict: p.decide(dir, &v, pkt, sum)}
	if v.b == nil { // it could not be parsed
		return e
	}
	subscriber, other := v.src, v.dst
	if dir == Inbound {
		subscriber, other = v.dst, v.src
	}
	if v.rule != nil {
		e.Rule = v.rule.name
	}
	h, held := p.holder(subscriber)
	if held {
		e.Pool, e.PoolPrefix = p.poolNames[h.pool], h.prefix
		e.Exempt, e.ExemptPrefix = h.exempt, h.exemption
		e.Static = p.classes[h.pool] == classStatic
		e.Notice = p.notices[h.pool]
		e.Delegated = p.scopes[h.pool].delegated(subscriber)
		e.Share = Place(e.Delegated)
	}
	if found, ok := p.relays.prefix(other); ok {
		e.Relay, e.RelayPrefix = p.relayNames[found.id], found.prefix
		e.RelayClosed = held && !p.serves(found.id, h.pool)
	}
	return e
}
