// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"math/big"
	"slices"

	"op25b/filter"
)

// inForce says what is left of a judgement about what a subscriber sends to
// another, or gets from it.
func (o *oracle) inForce(j judgement, pool int, subscriber, other string, d datagram) judgement {
	p := o.spec.Pools[pool]
	if j.action == filter.Forward || !p.Scheduled && !p.Monitor {
		return j
	}
	rules := p.Rules
	if !p.Scheduled {
		rules = []filter.Rule{{Share: 10000}}
	}
	refuse, monitor := false, false
	for _, r := range rules {
		switch {
		case !o.matches(r, p, subscriber, other, d):
		case p.Monitor || r.Mode == filter.Monitor:
			monitor = true
		default:
			refuse = true
		}
	}
	switch {
	case refuse:
		return j
	case monitor:
		return judgement{filter.Monitored, j.reasons}
	default:
		return forward(filter.ReasonNotInForce)
	}
}

// matches reports whether a rule takes in the subscriber and the destination. A
// packet of which it is not known where it ends goes everywhere.
func (o *oracle) matches(r filter.Rule, p filter.Pool, subscriber, other string, d datagram) bool {
	if placeOf(subscriber, p.Delegation) >= int(r.Share) {
		return false
	}
	return len(r.Destinations) == 0 || !knownEnd(d) || slices.ContainsFunc(r.Destinations, func(name string) bool {
		return find(o.destinations[name], other) >= 0
	})
}

// knownEnd reports whether a TCP header can be read that no other fragment
// rewrites, in no tunnel, with nothing left to visit before.
func knownEnd(d datagram) bool {
	c := readChain(d)
	return len(c.defects) == 0 && c.next == 6 && !c.later() && len(c.fragmentDefects()) == 0 && len(c.rest) >= 20 && !c.segmentsLeft
}

// placeOf works out a subscriber's place, in numbers of any size.
func placeOf(subscriber string, delegation int) int {
	if delegation == 0 {
		delegation = 56
	}
	bits, family := subscriber[2:], int64(1)
	if subscriber[0] == '6' {
		bits, family = bits[:delegation], 2
	}
	for len(bits) < 128 {
		bits += "0"
	}
	number := func(text string, base int) *big.Int {
		n, _ := new(big.Int).SetString(text, base)
		return n
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), 64)
	scramble := func(x *big.Int) {
		for _, step := range []struct {
			shift  uint
			factor string
		}{{30, "bf58476d1ce4e5b9"}, {27, "94d049bb133111eb"}, {31, "1"}} {
			x.Xor(x, new(big.Int).Rsh(x, step.shift))
			x.Mul(x, number(step.factor, 16)).Mod(x, modulus)
		}
	}
	x := number("9e3779b97f4a7c15", 16)
	x.Mul(x, big.NewInt(family)).Add(x, number(bits[:64], 2)).Mod(x, modulus)
	scramble(x)
	x.Xor(x, number(bits[64:], 2))
	scramble(x)
	return int(x.Mul(x, big.NewInt(10000)).Rsh(x, 64).Int64())
}

// reaches reports whether an address is a relay's that the pool may reach.
func (o *oracle) reaches(pool int, address string) bool {
	relay := find(o.relays, address)
	if relay < 0 {
		return false
	}
	allowed := o.spec.Relays[relay].Pools
	return len(allowed) == 0 || slices.Contains(allowed, o.spec.Pools[pool].Name)
}

// extent says how much is refused to a source, of what could be: 0, 1 for a part,
// or 2 for everything.
func (o *oracle) extent(source string) int {
	id := find(o.pools, source)
	if id < 0 {
		return map[bool]int{true: 2}[o.spec.ValidateSource]
	}
	p := o.spec.Pools[id]
	switch {
	case p.Static, find(o.exempt, source) >= 0, p.Monitor:
		return 0
	case !p.Scheduled:
		return 2
	}
	extent := 0
	for _, r := range p.Rules {
		switch {
		case r.Mode == filter.Monitor:
		case r.Share == 10000 && len(r.Destinations) == 0:
			extent = 2
		default:
			extent = max(extent, 1)
		}
	}
	return extent
}
