// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// rates are in events a second; burst of them may come at once.
type rates struct{ total, totalBurst, source, sourceBurst float64 }

// connRates are for connections, which are closed above them. A page is one
// connection, and perhaps one more that the browser opens in advance.
func connRates() rates { return rates{total: 200, totalBurst: 400, source: 4, sourceBurst: 40} }

// requestRates are for requests, which are told to come later above them. They are
// stricter, so that somebody who only reloads too eagerly gets an answer.
func requestRates() rates { return rates{total: 100, totalBurst: 200, source: 1, sourceBurst: 10} }

// limiterSlots is how many sources are told apart at once: memory does not grow beyond
// that, whoever asks.
const limiterSlots = 4096

// limiter is a token bucket for each source and one over all. Sources whose hashes
// meet in a slot share its bucket: the hash is seeded, so that nobody can aim at
// another, and one honest client in 4096 shares with a given hostile one.
type limiter struct {
	rates rates
	seed  maphash.Seed

	mu    sync.Mutex // protects the buckets
	total bucket
	slots [limiterSlots]bucket
}

// bucket counts what has been taken out, so that its zero value is full.
type bucket struct {
	taken float64
	last  time.Time
}

func newLimiter(r rates) *limiter { return &limiter{rates: r, seed: maphash.MakeSeed()} }

// allow reports whether a source may go on, and takes it off the account. The source
// is asked first, so that a single one cannot use up what is for all.
func (l *limiter) allow(source netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := &l.slots[maphash.Comparable(l.seed, source)%limiterSlots]
	return slot.take(now, l.rates.source, l.rates.sourceBurst) && l.total.take(now, l.rates.total, l.rates.totalBurst)
}

func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.taken = max(0, b.taken-now.Sub(b.last).Seconds()*rate)
	b.last = now
	if b.taken+1 > burst {
		return false
	}
	b.taken++
	return true
}
