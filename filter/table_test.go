// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// longest is what lookup does, by looking at every entry.
func longest(entries []entry, a netip.Addr) (e entry, ok bool) {
	for _, one := range entries {
		if one.prefix.Contains(a) && (!ok || one.prefix.Bits() > e.prefix.Bits()) {
			e, ok = one, true
		}
	}
	return e, ok
}

// edges are the addresses at which an answer can change: the first and the last of
// each prefix, and their neighbours.
func edges(entries []entry) []netip.Addr {
	ends := []netip.Addr{
		netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"),
		netip.IPv6Unspecified(), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
	}
	for _, e := range entries {
		first := e.prefix.Addr()
		last := lastOf(e.prefix)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if a.IsValid() {
				ends = append(ends, a)
			}
		}
	}
	return ends
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := addressOf(p.Addr())
	return address{a.last(p.Bits()), a.family}.netip()
}

func checkTable(t *testing.T, entries []entry, addresses []netip.Addr) {
	t.Helper()
	distinct, twice := sortEntries(slices.Clone(entries))
	table := newTable(distinct)
	if len(table.prefixes)+len(twice) != len(entries) {
		t.Fatalf("%d entries, %d prefixes, %d twice", len(entries), len(table.prefixes), len(twice))
	}
	for _, a := range addresses {
		want, listed := longest(entries, a)
		got, ok := table.prefix(addressOf(a))
		id, found := table.lookup(addressOf(a))
		if ok != listed || found != listed || got.prefix != want.prefix || got.id != want.id || listed && id != want.id {
			t.Fatalf("%s: %v (%t), id %d (%t), want %v (%t)", a, got, ok, id, found, want, listed)
		}
	}
}

func prefixEntries(prefixes ...string) []entry {
	entries := make([]entry, 0, len(prefixes))
	for i, p := range prefixes {
		entries = append(entries, entry{netip.MustParsePrefix(p), uint16(i) + 1})
	}
	return entries
}

func TestTableEdges(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]entry{
		"nothing":       nil,
		"one address":   prefixEntries("192.0.2.1/32"),
		"everything":    prefixEntries("0.0.0.0/0", "::/0"),
		"half of it":    prefixEntries("0.0.0.0/1", "8000::/1"),
		"both ends":     prefixEntries("0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
		"nested":        prefixEntries("10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/32", "10.255.255.255/32", "10.255.0.0/16", "10.1.0.0/16"),
		"nested, IPv6":  prefixEntries("2001:db8::/32", "2001:db8::/64", "2001:db8::/128", "2001:db8::1/128", "2001:db8:0:0:8000::/65"),
		"in one /64":    prefixEntries("2001:db8::/66", "2001:db8:0:0:4000::/66", "2001:db8::25/128", "2001:db8::26/127"),
		"over two /64s": prefixEntries("2001:db8:0:0:8000::/65", "2001:db8:0:1:4000::/66"),
		"over four":     prefixEntries("2001:db8:0:0:8000::/65", "2001:db8:0:2::/65"),
		"side by side":  prefixEntries("10.0.0.0/24", "10.0.1.0/24", "10.0.3.0/24"),
		"far and near":  prefixEntries("1.0.0.0/32", "100.64.0.0/32", "100.64.0.1/32", "100.64.0.3/32", "223.255.255.255/32"),
		"hole and hole": prefixEntries("0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "11.0.0.0/8"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkTable(t, entries, edges(entries))
		})
	}
}

// TestTableRandom holds tables of random prefixes, clustered and nested, against
// looking at every entry.
func TestTableRandom(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(25, 587)) // reproducible
	for range 300 {
		// How far apart: anywhere, or close together in either half.
		upper, lower := random.IntN(64), random.IntN(64)*random.IntN(2)
		somewhere := func(f family) netip.Addr {
			return address{key{random.Uint64()>>upper | 0x2001<<48, random.Uint64() >> lower}, f}.netip()
		}
		entries := randomEntries(random, somewhere)
		addresses := edges(entries)
		for range 50 {
			addresses = append(addresses, somewhere(family4), somewhere(family6))
		}
		checkTable(t, entries, addresses)
	}
}

func randomEntries(random *rand.Rand, somewhere func(family) netip.Addr) []entry {
	var entries []entry
	seen := map[netip.Prefix]bool{}
	for i := range 1 + random.IntN(60) {
		f := family(random.IntN(2)) //nolint:gosec // 0 or 1
		a := somewhere(f)
		if a.Is4In6() {
			continue
		}
		length := 1 + random.IntN(a.BitLen())
		prefix := netip.PrefixFrom(a, length).Masked()
		if !seen[prefix] {
			seen[prefix] = true
			entries = append(entries, entry{prefix, uint16(i)})
		}
	}
	return entries
}

func TestTableTwice(t *testing.T) {
	t.Parallel()
	entries := prefixEntries("10.0.0.0/8", "2001:db8::/32", "10.0.0.0/9", "10.0.0.0/8", "2001:db8::/32")
	distinct, twice := sortEntries(slices.Clone(entries))
	table := newTable(distinct)
	want := [][2]entry{{entries[0], entries[3]}, {entries[1], entries[4]}}
	if !slices.Equal(twice, want) {
		t.Errorf("twice: %v, want %v", twice, want)
	}
	if id, ok := table.lookup(addressOf(netip.MustParseAddr("10.200.0.1"))); id != 1 || !ok {
		t.Errorf("%d, %t: the first of two is in force", id, ok)
	}
}
