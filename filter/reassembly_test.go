// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"encoding/binary"
	"slices"
)

// preference is how a receiver resolves an overlap: whether octets of a newer
// fragment replace those of an older one, given where the two begin. The five
// are those of Shankar and Paxson, "Active Mapping" (IEEE S&P 2003), found in
// real hosts.
type preference struct {
	name     string
	replaces func(older, newer int) bool
}

func preferences() []preference {
	return []preference{
		{"first", func(int, int) bool { return false }},
		{"last", func(int, int) bool { return true }},
		{"BSD", func(older, newer int) bool { return newer < older }},
		{"BSD-right", func(older, newer int) bool { return newer >= older }},
		{"Linux", func(older, newer int) bool { return newer <= older }},
	}
}

// receiver puts one packet together. It is more gullible than any real one: it
// reads the segment as soon as the headers are there, complete or not, never
// gives up on a packet, walks chains without end, opens tunnels, and lets an
// atomic fragment meet others, as receivers did before RFC 6946. What such a one cannot be made
// to accept, no other can.
type receiver struct {
	prefer preference
	v4     bool
	octets []byte
	origin []int // which piece an octet is from, -1 if it is missing
	pieces []piece
}

// piece is a fragment as it arrives.
type piece struct {
	fragment
	next uint8 // protocol, or the next header in the fragment header
}

// accept takes the next piece to arrive.
func (r *receiver) accept(p piece) {
	replaces := make([]bool, len(r.pieces))
	for i, older := range r.pieces {
		replaces[i] = r.prefer.replaces(older.offset, p.offset)
	}
	r.pieces = append(r.pieces, p)
	for len(r.octets) < p.offset+len(p.data) {
		r.octets, r.origin = append(r.octets, 0), append(r.origin, -1)
	}
	octets, origin := r.octets[p.offset:], r.origin[p.offset:]
	for i, octet := range p.data {
		if older := origin[i]; older < 0 || replaces[older] {
			octets[i], origin[i] = octet, len(r.pieces)-1
		}
	}
}

// opened reports whether the segment, as far as it is known, opens a connection
// to one of the ports.
func (r *receiver) opened(ports []uint16) bool {
	known := slices.Index(r.origin, -1)
	if known < 0 {
		known = len(r.octets)
	}
	if known == 0 {
		return false
	}
	segment := transport(r.v4, r.pieces[r.origin[0]].next, r.octets[:known])
	if len(segment) < 14 {
		return false
	}
	const syn, ack = 2, 16
	return slices.Contains(ports, binary.BigEndian.Uint16(segment[2:])) && segment[13]&(syn|ack) == syn
}

// transport follows a chain, and tunnels, to the TCP header, or returns nil.
func transport(v4 bool, next uint8, b []byte) []byte {
	for next != 6 {
		if carried, carries, _ := decapsulate(next, b); carries && slices.Contains([]uint8{4, 41, 47}, next) {
			d, defects := readDatagram(carried, true)
			if len(defects) > 0 {
				return nil
			}
			v4, next, b = d.v4, d.next, d.payload
			continue
		}
		size := extensionSize(v4, next, b)
		if size == 0 || len(b) < size {
			return nil
		}
		next, b = b[0], b[size:]
	}
	return b
}

// extensionSize is zero for what is no header of the chain.
func extensionSize(v4 bool, next uint8, b []byte) int {
	switch {
	case len(b) < 8:
		return 0
	case next == 51:
		return 4 * (int(b[1]) + 2)
	case next == 44 && !v4:
		return 8
	case slices.Contains([]uint8{0, 43, 60, 135, 139, 140}, next) && !v4:
		return 8 * (int(b[1]) + 1)
	default:
		return 0
	}
}

// parsePiece reads a fragment as a receiver does. It is ok for IPv4 fragments
// and for IPv6 packets whose fragment header comes first.
func parsePiece(b []byte) (p piece, ok bool) {
	d, defects := readDatagram(b, false)
	if len(defects) > 0 {
		return piece{}, false
	}
	if d.v4 {
		return piece{deref(d.fragment), d.next}, d.fragment != nil
	}
	c := chain{next: d.next, rest: d.payload}
	if c.next != 44 || len(c.rest) < 8 {
		return piece{}, false
	}
	c.step(0)
	return piece{deref(c.fragment), c.next}, true
}

func deref(f *fragment) fragment {
	if f == nil {
		return fragment{}
	}
	return *f
}
