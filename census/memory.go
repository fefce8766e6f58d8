// SPDX-License-Identifier: Apache-2.0

package census

import (
	"net/netip"
	"time"
)

const (
	// ways is how many calls can be in one place of a memory.
	ways = 4
	// mostCalls of one subscriber are remembered: 24 KiB of them.
	mostCalls = 1024
	// mostStrangers are remembered of all subscribers together for whom there was no
	// room: 384 KiB.
	mostStrangers = 1 << 14
	// remembered is how long a peer that was called may answer. A session is
	// remembered for as long as it goes on.
	remembered = int64(2 * time.Hour)
)

// memory is whom a subscriber has called lately. It tells a retry from an attempt and
// a reply from what nobody asked for, across the ends of hours.
//
// It is a cache with places of four calls. It grows as needed and as far as it may;
// then the oldest call of a place is forgotten, and as long as that one would count,
// no reply is held against the subscriber.
type memory struct {
	calls []call // a power of two
	// few holds the first calls, next to what points to them: most subscribers have no
	// more, and each packet looks here.
	few  [ways]call
	most int
	// forgot is the time of the latest call that had to be forgotten.
	forgot int64
}

// call is the last attempt to reach one port of one address.
type call struct {
	// word is 45 bits of the address's hash, 16 of the port and 3 of the outcome.
	// Zero: there is none. Some other address is taken for this one once in 2^35
	// calls of a full memory.
	word uint64
	// begun and last are the times of the attempt's first and last packets, in
	// nanoseconds since 1970. A session that goes on raises last as well.
	begun, last int64
}

const (
	outcomeBits = 3
	wordBits    = 16 + outcomeBits // what is not of the address's hash

	_ = uint(1<<outcomeBits - NumOutcomes) // the outcomes fit
)

// peer is the part of a call's word that the address alone makes. It is never zero.
func peer(hash uint64) uint64 { return max(hash>>wordBits, 1) }

func newMemory(most int) *memory {
	m := &memory{most: most}
	m.calls = m.few[:]
	return m
}

// place returns the calls among which those to a peer are.
func (m *memory) place(peer uint64) []call {
	i := int(peer&uint64(len(m.calls)/ways-1)) * ways
	return m.calls[i : i+ways]
}

// note takes a packet that begins a connection, and says whether it begins an attempt
// as well. It asks all before it grows; nil lets it.
//
// A retry is a packet less than fold after the one before it and less than twice that
// after the first. Gaps count, since a TCP that gets no answer doubles its timeout
// (RFC 6298 section 5.5): Linux sends a SYN again 1, 3, 7, 15, 31 and 63 s after the
// first, so that 60 s from the first would make two attempts of one click, while the
// longest gap is 32 s. The bound on the whole is for programs that try every few
// seconds forever: they make one attempt in two folds, not one in all. Mail servers
// that wait minutes before they try again make an attempt each time.
func (m *memory) note(hash uint64, port uint16, o Outcome, now, fold int64, all *memories) (begins bool) {
	p := peer(hash)
	key := p<<wordBits | uint64(port)<<outcomeBits
	place := m.place(p)
	for i := range place {
		c := &place[i]
		if c.word>>outcomeBits != key>>outcomeBits {
			continue
		}
		if c.word == key|uint64(o) && c.holds(now, fold) {
			c.last = max(c.last, now)
			return false
		}
		*c = call{key | uint64(o), now, now}
		return true
	}
	m.put(call{key | uint64(o), now, now}, max(remembered, 2*fold), all)
	return true
}

// holds says whether a packet still belongs to the attempt. Packets that overtake each
// other, as several queues let them, make small steps back; a step of fold or more
// is a clock that was set.
func (c *call) holds(now, fold int64) bool {
	gap, age := now-c.last, now-c.begun
	return -fold < gap && gap < fold && age < 2*fold
}

// put makes room for a call of a peer: where there is none, where one is older than
// keep, by growing, or else where the oldest of its place is. Of one peer four ports
// are remembered: they are all in one place, and growing would not part them.
func (m *memory) put(n call, keep int64, all *memories) {
	for {
		place := m.place(n.word >> wordBits)
		oldest := oldestOf(place)
		if oldest.word == 0 || n.begun-oldest.last > keep || crowded(place, n.word>>wordBits) {
			*oldest = n
			return
		}
		if 2*len(m.calls) > m.most || !all.grant(len(m.calls)) {
			m.forgot = max(m.forgot, oldest.last)
			*oldest = n
			return
		}
		m.grow()
	}
}

// oldestOf returns a free call, or the one that was used longest ago.
func oldestOf(place []call) *call {
	oldest := &place[0]
	for i := range place {
		switch {
		case place[i].word == 0:
			return &place[i]
		case place[i].last < oldest.last:
			oldest = &place[i]
		}
	}
	return oldest
}

// crowded says whether all calls of a place are of one peer.
func crowded(place []call, peer uint64) bool {
	for i := range place {
		if place[i].word>>wordBits != peer {
			return false
		}
	}
	return true
}

// grow doubles the places. Each call finds room: those of one place go to two.
func (m *memory) grow() {
	old := m.calls
	m.calls = make([]call, 2*len(old))
	for _, c := range old {
		place := m.place(c.word >> wordBits)
		for i := range place {
			if place[i].word == 0 {
				place[i] = c
				break
			}
		}
	}
}

// expects says whether a reply from a peer can be to something that was sent there,
// and remembers that the session goes on. It does not prolong an attempt for note.
func (m *memory) expects(hash uint64, now, fold int64) (expected bool) {
	p := peer(hash)
	place := m.place(p)
	for i := range place {
		c := &place[i]
		if c.word>>wordBits != p || now-c.last > remembered {
			continue
		}
		expected = true
		if now-c.begun >= 2*fold {
			c.last = max(c.last, now)
		}
	}
	return expected || m.forgot != 0 && now-m.forgot <= remembered
}

// memories are those of all subscribers, by the hour in which they were last needed.
// What was not needed for two whole hours is dropped with its map.
type memories struct {
	generations [3]generation // the newest first
	seats       int           // bounds the memories of a generation
	most        int           // bounds the calls of all
}

type generation struct {
	of    map[netip.Prefix]*memory
	calls int
}

// turn begins an hour.
func (a *memories) turn() {
	a.generations[2], a.generations[1] = a.generations[1], a.generations[0]
	a.generations[0] = generation{of: map[netip.Prefix]*memory{}}
}

// recall returns a subscriber's memory, or nil, and keeps it for another hour if there
// is a seat.
func (a *memories) recall(p netip.Prefix) *memory {
	newest := &a.generations[0]
	for i := range a.generations {
		g := &a.generations[i]
		m, ok := g.of[p]
		if !ok {
			continue
		}
		if i > 0 && len(newest.of) < a.seats {
			delete(g.of, p)
			g.calls -= len(m.calls)
			newest.of[p] = m
			newest.calls += len(m.calls)
		}
		return m
	}
	return nil
}

// of returns a subscriber's memory, a new one if need be.
func (a *memories) of(p netip.Prefix) *memory {
	if m := a.recall(p); m != nil {
		return m
	}
	m := newMemory(mostCalls)
	newest := &a.generations[0]
	newest.of[p] = m
	newest.calls += len(m.calls)
	return m
}

// grant says whether a memory of the newest generation may have n more calls.
func (a *memories) grant(n int) bool {
	if a == nil {
		return true
	}
	used := 0
	for i := range a.generations {
		used += a.generations[i].calls
	}
	if used+n > a.most {
		return false
	}
	a.generations[0].calls += n
	return true
}
