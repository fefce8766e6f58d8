// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"op25b/census"
)

// A record's detail is what nobody asks SQLite for, in as few octets as possible:
//
//	version     1
//	head        bits 0-4: how many destinations follow; bit 5: unsolicited follows
//	minutes     how many; then each, in one octet, or, if there are more than 7, a
//	            bit for each in 8 octets, the most significant first
//	unsolicited SYN-ACKs, resets, data, peers, peers with data
//	destinations, each:
//	  flags     bits 0-2: outcome; the others: see below
//	  length    of the prefix in bits, or 255 for none   } if flagPrefix
//	  address   as many octets as the prefix has
//	  port      2 octets, if flagPort; otherwise 25
//	  attempts
//	  packets   if flagPackets; otherwise as many as attempts
//	  first     in seconds from the beginning of the hour
//	  last      in seconds from first, if flagLast; otherwise 0
//
// Numbers without a length are as encoding/binary's Uvarint.
const (
	detailVersion = 1

	headDestinations = 0x1f
	headUnsolicited  = 0x20
	headUnknown      = 0xc0

	flagOutcome = 0x07
	flagIPv6    = 0x08
	flagPrefix  = 0x10
	flagPort    = 0x20
	flagPackets = 0x40
	flagLast    = 0x80

	noPrefix = 255
	// manyMinutes is from how many on a bit for each takes less room.
	manyMinutes = 8
	// smtp is the port that most attempts are for.
	smtp = 25

	hourSeconds = 3600
)

// detailOf packs the detail of a record. Seconds are cut, and times that are not in
// the hour moved to its edge.
func detailOf(r *census.Record) []byte {
	top := r.Top[:min(len(r.Top), census.MostTop)]
	head := byte(len(top))
	if r.Unsolicited != (census.Unsolicited{}) {
		head |= headUnsolicited
	}
	b := appendMinutes([]byte{detailVersion, head}, r.Minutes)
	if head&headUnsolicited != 0 {
		u := &r.Unsolicited
		for _, n := range []uint64{u.SYNACKs, u.Resets, u.Data, u.Peers, u.DataPeers} {
			b = binary.AppendUvarint(b, n)
		}
	}
	for i := range top {
		b = appendDestination(b, &top[i], r.Hour)
	}
	return b
}

func appendMinutes(b []byte, minutes uint64) []byte {
	n := bits.OnesCount64(minutes)
	b = append(b, byte(n))
	if n >= manyMinutes {
		return binary.BigEndian.AppendUint64(b, minutes)
	}
	for ; minutes != 0; minutes &= minutes - 1 {
		b = append(b, byte(bits.TrailingZeros64(minutes)))
	}
	return b
}

func appendDestination(b []byte, d *census.Destination, hour time.Time) []byte {
	p := plainPrefix(d.Prefix)
	first, last := offset(d.First, hour), offset(d.Last, hour)
	flags := byte(d.Outcome)&flagOutcome | when(p.Addr().Is6(), flagIPv6) | when(!p.IsSingleIP(), flagPrefix) |
		when(d.Port != smtp, flagPort) | when(d.Packets != d.Attempts, flagPackets) | when(last > first, flagLast)
	b = append(b, flags)
	if flags&flagPrefix != 0 {
		length := byte(noPrefix)
		if p.IsValid() {
			length = byte(p.Bits())
		}
		b = append(b, length)
	}
	if p.IsValid() {
		b = append(b, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	}
	if flags&flagPort != 0 {
		b = binary.BigEndian.AppendUint16(b, d.Port)
	}
	b = binary.AppendUvarint(b, d.Attempts)
	if flags&flagPackets != 0 {
		b = binary.AppendUvarint(b, d.Packets)
	}
	b = binary.AppendUvarint(b, first)
	if flags&flagLast != 0 {
		b = binary.AppendUvarint(b, last-first)
	}
	return b
}

func when(on bool, flag byte) byte {
	if on {
		return flag
	}
	return 0
}

// offset is t in seconds from the beginning of an hour.
func offset(t, hour time.Time) uint64 {
	return uint64(min(max(t.Sub(hour)/time.Second, 0), hourSeconds))
}

// readDetail reads into r what detailOf has written of it. r's hour is known
// already. An error says that b is no such thing; r is then as it was.
func readDetail(b []byte, r *census.Record) error {
	d := decoder{rest: b}
	if v := d.octet(); v != detailVersion && d.err == nil {
		return fmt.Errorf("%w: its detail is of version %d", errDamaged, v)
	}
	head := d.octet()
	n := int(head & headDestinations)
	if head&headUnknown != 0 || n > census.MostTop {
		d.fail("head")
	}
	minutes := d.minutes()
	var u census.Unsolicited
	if head&headUnsolicited != 0 {
		u = census.Unsolicited{SYNACKs: d.number(), Resets: d.number(), Data: d.number(), Peers: d.number(), DataPeers: d.number()}
	}
	var top []census.Destination
	if n > 0 && d.err == nil {
		top = make([]census.Destination, n)
	}
	for i := range top {
		d.destination(&top[i], r.Hour)
	}
	if len(d.rest) != 0 {
		d.fail("end")
	}
	if d.err != nil {
		return d.err
	}
	r.Minutes, r.Unsolicited, r.Top = minutes, u, top
	return nil
}

// decoder reads a detail from its beginning. After an error all is zero.
type decoder struct {
	rest []byte
	err  error
}

// fail says where damage was found first.
func (d *decoder) fail(where string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: its detail makes no sense at the %s", errDamaged, where)
	}
	d.rest = nil
}

// octets returns the next n; zeros if there are less.
func (d *decoder) octets(n int) []byte {
	if len(d.rest) < n {
		d.fail("end")
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) octet() byte { return d.octets(1)[0] }

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("end of a number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) minutes() (set uint64) {
	n := int(d.octet())
	if n >= manyMinutes {
		set = binary.BigEndian.Uint64(d.octets(8))
	} else {
		for _, m := range d.octets(n) {
			set |= 1 << m // nothing, from 64 on
		}
	}
	if bits.OnesCount64(set) != n {
		d.fail("minutes")
	}
	return set
}

func (d *decoder) destination(to *census.Destination, hour time.Time) {
	flags := d.octet()
	to.Outcome = census.Outcome(flags & flagOutcome)
	if to.Outcome >= census.NumOutcomes {
		d.fail("outcome")
	}
	to.Prefix = d.prefix(flags)
	to.Port = smtp
	if flags&flagPort != 0 {
		to.Port = binary.BigEndian.Uint16(d.octets(2))
	}
	to.Attempts = d.number()
	to.Packets = to.Attempts
	if flags&flagPackets != 0 {
		to.Packets = d.number()
	}
	first := d.number()
	last := first
	if flags&flagLast != 0 {
		last += d.number()
	}
	if first > hourSeconds || last > hourSeconds || last < first {
		d.fail("time")
		return
	}
	to.First = hour.Add(time.Duration(first) * time.Second)
	to.Last = hour.Add(time.Duration(last) * time.Second)
}

// prefix returns one that is not valid where none is kept.
func (d *decoder) prefix(flags byte) netip.Prefix {
	var a [16]byte
	addr, most := netip.IPv6Unspecified(), 128
	if flags&flagIPv6 == 0 {
		addr, most = netip.IPv4Unspecified(), 32
	}
	length := most
	if flags&flagPrefix != 0 {
		if length = int(d.octet()); length == noPrefix {
			return netip.Prefix{}
		}
	}
	if length > most {
		d.fail("length of a prefix")
		return netip.Prefix{}
	}
	copy(a[:], d.octets((length+7)/8))
	if addr.Is6() {
		addr = netip.AddrFrom16(a)
	} else {
		addr = netip.AddrFrom4([4]byte(a[:4]))
	}
	return plainPrefix(netip.PrefixFrom(addr, length))
}
