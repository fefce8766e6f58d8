// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"encoding/binary"
	"net/netip"

	"op25b/filter"
)

// datagram is what an IP header says (RFC 791; RFC 8200, section 3).
type datagram struct {
	v4       bool
	src, dst string // as digits spells them
	pseudo   []byte // both addresses
	header   []byte // IPv4's, with options
	next     uint8  // protocol or next header
	payload  []byte
	fragment *fragment // IPv4's; nil for a whole packet

	inner bool // carried by another
	cut   bool // by one that is a first fragment: the rest is elsewhere
}

// fragment is one piece of a datagram's fragmentable part.
type fragment struct {
	offset int // octets
	more   bool
	data   []byte
}

// readDatagram returns what is wrong with a header, or nothing. A packet that is
// cut may be shorter than it says.
func readDatagram(b []byte, cut bool) (datagram, []filter.Reason) {
	malformed := []filter.Reason{filter.ReasonMalformed}
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return readDatagram4(b, cut)
	case len(b) >= 40 && b[0]>>4 == 6:
		size := int(b[4])<<8 | int(b[5])
		if cut {
			size = min(size, len(b)-40)
		}
		if size > len(b)-40 || (size == 0 && b[6] != 59) {
			return datagram{}, malformed
		}
		return datagram{
			src: digits(netip.AddrFrom16([16]byte(b[8:24]))), dst: digits(netip.AddrFrom16([16]byte(b[24:40]))),
			pseudo: b[8:40], next: b[6], payload: b[40 : 40+size],
		}, nil
	default:
		return datagram{}, malformed
	}
}

func readDatagram4(b []byte, cut bool) (datagram, []filter.Reason) {
	headerSize, size := int(b[0]%16)*4, int(b[2])<<8|int(b[3])
	if cut {
		size = min(size, len(b))
	}
	if headerSize < 20 || size < headerSize || size > len(b) {
		return datagram{}, []filter.Reason{filter.ReasonMalformed}
	}
	if defects := optionDefects(b[20:headerSize]); len(defects) > 0 {
		return datagram{}, defects
	}
	d := datagram{
		v4: true, header: b[:headerSize], next: b[9], payload: b[headerSize:size],
		src: digits(netip.AddrFrom4([4]byte(b[12:16]))), dst: digits(netip.AddrFrom4([4]byte(b[16:20]))),
		pseudo: b[12:20],
	}
	units, more := (int(b[6])<<8|int(b[7]))%8192, b[6]&0x20 != 0
	if units > 0 || more {
		d.fragment = &fragment{units * 8, more, d.payload}
	}
	return d, nil
}

// optionDefects reads IPv4 options one by one.
func optionDefects(options []byte) []filter.Reason {
	var defects []filter.Reason
	for i := 0; i < len(options) && options[i] != 0; {
		if options[i] == 1 {
			i++
			continue
		}
		if options[i] == 131 || options[i] == 137 {
			defects = append(defects, filter.ReasonSourceRoute)
		}
		if i+1 == len(options) || options[i+1] < 2 || i+int(options[i+1]) > len(options) {
			return append(defects, filter.ReasonMalformed)
		}
		i += int(options[i+1])
	}
	return defects
}

// chain is what lies between the IP header and the transport.
type chain struct {
	v4           bool
	next         uint8  // the first header that is not part of the chain
	rest         []byte // from there on
	fragment     *fragment
	segmentsLeft bool // a routing header has more to visit
	elsewhere    bool // the packet that carries this one is cut
	defects      []filter.Reason
}

// readChain follows the next headers (RFC 8200, section 4; AH in both
// families), sixteen at most. Behind the header of a later fragment it does not
// look.
func readChain(d datagram) chain {
	c := chain{v4: d.v4, next: d.next, rest: d.payload, fragment: d.fragment, elsewhere: d.cut}
	for n := 0; c.extends() && len(c.defects) == 0; n++ {
		if n == 16 {
			c.defects = append(c.defects, filter.ReasonChainTooLong)
		}
		c.step(n)
	}
	if !c.later() && c.depth() > c.floor() {
		c.defects = append(c.defects, filter.ReasonChainTooLong)
	}
	return c
}

// extends reports whether another header of the chain follows.
func (c *chain) extends() bool {
	switch c.next {
	case 51:
		return !c.later()
	case 0, 43, 44, 60, 135, 139, 140:
		return !c.v4 && !c.later()
	default:
		return false
	}
}

// step takes the n-th header off the chain, counted from zero.
func (c *chain) step(n int) {
	if (c.next == 0 && n > 0) || (c.next == 44 && c.fragment != nil) {
		c.defects = append(c.defects, filter.ReasonChainOrder)
	}
	if c.next == 43 && len(c.rest) >= 8 && c.rest[3] > 0 {
		c.segmentsLeft = true
		if c.rest[2] == 0 {
			c.defects = append(c.defects, filter.ReasonSourceRoute)
		}
	}
	size := 8
	if len(c.rest) >= 2 {
		switch c.next {
		case 44:
		case 51:
			size = 4 * (int(c.rest[1]) + 2)
		default:
			size = 8 * (int(c.rest[1]) + 1)
		}
	}
	if len(c.rest) < size {
		c.defects = append(c.defects, c.cut())
	}
	if len(c.defects) > 0 {
		return
	}
	if c.next == 44 {
		field := binary.BigEndian.Uint16(c.rest[2:])
		c.fragment = &fragment{int(field/8) * 8, field%2 == 1, c.rest[8:]}
	}
	c.next, c.rest = c.rest[0], c.rest[size:]
}

func (c *chain) later() bool { return c.fragment != nil && c.fragment.offset > 0 }

// notTCP reports whether this can be no part of a TCP segment. In IPv6, a later
// fragment can always be (RFC 8200, section 4.5: its next header counts for
// nothing); in IPv4, all fragments of a packet have its protocol.
func (c *chain) notTCP() bool {
	if c.later() {
		return c.v4 && c.next != 6 && c.next != 51
	}
	return c.next != 6
}

// hides says why what is not TCP passes. "No next header" is IPv6's, but AH may
// bring it into IPv4.
func (c *chain) hides() []filter.Reason {
	switch {
	case c.next == 59 && c.v4:
		return []filter.Reason{filter.ReasonOpaque, filter.ReasonNotTCP}
	case c.next == 50 || c.next == 59:
		return []filter.Reason{filter.ReasonOpaque}
	default:
		return []filter.Reason{filter.ReasonNotTCP}
	}
}

// cut is the reason for a chain that runs out of the packet, short for a TCP
// header that does.
func (c *chain) cut() filter.Reason {
	if c.goesOn() {
		return filter.ReasonTinyFragment
	}
	return filter.ReasonChainTruncated
}

func (c *chain) short() filter.Reason {
	if c.goesOn() {
		return filter.ReasonTinyFragment
	}
	return filter.ReasonTruncatedTCP
}

// goesOn reports whether the rest of the packet is in another fragment.
func (c *chain) goesOn() bool { return c.elsewhere || c.fragment != nil && c.fragment.more }

// depth is how far into the fragmentable part the chain reaches: what a later
// fragment might rewrite. A whole packet has no such part.
func (c *chain) depth() int {
	if c.fragment == nil {
		return 0
	}
	return len(c.fragment.data) - len(c.rest)
}

// floor is the offset, in octets, below which only a first fragment may write.
func (c *chain) floor() int {
	if c.v4 {
		return 80
	}
	return 512
}

// fragmentDefects lists what is wrong with a piece of a TCP segment, or with a
// later fragment of anything.
func (c *chain) fragmentDefects() []filter.Reason {
	f := c.fragment
	if f == nil {
		return nil
	}
	var defects []filter.Reason
	if !f.possible(c.elsewhere) {
		defects = append(defects, filter.ReasonBadFragment)
	}
	if c.later() && f.offset < c.floor() {
		defects = append(defects, filter.ReasonOverlappingFragment)
	}
	if !c.later() && c.depth()+20 > c.floor() {
		defects = append(defects, filter.ReasonChainTooLong)
	}
	if !c.later() && len(defects) > 0 && len(c.rest) < 20 {
		defects = append(defects, c.short())
	}
	return defects
}

// headerSumRight adds up an IPv4 header.
func (d datagram) headerSumRight() bool { return !d.v4 || wordSum(d.header)%65535 == 0 }

// segmentSumRight adds up a TCP segment and its pseudo-header (RFC 9293,
// section 3.1): addresses, protocol and length.
func segmentSumRight(d datagram, segment []byte) bool {
	return (wordSum(d.pseudo)+6+uint64(len(segment))+wordSum(segment))%65535 == 0
}

// possible reports whether a fragment can have its length. Of one whose end is
// elsewhere only the offset is sure.
func (f *fragment) possible(elsewhere bool) bool {
	n := len(f.data)
	if f.offset+n > 65535 {
		return false
	}
	return elsewhere || (n%8 == 0 || !f.more) && (n > 0 || !f.more && f.offset == 0)
}

// wordSum adds 16-bit words; modulo 65,535 that is a ones' complement sum.
func wordSum(b []byte) uint64 {
	var sum uint64
	for i, octet := range b {
		if i%2 == 0 {
			sum += uint64(octet) << 8
		} else {
			sum += uint64(octet)
		}
	}
	return sum
}
