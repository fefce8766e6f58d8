// SPDX-License-Identifier: Apache-2.0

package filtertest

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Sum says how a checksum is written.
type Sum uint8

const (
	// Good is the right checksum.
	Good Sum = iota
	// Bad is a wrong one.
	Bad
	// Partial covers the pseudo-header only, as a kernel leaves it to a device
	// (VIRTIO_NET_HDR_F_NEEDS_CSUM).
	Partial
)

// of returns the checksum to write into b, whose own field is still zero.
// pseudo is the sum of the pseudo-header.
func (s Sum) of(pseudo uint16, b []byte) uint16 {
	switch s {
	case Partial:
		return pseudo
	case Bad:
		// One bit off, so no other representation of the right sum.
		return ^checksum.Checksum(b, pseudo) ^ 0x0100
	default:
		return ^checksum.Checksum(b, pseudo)
	}
}

// seal returns the transport checksum of segment, whose own field is zero.
func (p Packet) seal(segment []byte) uint16 {
	return p.sum.of(header.PseudoHeaderChecksum(
		tcpip.TransportProtocolNumber(p.proto), address(p.src.Addr()), address(p.dst.Addr()),
		uint16(len(segment)), // an IP packet's length
	), segment)
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }
