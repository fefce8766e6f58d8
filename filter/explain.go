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
	if prefix, id, ok := p.pools.LookupPrefixLPM(host(subscriber)); ok {
		e.Pool, e.PoolPrefix = p.poolNames[id], prefix
		e.Static = p.classes[id] == classStatic
	}
	if prefix, id, ok := p.relays.LookupPrefixLPM(host(other)); ok {
		e.Relay, e.RelayPrefix = p.relayNames[id], prefix
	}
	return e
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
