// SPDX-License-Identifier: Apache-2.0

package filtertest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Header is an extension header (RFC 8200, section 4) or AH. Its first octet,
// the next header, is filled in when a packet is built.
type Header struct {
	Proto uint8
	Body  []byte
}

// Extension returns a header of any protocol that measures itself in units of
// eight octets. It is size octets long and filled with options that a receiver
// skips.
func Extension(proto uint8, size int) Header {
	if size < 8 || size%8 != 0 || size > 2048 {
		panic(fmt.Sprintf("filtertest: no extension header has %d octets", size))
	}
	body := make([]byte, size)
	body[1] = byte(size/8 - 1)
	fill(body[2:])
	return Header{Proto: proto, Body: body}
}

// fill writes options: Pad1 (zero) into up to seven octets, which is all the
// padding that Linux accepts, and else an experimental option to be skipped
// (RFC 4727, section 4), as often as it takes.
func fill(b []byte) {
	const experimental = 0x1e
	for len(b) > 7 {
		n := min(len(b), 257)
		b[0], b[1] = experimental, byte(n-2)
		b = b[n:]
	}
}

// HopByHop returns a hop-by-hop options header of size octets.
func HopByHop(size int) Header { return Extension(0, size) }

// DestOpts returns a destination options header of size octets.
func DestOpts(size int) Header { return Extension(60, size) }

// Mobility returns a mobility header (RFC 6275, section 6.1).
func Mobility(size int) Header { return Extension(135, size) }

// HIP returns a host identity header (RFC 7401, section 5.1).
func HIP(size int) Header { return Extension(139, size) }

// Shim6 returns a shim6 header (RFC 5533, section 5.1).
func Shim6(size int) Header { return Extension(140, size) }

// Routing returns a routing header of the given type with addresses to visit.
func Routing(kind, segmentsLeft uint8, via ...string) Header {
	body := []byte{0, byte(2 * len(via)), kind, segmentsLeft, 0, 0, 0, 0} // few
	for _, a := range via {
		body = append(body, netip.MustParseAddr(a).AsSlice()...)
	}
	return Header{Proto: 43, Body: body}
}

// AH returns an authentication header (RFC 4302, section 2) of size octets.
func AH(size int) Header {
	if size < 12 || size%4 != 0 || size > 1028 {
		panic(fmt.Sprintf("filtertest: no authentication header has %d octets", size))
	}
	body := make([]byte, size)
	body[1] = byte(size/4 - 2)
	binary.BigEndian.PutUint32(body[4:], 0x100) // SPI
	binary.BigEndian.PutUint32(body[8:], 1)     // sequence number
	return Header{Proto: 51, Body: body}
}

// Fragment returns an IPv6 fragment header. Offset is in octets; zero without
// more makes an atomic fragment (RFC 6946).
func Fragment(id uint32, offset int, more bool) Header {
	body := make([]byte, header.IPv6FragmentHeaderSize)
	field := uint16(offset) &^ 7 // at most 65,528
	if more {
		field |= 1
	}
	binary.BigEndian.PutUint16(body[2:], field)
	binary.BigEndian.PutUint32(body[4:], id)
	return Header{Proto: 44, Body: body}
}

// link writes the chain before payload, each header naming its successor. It
// returns the protocol of the first.
func link(chain []Header, proto uint8, payload []byte) (uint8, []byte) {
	for _, h := range slices.Backward(chain) {
		payload = slices.Concat([]byte{proto}, h.Body[1:], payload)
		proto = h.Proto
	}
	return proto, payload
}
