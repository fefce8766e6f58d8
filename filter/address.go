// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"net/netip"
)

// address is an address as the packet path sees it: two numbers and a family, which
// take less to read and to compare than a [netip.Addr].
type address struct {
	key
	family family
}

type family uint8

const (
	family4 family = iota
	family6
)

func address4(b [4]byte) address {
	return address{key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}, family4}
}

func address6(b [16]byte) address {
	return address{key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, family6}
}

func addressOf(a netip.Addr) address {
	if a.Is4() {
		return address4(a.As4())
	}
	return address6(a.As16())
}

// netip is the reverse of addressOf.
func (a address) netip() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	if a.family == family4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// martian reports whether a is no unicast address that a router forwards from or
// to (RFC 1812, section 5.3.7; RFC 4291, section 2.5; RFC 3927, section 2.7). An
// address that is merely private is no martian: pools may hold it.
func (a address) martian() bool {
	if a.family == family4 {
		first := a.hi >> 56
		return first == 0 || first == 127 || (first >= 224 && first < 240) ||
			a.hi>>48 == 0xa9fe || a.hi>>32 == 0xffffffff
	}
	if a.hi == 0 { // unspecified, loopback, IPv4-mapped
		return a.lo <= 1 || a.lo>>32 == 0xffff
	}
	return a.hi>>54 == 0xfe80>>6 || a.hi>>56 == 0xff // link-local, multicast
}

// reserved reports whether a is in 240.0.0.0/4, which RFC 1112, section 4, keeps
// for the future. Routers of the Internet are numbered so, and what they say of a
// path comes from there; no subscriber is.
func (a address) reserved() bool { return a.family == family4 && a.hi>>60 == 0xf }
