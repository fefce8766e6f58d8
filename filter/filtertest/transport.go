// SPDX-License-Identifier: Apache-2.0

package filtertest

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Protocols that gVisor has no name for (IANA "Assigned Internet Protocol
// Numbers").
const (
	protoGRE  = 47
	protoSCTP = 132
)

// UDP returns a datagram from src to dst, each "address:port".
func UDP(src, dst string) Packet {
	return newPacket(uint8(header.UDPProtocolNumber), src, dst, Packet.datagram)
}

func (p Packet) datagram() []byte {
	b := make([]byte, header.UDPMinimumSize, header.UDPMinimumSize+len(p.data))
	u := header.UDP(b)
	u.Encode(&header.UDPFields{
		SrcPort: p.src.Port(), DstPort: p.dst.Port(),
		Length: uint16(header.UDPMinimumSize + len(p.data)), // an IP packet's length
	})
	b = append(b, p.data...)
	u.SetChecksum(p.seal(b))
	return b
}

// ICMP returns an echo request from src to dst, of the addresses' family.
func ICMP(src, dst string) Packet {
	p := newPacket(uint8(header.ICMPv4ProtocolNumber), src, dst, Packet.echo)
	if !p.is4() {
		p.proto = uint8(header.ICMPv6ProtocolNumber)
	}
	return p
}

func (p Packet) echo() []byte {
	b := append(make([]byte, header.ICMPv4MinimumSize), p.data...)
	if p.is4() {
		b[0] = byte(header.ICMPv4Echo)
		header.ICMPv4(b).SetChecksum(p.sum.of(0, b)) // no pseudo-header
		return b
	}
	b[0] = byte(header.ICMPv6EchoRequest)
	header.ICMPv6(b).SetChecksum(p.seal(b))
	return b
}

// SCTP returns a packet with one INIT chunk (RFC 9260, section 3.3.2) from src
// to dst, each "address:port".
func SCTP(src, dst string) Packet {
	return newPacket(protoSCTP, src, dst, Packet.initChunk)
}

func (p Packet) initChunk() []byte {
	b := []byte{
		0, 0, 0, 0, 0, 0, 0, 0, // ports, verification tag
		0, 0, 0, 0, // checksum
		1, 0, 0, 20, // INIT, 20 octets
		0, 0, 0, 1, 0, 1, 0, 0, // initiate tag, receiver window
		0, 1, 0, 1, 0, 0, 0, 1, // streams out and in, initial TSN
	}
	binary.BigEndian.PutUint16(b[0:], p.src.Port())
	binary.BigEndian.PutUint16(b[2:], p.dst.Port())
	crc := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	if p.sum == Bad {
		crc++
	}
	binary.LittleEndian.PutUint32(b[8:], crc)
	return b
}

// GRE returns a GRE packet (RFC 2784) whose data is an IPv4 packet.
func GRE(src, dst string) Packet {
	return newPacket(protoGRE, src, dst, func(p Packet) []byte {
		return append([]byte{0, 0, 0x08, 0x00}, p.data...)
	})
}

// IP returns a packet of any protocol, whose data is all that follows the IP
// header and the chain.
func IP(proto uint8, src, dst string) Packet {
	return newPacket(proto, src, dst, func(p Packet) []byte { return slices.Clone(p.data) })
}
