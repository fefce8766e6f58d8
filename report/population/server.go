// SPDX-License-Identifier: Apache-2.0

package population

import (
	"math"
	"math/rand/v2"
	"net/netip"
)

// The world's mail servers have addresses that are nobody's: 198.18.0.0/15 (RFC 2544) and
// 10/8, and for IPv6 3fff::/20 (RFC 9637). How often a domain is written to falls with its
// rank, as popularity does: the five first, the big providers, get some 40 of 100 mails.
const (
	bigFive   = 5
	domains   = 60000
	providers = 40
	known     = 28 // of the providers, those on a list
)

// address spreads the bytes of an IPv4 address over an IPv6 one, so that a /24 becomes
// a /48.
func address(a, b, c, d byte, v6 bool) netip.Addr {
	if !v6 {
		return netip.AddrFrom4([4]byte{a, b, c, d})
	}
	return netip.AddrFrom16([16]byte{0: 0x3f, 1: 0xff, 2: a >> 4, 3: a<<4 | b>>4, 4: b<<4 | c>>4, 5: c << 4, 15: d})
}

// exchanger is the nth mail server of a domain. Big providers have four addresses in a
// network of their own, others two or one.
func exchanger(domain, n int, v6 bool) netip.Addr {
	if domain < bigFive {
		return address(198, 19, byte(251+domain), byte(26+n%4), v6)
	}
	at := (domain * 40503) & 0x1ffff // odd, so that no two domains meet
	if domain%3 != 0 {
		at += n % 2
	}
	return address(198, byte(18+at>>16&1), byte(at>>8), byte(at), v6)
}

// submission is the nth server that takes mail of a provider's own customers.
func submission(provider, n int, v6 bool) netip.Addr {
	return address(10, 25, byte(provider), byte(25+n), v6)
}

// swept is the nth address of a sweep.
func swept(n int, v6 bool) netip.Addr {
	return address(198, byte(18+n>>16&1), byte(n>>8), byte(n), v6)
}

// domain draws one by popularity, among the most popular.
func domain(rng *rand.Rand, most int) int {
	if rng.Float64() < 0.4 {
		return rng.IntN(bigFive)
	}
	// Popularity of the rest falls with the rank.
	return bigFive + int(math.Pow(float64(most-bigFive), rng.Float64())) - 1
}

// Known tells whether a prefix is one to which a known mail provider's customers submit,
// of those that the populations write to. Such lists are neither complete nor pure: it has
// most of the providers, and the mail servers of the first big one.
func Known(p netip.Prefix) bool {
	a := p.Addr()
	b := a.AsSlice()
	if a.Is6() {
		b = []byte{b[2]<<4 | b[3]>>4, b[3]<<4 | b[4]>>4, b[4]<<4 | b[5]>>4}
		if p.Bits() < 48 {
			return false
		}
	} else if p.Bits() < 24 {
		return false
	}
	return b[0] == 10 && b[1] == 25 && b[2] < known || b[0] == 198 && b[1] == 19 && b[2] == 251
}
