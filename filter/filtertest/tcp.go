// SPDX-License-Identifier: Apache-2.0

package filtertest

import "gvisor.dev/gvisor/pkg/tcpip/header"

// Flags are the twelve bits behind the TCP data offset: eight flags, AE and
// three that are reserved (RFC 9293, section 3.1; RFC 9768).
type Flags uint16

// The TCP flags.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// tcp is what a TCP header says beyond the ports.
type tcp struct {
	flags    Flags
	seq, ack uint32
	options  []byte
	offset   lie // words
}

// TCP returns a SYN from src to dst, each "address:port".
func TCP(src, dst string) Packet {
	p := newPacket(uint8(header.TCPProtocolNumber), src, dst, Packet.segment)
	p.tcp = tcp{flags: SYN, seq: 1000}
	return p
}

// Flags sets the TCP flags, reserved bits included.
func (p Packet) Flags(f Flags) Packet {
	p.tcp.flags = f
	return p
}

// Seq sets the TCP sequence number.
func (p Packet) Seq(n uint32) Packet {
	p.tcp.seq = n
	return p
}

// Ack sets the TCP acknowledgment number; the flag is a matter of [Packet.Flags].
func (p Packet) Ack(n uint32) Packet {
	p.tcp.ack = n
	return p
}

// Options sets the TCP options, padded with end-of-list to whole words.
func (p Packet) Options(options ...byte) Packet {
	p.tcp.options = pad(options)
	return p
}

// DataOffset writes words as the TCP data offset, whatever the header holds.
func (p Packet) DataOffset(words int) Packet {
	p.tcp.offset = lie{told: true, value: words}
	return p
}

func (p Packet) segment() []byte {
	const window = 64240 // octets; what Linux offers on Ethernet
	size := header.TCPMinimumSize + len(p.tcp.options)
	b := make([]byte, size, size+len(p.data))
	t := header.TCP(b)
	t.Encode(&header.TCPFields{
		SrcPort: p.src.Port(), DstPort: p.dst.Port(),
		SeqNum: p.tcp.seq, AckNum: p.tcp.ack,
		Flags:      header.TCPFlags(p.tcp.flags), // the upper four follow
		WindowSize: window,
	})
	b[header.TCPDataOffset] = byte(p.tcp.offset.or(size/4)<<4) | byte(p.tcp.flags>>8&0xf) // four bits each
	copy(b[header.TCPMinimumSize:], p.tcp.options)
	b = append(b, p.data...)
	t.SetChecksum(p.seal(b))
	return b
}
