// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"

	"go4.org/netipx"
)

// Refused returns the sources to which spec's blocked ports are closed, with
// longest-prefix matching resolved into plain ranges, for something that has no
// longest-prefix matching: the kernel's guard. With source validation it is
// every address but those of static pools, since a forged source is no reason
// to open a port.
func (s *Spec) Refused() (*netipx.IPSet, error) {
	var entries []entry
	var static []bool
	for i, pool := range s.Pools {
		static = append(static, pool.Static)
		more, err := checkedEntries(fmt.Sprintf("build address set: pool %q", pool.Name), pool.Prefixes, i)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	pools, _ := newTable(entries) // what is there twice is for Compile to refuse
	var b netipx.IPSetBuilder
	for f := range pools.families {
		pools.families[f].each(func(r span, last key) {
			refused := s.ValidateSource
			if r.prefix != none {
				refused = !static[r.id]
			}
			if refused {
				b.AddRange(netipx.IPRangeFrom(address{r.from, family(f)}.netip(), address{last, family(f)}.netip()))
			}
		})
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
