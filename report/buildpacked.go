// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"op25b/census"
)

// packed holds records by subscriber, in a tenth of the memory that they take as
// census.Record: a month of a large provider has a million of them.
type packed struct {
	index   map[netip.Prefix]int
	records [][]byte // by subscriber
}

// part is a record without its names, and the number of its pool.
type part struct {
	pool   int
	record census.Record
}

// add keeps a copy of a record.
func (p *packed) add(r *census.Record, pool int) {
	if p.index == nil {
		p.index = map[netip.Prefix]int{}
	}
	i, known := p.index[r.Subscriber]
	if !known {
		i = len(p.records)
		p.index[r.Subscriber] = i
		p.records = append(p.records, nil)
	}
	p.records[i] = pack(p.records[i], r, pool)
}

// each hands every subscriber's records to a function, which may keep them, by address
// and hour. What was handed on is forgotten.
func (p *packed) each(do func(netip.Prefix, []part)) {
	subscribers := make([]netip.Prefix, 0, len(p.index))
	for s := range p.index {
		subscribers = append(subscribers, s)
	}
	slices.SortFunc(subscribers, netip.Prefix.Compare)
	for _, s := range subscribers {
		i := p.index[s]
		parts := unpack(p.records[i])
		p.records[i] = nil
		slices.SortStableFunc(parts, func(a, b part) int { return a.record.Hour.Compare(b.record.Hour) })
		do(s, parts)
	}
	*p = packed{}
}

// Bits of a destination's first octet, above its outcome.
const (
	outcomeBits = 0x0f
	hasFirst    = 0x10
	hasLast     = 0x20
)

// pack appends a record, without its subscriber. Hours are whole, times are to the
// nanosecond.
func pack(b []byte, r *census.Record, pool int) []byte {
	b = binary.AppendVarint(b, r.Hour.Unix()/secondsPerHour)
	b = binary.AppendUvarint(b, uint64(pool))
	for _, n := range r.Attempts {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, r.Packets)
	b = binary.AppendUvarint(b, r.Destinations)
	b = append(b, bit(r.Estimated, 1))
	b = binary.LittleEndian.AppendUint64(b, r.Minutes)
	b = binary.AppendUvarint(b, uint64(len(r.Top)))
	for i := range r.Top {
		b = packDestination(b, &r.Top[i], r.Hour)
	}
	u := r.Unsolicited
	if u == (census.Unsolicited{}) {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, n := range [...]uint64{u.SYNACKs, u.Resets, u.Data, u.Peers, u.DataPeers} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

const secondsPerHour = 3600

func packDestination(b []byte, d *census.Destination, hour time.Time) []byte {
	b = append(b, uint8(d.Outcome)|bit(!d.First.IsZero(), hasFirst)|bit(!d.Last.IsZero(), hasLast))
	addr := d.Prefix.Addr().AsSlice()
	b = append(b, uint8(len(addr)), uint8(d.Prefix.Bits()))
	b = append(b, addr...)
	b = binary.AppendUvarint(b, uint64(d.Port))
	b = binary.AppendUvarint(b, d.Attempts)
	b = binary.AppendUvarint(b, d.Packets)
	if !d.First.IsZero() {
		b = binary.AppendVarint(b, int64(d.First.Sub(hour)))
	}
	if !d.Last.IsZero() {
		b = binary.AppendVarint(b, int64(d.Last.Sub(hour)))
	}
	return b
}

func bit(set bool, mask uint8) uint8 {
	if set {
		return mask
	}
	return 0
}

// unpack returns what pack has appended.
func unpack(b []byte) []part {
	var parts []part
	for c := (cursor{b}); len(c.rest) > 0; {
		parts = append(parts, c.record())
	}
	return parts
}

// cursor reads what pack wrote, and nothing else: it panics where that ends.
type cursor struct {
	rest []byte
}

func (c *cursor) record() part {
	r := census.Record{Hour: time.Unix(c.signed()*secondsPerHour, 0).UTC()}
	pool := int(c.unsigned())
	for i := range r.Attempts {
		r.Attempts[i] = c.unsigned()
	}
	r.Packets, r.Destinations, r.Estimated = c.unsigned(), c.unsigned(), c.octet() == 1
	r.Minutes = binary.LittleEndian.Uint64(c.octets(8))
	if n := c.unsigned(); n > 0 {
		r.Top = make([]census.Destination, n)
	}
	for i := range r.Top {
		r.Top[i] = c.destination(r.Hour)
	}
	if c.octet() == 1 {
		u := &r.Unsolicited
		u.SYNACKs, u.Resets, u.Data, u.Peers, u.DataPeers =
			c.unsigned(), c.unsigned(), c.unsigned(), c.unsigned(), c.unsigned()
	}
	return part{pool, r}
}

func (c *cursor) destination(hour time.Time) census.Destination {
	var d census.Destination
	first := c.octet()
	d.Outcome = census.Outcome(first & outcomeBits)
	length, bits := int(c.octet()), int(c.octet())
	if addr, ok := netip.AddrFromSlice(c.octets(length)); ok {
		d.Prefix = netip.PrefixFrom(addr, bits)
	}
	d.Port, d.Attempts, d.Packets = uint16(c.unsigned()), c.unsigned(), c.unsigned()
	if first&hasFirst != 0 {
		d.First = hour.Add(time.Duration(c.signed()))
	}
	if first&hasLast != 0 {
		d.Last = hour.Add(time.Duration(c.signed()))
	}
	return d
}

func (c *cursor) octet() uint8 { return c.octets(1)[0] }

func (c *cursor) octets(n int) []byte {
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) unsigned() uint64 {
	v, n := binary.Uvarint(c.rest)
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) signed() int64 {
	v, n := binary.Varint(c.rest)
	c.rest = c.rest[n:]
	return v
}
