// SPDX-License-Identifier: Apache-2.0

package census

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/axiomhq/hyperloglog"
)

// subscriber is what one did in an hour. The book's lock protects it.
type subscriber struct {
	prefix   netip.Prefix
	pool     string
	hash     uint64
	attempts [NumOutcomes]uint64
	packets  uint64
	minutes  uint64
	last     int64
	calls    *memory // nil until there is an attempt
	targets  table[counts]
	// addresses is how many different ones are in targets, exact while sketch is nil.
	addresses uint64
	sketch    *hyperloglog.Sketch
	// unasked is nil until there is an unsolicited reply.
	unasked *unasked
}

// counts are of one address and port.
type counts struct {
	addr              netip.Addr
	port              uint16
	outcome           Outcome
	attempts, packets uint64
	first, last       int64 // nanoseconds since 1970
}

// saw takes the time of a packet. Packets overtake each other.
func (c *counts) saw(at int64) { c.first, c.last = min(c.first, at), max(c.last, at) }

// target returns the key of an address's port. Another factor than one keeps ports
// of neighboring hashes apart; it can be undone, see address.
func target(hash uint64, port uint16) uint64 { return hash + uint64(port)*portFactor }

// address returns the hash of the address of a key.
func address(key uint64, port uint16) uint64 { return key - uint64(port)*portFactor }

const portFactor = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: far apart

// begin counts an attempt, and says whether its target is new, as far as is known.
// at is a time in the hour.
func (s *subscriber) begin(a *Attempt, hash uint64, at int64, h *hour) (unknown bool) {
	s.attempts[a.Outcome]++
	s.packets++
	s.minutes |= 1 << ((at - h.start) / int64(time.Minute))
	s.last = max(s.last, at)
	s.pool = a.Pool
	key := target(hash, a.Port)
	e := s.targets.find(key)
	if unknown = e == nil; unknown {
		e = s.admit(key, a, hash, h)
		e.value = counts{addr: a.Destination.Unmap(), port: a.Port, first: at, last: at}
	}
	e.rank++
	c := &e.value
	c.outcome = a.Outcome
	c.attempts++
	c.packets++
	c.saw(at)
	return unknown
}

// retry counts a packet more of an attempt. One that began in the hour before is in
// that hour's record, and so is its target.
func (s *subscriber) retry(a *Attempt, hash uint64, at int64) {
	s.packets++
	s.last = max(s.last, at)
	if e := s.targets.find(target(hash, a.Port)); e != nil {
		e.value.packets++
		e.value.saw(at)
	}
}

// admit makes an entry for a target. From the first that finds no room, addresses are
// estimated, and entries are for the most tried.
func (s *subscriber) admit(key uint64, a *Attempt, hash uint64, h *hour) *entry[counts] {
	n := len(s.targets.entries)
	if s.sketch == nil && n < h.exact && (n == 0 || h.targets.take(1)) {
		if !s.knows(a.Destination.Unmap()) {
			s.addresses++
		}
		return s.targets.insert(key)
	}
	if s.sketch == nil {
		s.sketch = newSketch(precisionFine, &h.sketches)
		for i := range s.targets.entries {
			e := &s.targets.entries[i]
			s.sketch.InsertHash(address(e.key, e.value.port))
		}
	}
	s.sketch.InsertHash(hash)
	return s.targets.replace(key)
}

// knows says whether there is an entry for some port of an address.
func (s *subscriber) knows(addr netip.Addr) bool {
	for i := range s.targets.entries {
		if s.targets.entries[i].value.addr == addr {
			return true
		}
	}
	return false
}

// destinations returns how many addresses were tried, and whether that is estimated.
// It may reorder what the sketch holds.
func (s *subscriber) destinations() (n uint64, estimated bool) {
	if s.sketch == nil {
		return s.addresses, false
	}
	return max(s.sketch.Estimate(), s.addresses), true
}

// record returns a copy of what was counted.
func (s *subscriber) record(hour time.Time) Record {
	r := Record{
		Hour: hour, Subscriber: s.prefix, Pool: s.pool,
		Attempts: s.attempts, Packets: s.packets, Minutes: s.minutes,
		Top: s.top(),
	}
	r.Destinations, r.Estimated = s.destinations()
	if s.unasked != nil {
		r.Unsolicited = s.unasked.Unsolicited
	}
	return r
}

// top returns the destinations with the most attempts.
func (s *subscriber) top() []Destination {
	most := newBest(MostTop, func(a, b *counts) int {
		return cmp.Or(cmp.Compare(b.attempts, a.attempts), cmp.Compare(b.packets, a.packets),
			a.addr.Compare(b.addr), cmp.Compare(a.port, b.port))
	})
	for i := range s.targets.entries {
		most.add(&s.targets.entries[i].value)
	}
	kept := most.sorted()
	top := make([]Destination, 0, len(kept))
	for _, c := range kept {
		top = append(top, Destination{
			Prefix: netip.PrefixFrom(c.addr, c.addr.BitLen()), Port: c.port, Outcome: c.outcome,
			Attempts: c.attempts, Packets: c.packets,
			First: time.Unix(0, c.first).UTC(), Last: time.Unix(0, c.last).UTC(),
		})
	}
	return top
}

// mostPeers is where [Unsolicited] stops counting peers.
const mostPeers = 1024

// unasked is what came without being asked for. peers says of each whether there was
// data.
type unasked struct {
	Unsolicited
	peers map[uint64]bool
}

// add counts a reply from a peer. Peers that find no room are not counted.
func (u *unasked) add(kind ReplyKind, hash uint64, room *budget) {
	switch kind {
	case ReplySYNACK:
		u.SYNACKs++
	case ReplyReset:
		u.Resets++
	default:
		u.Data++
	}
	data := kind != ReplySYNACK && kind != ReplyReset
	had, known := u.peers[hash]
	if !known && (len(u.peers) >= mostPeers || !room.take(1)) {
		return
	}
	u.peers[hash] = had || data
	if !known {
		u.Peers++
	}
	if data && !had {
		u.DataPeers++
	}
}
