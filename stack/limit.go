// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"hash/maphash"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Limits bound how many refusals each worker answers, in packets a second. What
// is above a limit is dropped and counted; a client that was not answered tries
// again a second later.
type Limits struct {
	// PerSubscriber is for one subscriber; twice as many may come at once. 0: no
	// limit of any kind.
	PerSubscriber int
	// Total is for all together, but never for the first attempts of anybody: a
	// flood must not take a normal user's answer. 0: no limit over all.
	Total int
}

const (
	// limiterSets times limiterWays subscribers are told apart at once by one
	// worker; memory does not grow beyond that, whoever sends.
	limiterSets = 4096
	limiterWays = 4

	// firstAttempts of a subscriber do not count against the total. A mail
	// program tries every address of every server that its mail is for, in both
	// families, and repeats each attempt up to three times.
	firstAttempts = 16

	// subscriberBits6 is the length of the IPv6 prefix that stands for one
	// subscriber (BCP 157, RFC 6177: usually a /56 or a /48; a /64 would let
	// one subscriber be 256).
	subscriberBits6 = 56
)

// limiter is a token bucket for each subscriber and one over all. The table is
// of fixed size, with four places for each hash; the place that has been quiet
// for the longest is given to a newcomer, who begins with a full bucket. The
// hash is seeded, so that nobody can aim at another's place. It belongs to one
// worker. It reads the clock, but only when a packet is refused.
type limiter struct {
	limits Limits
	seed   maphash.Seed
	total  bucket
	table  [limiterSets][limiterWays]bucket
	now    func() time.Duration // since some fixed moment
}

// bucket holds tokens; its owner's hash tells whose it is.
type bucket struct {
	owner  uint64
	tokens float64
	last   time.Duration
}

// newLimiter returns nil where nothing is limited.
func newLimiter(limits Limits) *limiter {
	if limits.PerSubscriber == 0 {
		return nil
	}
	start := time.Now()
	l := &limiter{limits: limits, seed: maphash.MakeSeed(), now: func() time.Duration { return time.Since(start) }}
	l.total.tokens = burst(limits.Total)
	return l
}

func burst(rate int) float64 { return 2 * float64(rate) }

// allow reports whether the subscriber who sent pkt may get an answer, and
// takes it off the account.
func (l *limiter) allow(pkt []byte) bool {
	if l == nil {
		return true
	}
	now := l.now()
	b := l.find(maphash.Bytes(l.seed, subscriber(pkt)), now)
	b.refill(now, l.limits.PerSubscriber)
	if b.tokens < 1 {
		return false
	}
	newcomer := burst(l.limits.PerSubscriber)-b.tokens < firstAttempts
	if !newcomer && l.limits.Total > 0 {
		l.total.refill(now, l.limits.Total)
		if l.total.tokens < 1 {
			return false
		}
		l.total.tokens--
	}
	b.tokens--
	return true
}

// find returns the owner's bucket, or the one that is given up for it.
func (l *limiter) find(owner uint64, now time.Duration) *bucket {
	set := &l.table[owner%limiterSets]
	oldest := &set[0]
	for i := range set {
		if set[i].owner == owner {
			return &set[i]
		}
		if set[i].last < oldest.last {
			oldest = &set[i]
		}
	}
	*oldest = bucket{owner: owner, tokens: burst(l.limits.PerSubscriber), last: now}
	return oldest
}

func (b *bucket) refill(now time.Duration, rate int) {
	b.tokens = min(burst(rate), b.tokens+(now-b.last).Seconds()*float64(rate))
	b.last = now
}

// subscriber returns the octets of the source that stand for one subscriber.
func subscriber(pkt []byte) []byte {
	const source4, source6 = 12, 8
	if header.IPVersion(pkt) == header.IPv4Version {
		return pkt[source4 : source4+header.IPv4AddressSize]
	}
	return pkt[source6 : source6+subscriberBits6/8]
}
