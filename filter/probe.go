// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Probe returns the SYN that a client at src would send to dst: a packet to ask
// [Policy.Decide] about. Both addresses must be of one family.
func Probe(src, dst netip.AddrPort) []byte {
	const hopLimit = 64
	from := tcpip.AddrFromSlice(src.Addr().AsSlice())
	to := tcpip.AddrFromSlice(dst.Addr().AsSlice())
	size := header.IPv6MinimumSize
	if src.Addr().Is4() {
		size = header.IPv4MinimumSize
	}
	pkt := make([]byte, size+header.TCPMinimumSize)
	if src.Addr().Is4() {
		ip := header.IPv4(pkt)
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(pkt)), //nolint:gosec // 40
			TTL:         hopLimit, Protocol: protoTCP, SrcAddr: from, DstAddr: to,
		})
		ip.SetChecksum(^ip.CalculateChecksum())
	} else {
		header.IPv6(pkt).Encode(&header.IPv6Fields{
			PayloadLength: header.TCPMinimumSize, TransportProtocol: protoTCP,
			HopLimit: hopLimit, SrcAddr: from, DstAddr: to,
		})
	}
	tcp := header.TCP(pkt[size:])
	tcp.Encode(&header.TCPFields{
		SrcPort: src.Port(), DstPort: dst.Port(), SeqNum: 1,
		DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535,
	})
	x := header.PseudoHeaderChecksum(protoTCP, from, to, header.TCPMinimumSize)
	binary.BigEndian.PutUint16(tcp[16:], ^checksum.Checksum(tcp, x))
	return pkt
}
