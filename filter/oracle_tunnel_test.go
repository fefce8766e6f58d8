// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"slices"

	"op25b/filter"
)

// looksInto reports whether a protocol is one that carries packets, and is to
// be looked into.
func (o *oracle) looksInto(proto uint8) bool {
	t := o.spec.InspectTunnels
	return t.IPIP && proto == 4 || t.SixInFour && proto == 41 || t.GRE && proto == 47
}

// tunnel judges a packet from a dynamic pool by what it carries.
func (o *oracle) tunnel(outer datagram, c chain, pool int) judgement {
	floor := 512
	if outer.v4 && outer.next == 51 {
		floor = 80 // AH's later fragments are told from TCP's by nothing
	}
	if f := c.fragment; f != nil {
		var defects []filter.Reason
		if !f.possible(false) {
			defects = append(defects, filter.ReasonBadFragment)
		}
		if c.later() && f.offset < floor {
			defects = append(defects, filter.ReasonOverlappingFragment)
		}
		if len(defects) > 0 {
			return drop(defects...)
		}
		if c.later() {
			return forward(filter.ReasonLaterFragment)
		}
	}
	carried, carries, readable := decapsulate(c.next, c.rest)
	if !readable {
		return drop(filter.ReasonTunnelUnreadable)
	}
	if !carries {
		if c.fragment != nil && c.depth()+4 > floor {
			return drop(filter.ReasonChainTooLong)
		}
		return forward(filter.ReasonNotTCP)
	}
	encapsulation := len(c.rest) - len(carried)
	inner, defects := readDatagram(carried, c.goesOn())
	if len(defects) > 0 {
		if c.fragment != nil && c.depth()+encapsulation > floor {
			return drop(filter.ReasonTunnelUnreadable, filter.ReasonChainTooLong)
		}
		return drop(filter.ReasonTunnelUnreadable)
	}
	inner.inner, inner.cut = true, c.goesOn()
	j := o.dynamic(inner, filter.ChecksumTrusted, pool, filter.RespondDrop)
	for i, r := range j.reasons {
		if r == filter.ReasonBlockedPort || r == filter.ReasonEstablished {
			j.reasons[i] = filter.ReasonTunneledPort
		}
	}
	if end := c.depth() + encapsulation + inner.depth() + 20; c.fragment != nil && end > floor {
		if j.action == filter.Drop {
			return drop(append(j.reasons, filter.ReasonChainTooLong)...)
		}
		return drop(filter.ReasonChainTooLong)
	}
	return j
}

// depth is how many octets of headers precede the transport's.
func (d datagram) depth() int {
	size := 40
	if d.v4 {
		size = len(d.header)
	}
	return size + len(d.payload) - len(readChain(d).rest)
}

// decapsulate returns the packet within, if it is one of IP, and whether that
// could be told (RFC 2784, RFC 2890; for WCCP, what Linux does).
func decapsulate(proto uint8, b []byte) (carried []byte, carries, readable bool) {
	if proto != 47 {
		return b, true, true
	}
	if len(b) < 4 {
		return nil, false, false
	}
	kind, version := int(b[2])<<8|int(b[3]), b[1]%8
	wccp := kind == 0x883e
	if version != 0 || (!slices.Contains([]int{0x0800, 0x86dd}, kind) && !wccp) {
		return nil, false, true
	}
	size := 4
	for _, flag := range []byte{0x80, 0x20, 0x10} { // checksum, key, sequence number
		if b[0]&flag != 0 {
			size += 4
		}
	}
	if wccp && len(b) > size && b[size]>>4 != 4 {
		size += 4 // version 2's redirect header
	}
	if b[0]&0x40 != 0 || len(b) < size {
		return nil, false, false
	}
	return b[size:], true, true
}
