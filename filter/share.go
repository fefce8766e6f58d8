// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"math/bits"
	"net/netip"
)

// Everyone is the share that takes in all subscribers, in hundredths of a percent.
const Everyone = 10_000

// How long the IPv6 prefix of one subscriber is, in bits (RFC 6177; RIPE-690,
// section 4.2). An IPv4 address is a subscriber by itself.
const (
	minDelegation     = 48
	defaultDelegation = 56
	maxDelegation     = 64
)

// Place returns where a subscriber (an IPv4 /32, or the delegated IPv6 prefix)
// stands in the order in which shares take subscribers in, from 0 to 9999: a rule
// with a share above it takes the subscriber in. So those of a small share are
// among those of a greater one, and nobody who is refused once is let off by the
// next phase. It depends on the prefix's first address alone, and must never change:
// a gateway that is updated, and any other one, has to take in the same subscribers.
//
// It is no secret. Whoever can choose an address can choose a place.
func Place(subscriber netip.Prefix) uint16 { return place(addressOf(subscriber.Masked().Addr())) }

// place is Place for the first address of a subscriber. Neighbours must land far
// apart, so the address is mixed as SplitMix64 mixes its counter: Steele, Lea and
// Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014), with the
// constants of Stafford's variant 13.
func place(a address) uint16 {
	const golden = 0x9e3779b97f4a7c15 // of the family: 192.0.2.1 is not c000:201::
	x := mix(a.hi + (uint64(a.family)+1)*golden)
	x = mix(x ^ a.lo)
	at, _ := bits.Mul64(x, Everyone) // scaled, without the bias of a remainder
	return uint16(at)                //nolint:gosec // below Everyone
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// holder returns the first address of what is delegated to the subscriber at a. One
// of IPv4 stays what it is: all of it is in the bits that are kept.
func (s *scope) holder(a address) address {
	a.key = a.first(128 - s.delegation)
	return a
}

// delegated returns all of it.
func (s *scope) delegated(a address) netip.Prefix {
	if a.family == family6 {
		return netip.PrefixFrom(s.holder(a).netip(), s.delegation)
	}
	return netip.PrefixFrom(a.netip(), 32)
}

func (p *Pool) delegation() int {
	if p.Delegation == 0 {
		return defaultDelegation
	}
	return p.Delegation
}
