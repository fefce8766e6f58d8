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

// backoff says how long to wait before the next start.
type backoff struct{ first, next time.Duration }

// after is called once for each end, with for how long the program was ready.
func (b *backoff) after(ready time.Duration) time.Duration {
	if b.next == 0 || ready >= steady {
		b.next = b.first
	}
	delay := b.next
	b.next = min(2*b.next, max(mostDelay, b.first))
	return delay
}
