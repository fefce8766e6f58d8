// SPDX-License-Identifier: Apache-2.0

package census

// Health is what a Book says of itself. Attempts, Packets and Overflowed are since the
// start.
type Health struct {
	// Attempts are by outcome, of those without room too.
	Attempts [NumOutcomes]uint64
	// Packets are those that attempts were made of.
	Packets uint64
	// Subscribers is how many there are in this hour.
	Subscribers int
	// Overflowed counts attempts of subscribers for whom there was no room. They are in
	// no record.
	Overflowed uint64
	// Destinations is how many are counted for all subscribers together in this hour,
	// 65,536 at most.
	Destinations int
	// Watchers is how many look at attempts as they come.
	Watchers int
}

// Health returns how the book is.
func (b *Book) Health() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := Health{
		Attempts: b.attempts, Packets: b.packets, Overflowed: b.overflow,
		Watchers: len(b.watchers),
	}
	if b.hour != nil {
		h.Subscribers = len(b.hour.order)
		h.Destinations = len(b.hour.network.targets.entries)
	}
	return h
}
