// SPDX-License-Identifier: Apache-2.0

package supervise

import "time"

const (
	// mostDelay is how long a program that ends again and again waits.
	mostDelay = 5 * time.Second
	// steady is for how long a program has to be ready before its end is taken
	// for the first of a series.
	steady = time.Second
)

// backoff says how long to wait before the next start: not at all after a program
// that has been steady, since its work waits, and longer each time after one that
// has not.
type backoff struct{ first, next time.Duration }

// after is called once for each end, with for how long the program was ready.
func (b *backoff) after(ready time.Duration) time.Duration {
	if ready >= steady {
		b.next = b.first
		return 0
	}
	delay := max(b.next, b.first)
	b.next = min(2*delay, max(mostDelay, b.first))
	return delay
}
