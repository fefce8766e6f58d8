// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Hop says what the gateway as a whole takes from the hop limit (TTL in IPv4),
// the kernel's two steps around the TUN included.
type Hop uint8

const (
	// HopDecrement takes one, like any router (RFC 1812, section 5.3.1; RFC 8200,
	// section 3).
	HopDecrement Hop = iota
	// HopTransparent takes none: packets leave with the hop limit that they
	// came with. A packet that comes with 1 is still answered by the kernel.
	// Two such gateways that point at each other would never let a packet go.
	HopTransparent
)

// kernelHops is how often the kernel forwards a packet on its way through.
const kernelHops = 2

// giveBack returns how much the loop adds.
func (h Hop) giveBack() uint8 {
	if h == HopTransparent {
		return kernelHops
	}
	return kernelHops - 1
}

const (
	ttlAt      = 8 // IPv4: TTL, then protocol
	hopLimitAt = 7 // IPv6
)

// hopLimit returns what is left of the packet's hop limit.
func hopLimit(pkt []byte) uint8 {
	if header.IPVersion(pkt) == header.IPv4Version {
		return pkt[ttlAt]
	}
	return pkt[hopLimitAt]
}

// raiseHopLimit adds n, up to 255, and adjusts the IPv4 header checksum by the
// difference (RFC 1624, section 3), so that a header that arrived broken leaves
// broken.
func raiseHopLimit(pkt []byte, n uint8) {
	if header.IPVersion(pkt) == header.IPv6Version {
		pkt[hopLimitAt] += min(n, 255-pkt[hopLimitAt])
		return
	}
	before := binary.BigEndian.Uint16(pkt[ttlAt:])
	pkt[ttlAt] += min(n, 255-pkt[ttlAt])
	after := binary.BigEndian.Uint16(pkt[ttlAt:])
	const checksumAt = 10
	sum := uint32(^binary.BigEndian.Uint16(pkt[checksumAt:])) + uint32(^before) + uint32(after)
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(pkt[checksumAt:], ^uint16(sum)) //nolint:gosec // folded to 16 bits
}
