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
	// Static is true for a pool that is exempt.
	Static bool
	// Relay and RelayPrefix say which relay the other end is. Relay is empty
	// when it is none.
	Relay       string
	RelayPrefix netip.Prefix
}

// Explain decides like [Policy.Decide], by calling it, and looks up the names.
// It is for people, not for the packet path.
func (p *Policy) Explain(dir Direction, pkt []byte, sum Checksum) Explanation {
	e := Explanation{Verdict: p.Decide(dir, pkt, sum)}
	var v packet
	if v.parse(pkt) != ReasonUnset {
		return e
	}
	subscriber, other := v.src, v.dst
	if dir == Inbound {
		subscriber, other = v.dst, v.src
	}
	if found, ok := p.pools.prefix(subscriber); ok {
		e.Pool, e.PoolPrefix = p.poolNames[found.id], found.prefix
		e.Static = p.classes[found.id] == classStatic
	}
	if found, ok := p.relays.prefix(other); ok {
		e.Relay, e.RelayPrefix = p.relayNames[found.id], found.prefix
	}
	return e
}
