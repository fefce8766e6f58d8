// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"testing"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// What is only monitored is forwarded like the rest, counted by itself, and neither
// limited nor refused.
func TestMonitoredIsForwarded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, s *filter.Spec) {
		s.Pools[0].Monitor = true
		o.Limits = Limits{PerSubscriber: 1, Total: 1}
	})
	p := ft.TCP(dynamic4+":40000", server4+":25").TTL(63)
	const n = 5
	for range n {
		b.sub.in <- plain(p.Bytes())
		if got, want := take(t, b.up), plain(p.TTL(64).Bytes()); !bytes.Equal(got, want) {
			t.Errorf("got  %x\nwant %x", got, want)
		}
	}
	silent(t, b.sub)
	if got := b.fates(n)[Forwarded]; got != n {
		t.Errorf("%d forwarded, want %d", got, n)
	}
	s := b.router.Stats()
	if got := s.Verdicts[filter.Outbound][filter.Monitored][filter.ReasonBlockedPort]; got != n || s.Monitored() != n || s.Refused() != 0 {
		t.Errorf("%d counted, %d monitored, %d refused, want %d, %d, 0", got, s.Monitored(), s.Refused(), n, n)
	}
	// At the end of its way it is answered as such.
	b.sub.in <- plain(p.TTL(0).Bytes())
	if got := b.fates(n + 1)[AnsweredTimeExceeded]; got != 1 {
		t.Errorf("%d answered, want 1", got)
	}
}
