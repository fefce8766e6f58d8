// SPDX-License-Identifier: Apache-2.0

package journal

import "net/netip"

// Privacy says how much of a destination may be kept.
type Privacy string

// Kinds of privacy. Any other value is taken for None.
const (
	Full      Privacy = "full"      // the address
	Truncated Privacy = "truncated" // its network: a /24, or a /48 of IPv6
	None      Privacy = "none"      // nothing
)

// Redact returns what may be kept of addr: a prefix, not valid if nothing.
func (p Privacy) Redact(addr netip.Addr) netip.Prefix {
	addr = plain(addr)
	bits := 48
	switch {
	case !addr.IsValid():
		return netip.Prefix{}
	case p == Full:
		bits = addr.BitLen()
	case p != Truncated:
		return netip.Prefix{}
	case addr.Is4():
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
