// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"time"
)

// place is a prefix as a key: comparable, and without the pointer in netip.Addr.
type place struct {
	addr [16]byte
	bits uint8
}

// placeOf returns the key of a valid prefix; an IPv4 prefix lies in
// ::ffff:0:0/96.
func placeOf(p netip.Prefix) place {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return place{p.Addr().As16(), uint8(bits)}
}

func (p place) prefix() netip.Prefix {
	addr, bits := netip.AddrFrom16(p.addr), int(p.bits)
	if addr.Is4In6() && bits >= 96 {
		return netip.PrefixFrom(addr.Unmap(), bits-96)
	}
	return netip.PrefixFrom(addr, bits)
}

// record is what is kept of a lease beside its prefix: times in seconds since
// 1970, 0 for none, and where its names are.
type record struct {
	start, end uint32
	told       uint32 // when its change was last told of
	reading    uint32 // the number of the last reading that named it
	session    uint32
	text       uint32
	holder     uint16 // bytes of text
	hostname   uint16 // bytes behind them
}

// holdings are the leases of one source.
type holdings struct {
	*table[place, record]
	texts texts
	// lengths counts the leases by the length of their prefix.
	lengths [129]int
}

func newHoldings() *holdings { return &holdings{table: newTable[place, record]()} }

// set makes the record of a prefix say what the lease says; told and reading stay.
// It returns the record. The lease's names are clean.
func (h *holdings) set(at place, l Lease) *record {
	r, isNew := h.put(at)
	if isNew {
		h.lengths[at.bits]++
	}
	if isNew || !h.named(r, l) {
		h.texts.drop(r.names())
		r.text = h.texts.add(l.Holder, l.Hostname)
		r.holder, r.hostname = uint16(len(l.Holder)), uint16(len(l.Hostname))
	}
	r.start, r.end, r.session = seconds(l.Start), seconds(l.End), l.session
	return r
}

// unset removes a prefix that is there.
func (h *holdings) unset(at place) {
	h.texts.drop(h.get(at).names())
	h.remove(at)
	h.lengths[at.bits]--
}

// tidy gives back the room of names that nobody has any more.
func (h *holdings) tidy() {
	if !h.texts.wasteful() {
		return
	}
	var fresh texts
	for _, r := range h.all() {
		r.text = fresh.add(string(h.texts.get(r.text, int(r.holder))), string(h.hostname(r)))
	}
	h.texts = fresh
}

// lease returns a record as a lease that the caller may keep.
func (h *holdings) lease(at place, r *record, source string) Lease {
	names := string(h.texts.get(r.text, r.names()))
	return Lease{
		Prefix: at.prefix(), Holder: names[:r.holder], Hostname: names[r.holder:],
		Source: source, Start: moment(r.start), End: moment(r.end), session: r.session,
	}
}

func (h *holdings) hostname(r *record) []byte {
	return h.texts.get(r.text, r.names())[r.holder:]
}

// named reports whether a record has a lease's names.
func (h *holdings) named(r *record, l Lease) bool {
	return h.heldBy(r, l) && string(h.hostname(r)) == l.Hostname
}

// meant reports whether a lease that is over can be a record's, as far as it says
// whose it was.
func (h *holdings) meant(r *record, l Lease) bool {
	return (l.Holder == "" || string(h.texts.get(r.text, int(r.holder))) == l.Holder) &&
		(l.session == 0 || l.session == r.session)
}

// heldBy reports whether a record has a lease's holder.
func (h *holdings) heldBy(r *record, l Lease) bool {
	return string(h.texts.get(r.text, int(r.holder))) == l.Holder && r.session == l.session
}

func (r *record) names() int { return int(r.holder) + int(r.hostname) }

// over reports whether the lease had ended by a time.
func (r *record) over(now uint32) bool { return r.end != 0 && r.end+lateness <= now }

// lateness is how many seconds after its end a lease is still believed: sources
// are asked every few seconds, and clocks differ a little.
const lateness = 10

// seconds is how a time is kept. What is outside 1970 to 2106 is not known.
func seconds(t time.Time) uint32 {
	s := t.Unix()
	if s <= 0 || s > lastSecond {
		return 0
	}
	return uint32(s)
}

// lastSecond leaves room to add lateness.
const lastSecond = 1<<32 - 1 - lateness

func moment(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
