// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Refused returns the sources to which spec's blocked ports are closed, with
// longest-prefix matching resolved into plain ranges, for something that has no
// longest-prefix matching: the kernel's guard. With source validation it is
// every address but those of static pools, since a forged source is no reason
// to open a port.
func (s *Spec) Refused() (*netipx.IPSet, error) {
	type entry struct {
		prefix netip.Prefix
		static bool
	}
	var entries []entry
	for _, pool := range s.Pools {
		for _, p := range pool.Prefixes {
			entries = append(entries, entry{p, pool.Static})
		}
	}
	// Shorter prefixes first: a longer one then overrides its part.
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.prefix.Bits(), b.prefix.Bits()) })
	var b netipx.IPSetBuilder
	if s.ValidateSource {
		b.AddPrefix(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
		b.AddPrefix(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	}
	for _, e := range entries {
		if e.static {
			b.RemovePrefix(e.prefix)
		} else {
			b.AddPrefix(e.prefix)
		}
	}
	return build(&b)
}

// Reachable returns the addresses of all relays.
func (s *Spec) Reachable() (*netipx.IPSet, error) {
	var b netipx.IPSetBuilder
	for _, relay := range s.Relays {
		for _, p := range relay.Prefixes {
			b.AddPrefix(p)
		}
	}
	return build(&b)
}

func build(b *netipx.IPSetBuilder) (*netipx.IPSet, error) {
	set, err := b.IPSet()
	if err != nil {
		return nil, fmt.Errorf("build address set: %w", err)
	}
	return set, nil
}
