// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The set finds what a map finds, and the first place of each.
func TestPrefixSet(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(25, 465))
	for _, size := range []int{0, 1, 2, 3, 4, 100, 10_000} {
		items := make([][]netip.Prefix, 3)
		for range size {
			i := random.IntN(len(items))
			addr := netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(256)), 0})
			if random.IntN(2) == 0 {
				addr = netip.AddrFrom16(addr.As16()) // equal bits of the other family are another prefix
			}
			items[i] = append(items[i], netip.PrefixFrom(addr, 8+random.IntN(24)))
		}
		set, places := newPrefixSet("policy.pools", items, func(p []netip.Prefix) []netip.Prefix { return p }), map[netip.Prefix]place{}
		for i, prefixes := range items {
			for j, p := range prefixes {
				want, known := places[p]
				if !known {
					places[p] = place{uint32(i), uint32(j) + 1}
				}
				if got, twice := set.add(i, j); twice != known || got != want {
					t.Fatalf("%d prefixes, %s of item %d: %+v, %t; want %+v, %t", size, p, i, got, twice, want, known)
				}
			}
		}
	}
}

// Items that are apart may have the same prefixes, each only once.
func TestPrefixSetApart(t *testing.T) {
	t.Parallel()
	shared := netip.MustParsePrefix("198.51.100.0/24")
	items := make([][]netip.Prefix, 1000)
	for i := range items {
		own := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		items[i] = []netip.Prefix{shared, own, shared}
	}
	set := newPrefixSet("policy.destinations", items, func(p []netip.Prefix) []netip.Prefix { return p })
	set.apart = true
	for i := range items {
		for j, want := range []place{{}, {}, {uint32(i), 1}} {
			if got, twice := set.add(i, j); got != want || twice != (j == 2) {
				t.Fatalf("prefix %d of item %d: %+v, %t; want %+v", j, i, got, twice, want)
			}
		}
	}
}
