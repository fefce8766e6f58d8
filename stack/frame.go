// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
)

// HeaderSize is the length in octets of the struct virtio_net_hdr that begins
// each frame (linux/virtio_net.h). gVisor's header package has the layout, but
// reads its 16-bit fields as big-endian; the kernel's are in host order.
const HeaderSize = header.VirtioNetHeaderSize

// FrameSize is the largest frame, in octets: a buffer below this would cut
// super-packets without an error.
const FrameSize = HeaderSize + 65535

// Flags and types of struct virtio_net_hdr.
const (
	flagNeedsChecksum = 1
	flagDataValid     = 2
	gsoNone           = 0
	gsoUDPSegments    = 5
)

// frame is one read of a port: the header and an IP packet.
type frame []byte

func (f frame) packet() []byte { return f[HeaderSize:] }

func (f frame) field(at int) int { return int(binary.NativeEndian.Uint16(f[at:])) }

func (f frame) segmented() bool    { return f[1] != gsoNone }
func (f frame) segmentSize() int   { return f.field(4) }
func (f frame) checksumStart() int { return f.field(6) }
func (f frame) checksumAt() int    { return f.field(6) + f.field(8) }

// checksum says whether somebody vouches for the transport checksum.
func (f frame) checksum() filter.Checksum {
	if f[0]&(flagNeedsChecksum|flagDataValid) != 0 {
		return filter.ChecksumTrusted
	}
	return filter.ChecksumUnknown
}

// complete turns a partial checksum into a whole one, as the device would
// have done. It leaves super-packets alone: their segments have a checksum each.
// It writes nothing into the network header, whatever the virtio_net_hdr says: the
// packet was judged by that.
func (f frame) complete() {
	pkt := f.packet()
	if f[0]&flagNeedsChecksum == 0 || f.segmented() || f.checksumAt()+2 > len(pkt) || f.checksumStart() < networkSize(pkt) {
		return
	}
	// The field holds the sum of the pseudo-header, so it takes part.
	sum := ^checksum.Checksum(pkt[f.checksumStart():], 0)
	if sum == 0 {
		sum = 0xffff // in UDP, zero says "no checksum" (RFC 768)
	}
	binary.BigEndian.PutUint16(pkt[f.checksumAt():], sum)
	clear(f[:HeaderSize])
}

// networkSize returns the length of the packet's network header, IPv6 extension
// headers left out.
func networkSize(pkt []byte) int {
	if header.IPVersion(pkt) == header.IPv4Version {
		return int(header.IPv4(pkt).HeaderLength())
	}
	return header.IPv6MinimumSize
}

// size returns the length of the largest IP packet that will be on the wire:
// the packet's own, or that of one segment of a super-packet. hdr_len is not to
// be trusted on a forwarding path, so the transport header is measured.
func (f frame) size() int {
	pkt := f.packet()
	if !f.segmented() {
		return len(pkt)
	}
	start := f.checksumStart()
	transport := header.UDPMinimumSize
	if f[1]&0x7f != gsoUDPSegments {
		if start+13 > len(pkt) {
			return len(pkt)
		}
		transport = int(pkt[start+12]>>4) * 4
	}
	return min(start+transport+f.segmentSize(), len(pkt))
}
