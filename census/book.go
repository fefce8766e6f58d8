// SPDX-License-Identifier: Apache-2.0

package census

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Options bound a Book.
type Options struct {
	// Fold is the window in which attempts of one subscriber to one destination and
	// port are one: packets less than Fold apart, for up to twice as long. Zero: 60 s,
	// which takes all that Linux and others send for one connection. An hour at most.
	Fold time.Duration
	// Subscribers is how many are counted in an hour at most. Zero: 200,000. More are
	// counted in Health.Overflowed only.
	Subscribers int
	// Exact is up to how many destinations of a subscriber are told apart exactly
	// within an hour; then HyperLogLog. Zero: 256. It can be less where many
	// subscribers have many: all together may have eight for each of Subscribers.
	Exact int
	// OnHour gets the records of an hour that is over (or of the part that was seen
	// when the book is closed), sorted by subscriber. It is called by whoever calls
	// Tick or Close, without a lock that Add and the readers need, and may keep the
	// records. It must not call Tick or Close. Nil: nobody wants them.
	OnHour func(hour time.Time, records []Record)
}

// Book counts attempts, and unsolicited replies, by subscriber and hour. All methods
// can be called concurrently.
//
// Time is what packets and Tick say; hours are UTC's. A subscriber who tries one
// destination takes some 600 octets for an hour and 200 for two more; one who tries
// hundreds of thousands takes 70 KiB.
type Book struct {
	options Options
	limits  limits
	seed    maphash.Seed

	// handing is held while hours are handed on, so that they come in order. It is
	// taken before mu.
	handing sync.Mutex

	mu       sync.Mutex // protects what follows, hours too
	hour     *hour      // the current one; nil before the first packet or Tick
	over     []*hour    // to be handed on
	done     []int64    // beginnings of hours that were, or will be, handed on
	memories memories
	// strangers is the memory of subscribers without room, all together.
	strangers *memory
	watchers  []*Watcher
	attempts  [NumOutcomes]uint64
	packets   uint64
	overflow  uint64
	closed    bool
}

// limits are the bounds that follow from the options.
type limits struct {
	targets  int // entries of all subscribers of an hour, beyond one each
	sketches int // precise ones in an hour
	peers    int // of unsolicited replies in an hour
}

// Defaults of Options.
const (
	defaultFold        = 60 * time.Second
	defaultSubscribers = 200_000
	defaultExact       = 256
)

// NewBook returns an empty Book. Values below zero are as zero.
func NewBook(o Options) *Book {
	if o.Fold <= 0 {
		o.Fold = defaultFold
	}
	o.Fold = min(o.Fold, time.Hour)
	if o.Subscribers <= 0 {
		o.Subscribers = defaultSubscribers
	}
	if o.Exact <= 0 {
		o.Exact = defaultExact
	}
	// A few may do their worst even where few are foreseen.
	const few = 16
	return &Book{
		options: o,
		limits: limits{
			targets:  max(8*o.Subscribers, few*o.Exact),
			sketches: max(o.Subscribers/64, few),
			peers:    max(2*o.Subscribers, few*mostPeers),
		},
		seed:      maphash.MakeSeed(),
		memories:  memories{seats: o.Subscribers, most: max(16*o.Subscribers, few*mostCalls)},
		strangers: newMemory(mostStrangers),
	}
}

// Add counts a packet that begins a connection. It keeps nothing of a that its caller
// could change. After Close, it does nothing.
func (b *Book) Add(a Attempt) {
	now := a.Time.UnixNano()
	hash := b.hash(a.Destination)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.turn(now, false)
	b.packets++
	s := b.subscriber(&a)
	if s == nil {
		b.addStranger(&a, hash, now)
		return
	}
	at, fold := b.hour.at(now), int64(b.options.Fold)
	if !s.calls.note(hash, a.Port, a.Outcome, now, fold, &b.memories) {
		s.retry(&a, hash, at)
		return
	}
	unknown := s.begin(&a, hash, at, b.hour)
	b.begin(&a, hash, s.hash, unknown)
}

// subscriber returns whose attempt it is, or nil if there is no room. Those who use a
// relay, as they should, leave half of it to the others.
func (b *Book) subscriber(a *Attempt) *subscriber {
	s := b.hour.subscribers[a.Subscriber]
	if s == nil {
		room := b.options.Subscribers
		if a.Outcome == Relayed {
			room = (room + 1) / 2
		}
		s = b.hour.join(a.Subscriber, a.Pool, b.hashPrefix(a.Subscriber), room)
	}
	if s != nil && s.calls == nil {
		s.calls = b.memories.of(a.Subscriber)
	}
	return s
}

// addStranger counts an attempt of somebody for whom there is no room.
func (b *Book) addStranger(a *Attempt, hash uint64, now int64) {
	subscriber := b.hashPrefix(a.Subscriber)
	if b.strangers.note(hash^subscriber, a.Port, a.Outcome, now, int64(b.options.Fold), nil) {
		b.overflow++
		b.begin(a, hash, subscriber, true)
	}
}

// begin counts what an attempt is in, beside its subscriber.
func (b *Book) begin(a *Attempt, hash, subscriber uint64, unknown bool) {
	b.attempts[a.Outcome]++
	b.hour.attempts[a.Outcome]++
	b.hour.network.add(a, hash, subscriber, unknown)
	for _, w := range b.watchers {
		w.offer(a)
	}
}

// AddReply counts a segment from a blocked port, if nobody asked for it: if the
// subscriber has begun no attempt to the peer, of any outcome, in the two hours before
// nor has a session with it that goes on. Where that cannot be told, because the
// subscriber has called more peers than are remembered, it is not counted. Of what
// was before the book was made nothing is known: sessions that have outlived a
// restart look unsolicited.
//
// Replies make at most half of the subscribers of an hour: whoever forges all
// addresses of a pool leaves room for those who send. After Close, it does nothing.
func (b *Book) AddReply(r Reply) {
	now := r.Time.UnixNano()
	hash := b.hash(r.Peer)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.turn(now, false)
	s := b.hour.subscribers[r.Subscriber]
	if b.expected(s, &r, hash, now) {
		return
	}
	if s == nil {
		s = b.hour.join(r.Subscriber, r.Pool, b.hashPrefix(r.Subscriber), (b.options.Subscribers+1)/2)
	}
	if s == nil {
		return
	}
	if s.unasked == nil {
		s.unasked = &unasked{peers: map[uint64]bool{}}
	}
	s.unasked.add(r.Kind, hash, &b.hour.peers)
}

func (b *Book) expected(s *subscriber, r *Reply, hash uint64, now int64) bool {
	fold := int64(b.options.Fold)
	var calls *memory
	if s != nil {
		calls = s.calls
	}
	if calls == nil {
		calls = b.memories.recall(r.Subscriber)
	}
	if calls != nil && calls.expects(hash, now, fold) {
		return true
	}
	return b.overflow != 0 && b.strangers.expects(hash^b.hashPrefix(r.Subscriber), now, fold)
}

// Tick hands on hours that are over. It is called every second or so: until then,
// hours wait, and if there are packets of many, many do. While it hands on, Add and
// the readers go on.
func (b *Book) Tick(now time.Time) {
	b.handing.Lock()
	defer b.handing.Unlock()
	b.mu.Lock()
	if !b.closed {
		b.turn(now.UnixNano(), true)
	}
	over := b.over
	b.over = nil
	b.mu.Unlock()
	b.handOn(over)
}

// Close hands on what there is, and ends the watchers. Nothing is counted any more; what
// was can still be read. It is safe to call it twice.
func (b *Book) Close() {
	b.handing.Lock()
	defer b.handing.Unlock()
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.shut()
	}
	over := b.over
	b.over = nil
	for _, w := range b.watchers {
		w.end()
	}
	b.watchers = nil
	b.mu.Unlock()
	b.handOn(over)
}

// handOn calls OnHour; the caller holds handing.
func (b *Book) handOn(over []*hour) {
	if b.options.OnHour == nil {
		return
	}
	for _, h := range over {
		b.options.OnHour(h.time(), b.records(h))
	}
}

// hash returns a seeded hash of an address. IPv4 in IPv6 is IPv4.
func (b *Book) hash(a netip.Addr) uint64 {
	octets := a.As16()
	return maphash.Bytes(b.seed, octets[:])
}

func (b *Book) hashPrefix(p netip.Prefix) uint64 {
	var octets [18]byte
	addr := p.Addr().As16()
	copy(octets[:], addr[:])
	binary.BigEndian.PutUint16(octets[16:], uint16(p.Bits()))
	return maphash.Bytes(b.seed, octets[:])
}
