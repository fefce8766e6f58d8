// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"net/netip"
	"slices"
)

// A subscriber is kept as a blob that sorts by address: an IPv4 address as its 4
// octets; any other prefix of IPv4 as 4 octets and one with its length; one of IPv6
// as at least 6 octets of its address, as many as its length covers, and one with
// the length. How many octets there are tells the three apart.
const leastIPv6 = 6

// subscriberKey is of a valid prefix that is plain.
func subscriberKey(p netip.Prefix) []byte {
	octets := p.Addr().AsSlice()
	switch {
	case p.Addr().Is4() && p.IsSingleIP():
		return octets
	case p.Addr().Is4():
		return append(octets, byte(p.Bits()))
	}
	return append(octets[:max(leastIPv6, (p.Bits()+7)/8)], byte(p.Bits()))
}

// subscriberOf is what a key was made of. It is not valid for what is no key.
func subscriberOf(key []byte) netip.Prefix {
	n := len(key)
	var p netip.Prefix
	switch {
	case n == 4:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(key)), 32)
	case n == 5:
		p = netip.PrefixFrom(netip.AddrFrom4([4]byte(key[:4])), int(key[4]))
	case n > leastIPv6 && n <= 17:
		var a [16]byte
		copy(a[:], key[:n-1])
		p = netip.PrefixFrom(netip.AddrFrom16(a), int(key[n-1]))
	}
	// Only one key says the same.
	if !p.IsValid() || plainPrefix(p) != p || !bytes.Equal(subscriberKey(p), key) {
		return netip.Prefix{}
	}
	return p
}

// subscriberRange is between which keys those of all prefixes in p are. There are
// others between them: of the other family, and of prefixes that hold p.
func subscriberRange(p netip.Prefix) (least, most []byte) {
	const beyond = 0xff // no length
	if !p.IsValid() {
		return []byte{}, slices.Repeat([]byte{beyond}, 18)
	}
	p = plainPrefix(p)
	least, most = p.Addr().AsSlice()[:(p.Bits()+7)/8], p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(most); bit++ {
		most[bit/8] |= 0x80 >> (bit % 8)
	}
	return least, append(most, beyond)
}

// within reports whether subscriber is in p; everybody is in one that is not valid.
func within(subscriber, p netip.Prefix) bool {
	return !p.IsValid() || subscriber.Bits() >= p.Bits() && p.Contains(subscriber.Addr())
}
