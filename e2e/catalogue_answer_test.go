// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"net/netip"

	"op25b/lab"
)

// The expected answers are put together here octet by octet, from RFC 791, RFC
// 8200 and RFC 9293, by none of the code that the gateway uses.

const (
	flagRST = 0x04
	flagACK = 0x10
)

// resetSegment is a RST as the subscriber receives it: no options, no window,
// traffic class 0, in IPv4 identification 0 with DF. It comes from port 25.
func resetSegment(from, to netip.Addr, dport uint16, seq, ack uint32, flags byte) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], lab.PortSMTP)
	binary.BigEndian.PutUint16(tcp[2:], dport)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[16:], ^onesSum(pseudo(from, to, 6, len(tcp)), tcp))
	return ipPacket(from, to, 6, initialHops, tcp)
}

// unreachableError is an ICMP "administratively prohibited" (RFC 792 and RFC 1812,
// section 5.2.7.1; RFC 4443, section 3.1) that quotes the packet as the gateway got
// it, as far as it may.
func unreachableError(from netip.Addr, quoted []byte) []byte {
	if from.Is4() {
		icmp := append([]byte{3, 13, 0, 0, 0, 0, 0, 0}, quoted[:min(len(quoted), 576-28)]...)
		binary.BigEndian.PutUint16(icmp[2:], ^onesSum(icmp))
		return ipPacket(from, netip.AddrFrom4([4]byte(quoted[12:16])), 1, initialHops, icmp)
	}
	to := netip.AddrFrom16([16]byte(quoted[8:24]))
	icmp := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, quoted[:min(len(quoted), 1280-48)]...)
	binary.BigEndian.PutUint16(icmp[2:], ^onesSum(pseudo(from, to, 58, len(icmp)), icmp))
	return ipPacket(from, to, 58, initialHops, icmp)
}

func ipPacket(from, to netip.Addr, proto, hops byte, payload []byte) []byte {
	if from.Is4() {
		b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, hops, proto, 0, 0}
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		binary.BigEndian.PutUint16(b[10:], ^onesSum(b))
		return append(b, payload...)
	}
	b := []byte{0x60, 0, 0, 0, 0, 0, proto, hops}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

// pseudo is the pseudo-header of RFC 9293, section 3.1, and RFC 8200, section 8.1;
// for sums of its length they are one.
func pseudo(from, to netip.Addr, proto byte, length int) []byte {
	b := append(from.AsSlice(), to.AsSlice()...)
	return append(b, 0, 0, byte(length>>8), byte(length), 0, 0, 0, proto)
}

// onesSum is the ones' complement sum of RFC 1071 over parts of even length, the
// last of which may be odd.
func onesSum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for i, x := range b {
			if i%2 == 0 {
				sum += uint32(x) << 8
			} else {
				sum += uint32(x)
			}
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// withHops returns the packet with another hop limit, its IPv4 header checksum put
// right if it was right before.
func withHops(b []byte, hops byte) []byte {
	b = append([]byte(nil), b...)
	if b[0]>>4 == 6 {
		b[7] = hops
		return b
	}
	// Only the difference is written: a wrong sum stays as wrong (RFC 1624).
	old := uint32(b[8]) << 8
	b[8] = hops
	sum := uint32(^binary.BigEndian.Uint16(b[10:])) + (0xffff - old) + uint32(hops)<<8
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return b
}

// reseal puts the checksums of a whole packet without extension headers right, after
// something in it was changed.
func reseal(b []byte) []byte {
	if b[0]>>4 == 6 {
		resealTCP(b[40:], netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])))
		return b
	}
	size := int(b[0]&0xf) * 4
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^onesSum(b[:size]))
	resealTCP(b[size:], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])))
	return b
}

func resealTCP(tcp []byte, from, to netip.Addr) {
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], ^onesSum(pseudo(from, to, 6, len(tcp)), tcp))
}

// exceededError is an ICMP "time exceeded" (RFC 792; RFC 4443, section 3.3).
func exceededError(from netip.Addr, quoted []byte) []byte {
	b := unreachableError(from, quoted)
	icmp := b[40:]
	if from.Is4() {
		icmp = b[20:]
		icmp[0], icmp[1], icmp[2], icmp[3] = 11, 0, 0, 0
		binary.BigEndian.PutUint16(icmp[2:], ^onesSum(icmp))
		return b
	}
	to := netip.AddrFrom16([16]byte(quoted[8:24]))
	icmp[0], icmp[1], icmp[2], icmp[3] = 3, 0, 0, 0
	binary.BigEndian.PutUint16(icmp[2:], ^onesSum(pseudo(from, to, 58, len(icmp)), icmp))
	return b
}
