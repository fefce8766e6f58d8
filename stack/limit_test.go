// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// testLimiter returns a limiter and its clock.
func testLimiter(limits Limits) (*limiter, *time.Duration) {
	l := newLimiter(limits)
	var now time.Duration
	l.now = func() time.Duration { return now }
	return l, &now
}

func syn(src string) []byte { return ft.TCP(src+":40000", server4+":25").Bytes() }

func syn6(src string) []byte { return ft.TCP("["+src+"]:40000", "["+server6+"]:25").Bytes() }

func allowed(l *limiter, pkt []byte, tries int) (n int) {
	for range tries {
		if l.allow(pkt) {
			n++
		}
	}
	return n
}

func TestLimiterPerSubscriber(t *testing.T) {
	t.Parallel()
	l, now := testLimiter(Limits{PerSubscriber: 100})
	flooder, other := syn(dynamic4), syn("100.64.0.3")
	if n := allowed(l, flooder, 1000); n != 200 {
		t.Errorf("%d answered at once, want 200", n)
	}
	if !l.allow(other) {
		t.Error("another subscriber pays for it")
	}
	*now += time.Second
	if n := allowed(l, flooder, 1000); n != 100 {
		t.Errorf("%d answered a second later, want 100", n)
	}
	*now += time.Hour
	if n := allowed(l, flooder, 1000); n != 200 {
		t.Errorf("%d answered an hour later, want 200", n)
	}
}

// A subscriber is a delegated prefix, not an address.
func TestLimiterCountsPrefixes(t *testing.T) {
	t.Parallel()
	l, _ := testLimiter(Limits{PerSubscriber: 100})
	n := 0
	for i := range 1000 {
		n += allowed(l, syn6(fmt.Sprintf("2001:db8:a:%x::%x", i%256, i)), 1)
	}
	if n != 200 {
		t.Errorf("%d answered to one /56, want 200", n)
	}
	if !l.allow(syn6("2001:db8:a:100::1")) {
		t.Error("the next /56 pays for it")
	}
}

// However many flood, each subscriber's first attempts are answered.
func TestLimiterTotalSparesNewcomers(t *testing.T) {
	t.Parallel()
	l, _ := testLimiter(Limits{PerSubscriber: 100, Total: 500})
	var answered int
	for i := range 100 {
		answered += allowed(l, syn(fmt.Sprintf("100.64.1.%d", i)), 1000)
	}
	if want := 1000 + 100*firstAttempts; answered != want {
		t.Errorf("%d answered, want %d: the total's burst and everybody's first attempts", answered, want)
	}
	if n := allowed(l, syn("100.64.2.1"), 1000); n != firstAttempts {
		t.Errorf("a newcomer got %d answers, want %d", n, firstAttempts)
	}
}

// Sources beyond the table's size cost no memory and silence nobody.
func TestLimiterTableIsBounded(t *testing.T) {
	l, now := testLimiter(Limits{PerSubscriber: 100, Total: 500})
	pkt := syn("100.64.0.0")
	i := 0
	allocs := testing.AllocsPerRun(4*limiterSets*limiterWays, func() {
		*now += time.Microsecond
		pkt[13], pkt[14], pkt[15] = byte(64+i>>16), byte(i>>8), byte(i)
		i++
		if !l.allow(pkt) {
			t.Fatal("a newcomer is not answered")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestBucketFillsAsTimeGoesBy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, pkt := newLimiter(Limits{PerSubscriber: 1}), syn(dynamic4)
		for i, want := range []bool{true, true, false} {
			if got := l.allow(pkt); got != want {
				t.Errorf("attempt %d: allowed is %t", i, got)
			}
		}
		time.Sleep(time.Second)
		if !l.allow(pkt) {
			t.Error("nothing came back in a second")
		}
	})
}

func TestNoLimiter(t *testing.T) {
	t.Parallel()
	if l := newLimiter(Limits{Total: 500}); l != nil || !l.allow(syn(dynamic4)) {
		t.Error("limited, though PerSubscriber is 0")
	}
}

func TestLimitedRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]filter.Response{"reset": filter.RespondReset, "prohibited": filter.RespondProhibited} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *Options, s *filter.Spec) {
				o.Limits = Limits{PerSubscriber: 100}
				s.Pools[0].Response = response
			})
			for _, w := range b.router.workers {
				if w.limit != nil {
					w.limit.now = func() time.Duration { return 0 }
				}
			}
			go b.sub.empty()
			for range 300 {
				b.sub.in <- plain(syn(dynamic4))
			}
			fates := b.fates(300)
			if fates[DroppedByLimit] != 100 || fates[AnsweredReset]+fates[AnsweredProhibited] != 200 {
				t.Errorf("fates %v", fates)
			}
		})
	}
}
