// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// The tests of this file tell mutants from the code that no other test told from
// it; see docs/mutation.md.

// What only looks like an ICMP error, or like an address that no host has, is
// answered.
func TestSurvivorsAnswerable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pkt  ft.Packet
		want bool
	}{
		"IPv6, with 255 where IPv4 has the source":  {ft.UDP("[2001:db8:ff00::9]:1", "["+server6+"]:2"), true},
		"UDP, with 3 where ICMP has the type":       {ft.UDP(dynamic4+":768", server4+":2"), true},
		"IPv6, with IPv4's ICMP in it":              {ft.IP(1, dynamic6, server6).Data("\x03\x01"), true},
		"ICMP, an echo's first octet and no more":   {ft.IP(1, dynamic4, server4).Data("\x08"), true},
		"ICMPv6, an echo's first octet and no more": {ft.IP(58, dynamic6, server6).Data("\x80"), true},
		"ICMPv6, an error of the first type":        {ft.IP(58, dynamic6, server6).Data("\x01\x00\x00\x00\x00\x00\x00\x00quoted"), false},
	} {
		a := newAnswerer([]netip.Addr{netip.MustParseAddr(gateway4), netip.MustParseAddr(gateway6)})
		if got := len(a.icmp(tt.pkt.Bytes(), timeExceeded)) > 0; got != tt.want {
			t.Errorf("%s: answered is %t, want %t", name, got, tt.want)
		}
	}
}

// The figures of Linux: 50 at once, 1000 a second.
func TestSurvivorsICMPRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAnswerer([]netip.Addr{netip.MustParseAddr(gateway4)})
		pkt := ft.UDP(dynamic4+":1", server4+":2").Bytes()
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 50}, {time.Hour, 50}, {50 * time.Millisecond, 50}, {49970 * time.Microsecond, 49}} {
			time.Sleep(tt.after)
			got := 0
			for len(a.icmp(pkt, timeExceeded)) > 0 {
				got++
			}
			if got != tt.want {
				t.Errorf("%d errors %s later, want %d", got, tt.after, tt.want)
			}
		}
	})
}

// A device that has verified the checksum is believed.
func TestSurvivorsDataValid(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	f := plain(ft.TCP(dynamic4+":40000", server4+":25").Checksum(ft.Bad).Bytes())
	f[0] = 2 // VIRTIO_NET_HDR_F_DATA_VALID
	b.sub.in <- f
	if got := b.fates(1)[AnsweredReset]; got != 1 {
		t.Errorf("%d answered, want 1", got)
	}
}

// A virtio_net_hdr that points to the end of the packet, and one octet further.
func TestSurvivorsHeaderAtTheEnd(t *testing.T) {
	t.Parallel()
	for start, want := range map[int]int{27: 27, 28: 40} {
		if got := frame(vnet(make([]byte, 40), 1, 0, start, 16)).size(); got != want {
			t.Errorf("a segment at %d of 40: size %d, want %d", start, got, want)
		}
	}
	for at, want := range map[int]byte{38: 0, 39: flagNeedsChecksum} {
		f := frame(vnet(append([]byte{0x45}, make([]byte, 39)...), gsoNone, 0, 20, at-20))
		f.complete()
		if f[0] != want {
			t.Errorf("a checksum at %d of 40: flags %d, want %d", at, f[0], want)
		}
	}
}

// A virtio_net_hdr that points into the network header changes nothing there.
func TestChecksumInNetworkHeader(t *testing.T) {
	t.Parallel()
	for first, starts := range map[byte]map[int]bool{0x45: {19: false, 20: true}, 0x46: {23: false, 24: true}, 0x60: {39: false, 40: true}} {
		for start, want := range starts {
			pkt := append([]byte{first}, make([]byte, 79)...)
			f := frame(vnet(pkt, gsoNone, 0, start, 16))
			f.complete()
			if got := f[0] == 0; got != want {
				t.Errorf("%#x, start %d: completed is %t, want %t", first, start, got, want)
			}
		}
	}
}

// Where a hash's places are taken, who was quiet for the longest loses theirs.
func TestSurvivorsQuietestGivesWay(t *testing.T) {
	t.Parallel()
	l, _ := testLimiter(Limits{PerSubscriber: 100})
	spent := func(i uint64, now time.Duration) bool {
		b := l.find(i*limiterSets, now)
		b.refill(now, 0)
		defer func() { b.tokens = -1 }()
		return b.tokens < 0
	}
	for i := range uint64(4) {
		if spent(1+i, time.Second+time.Duration(i)) {
			t.Errorf("newcomer %d begins with another's account", 1+i)
		}
	}
	for _, tt := range []struct {
		who  uint64
		kept bool
	}{{1, true}, {5, false}, {1, true}, {3, true}, {4, true}, {5, true}, {2, false}, {1, false}} {
		if got := spent(tt.who, 2*time.Second+time.Duration(tt.who)); got != tt.kept {
			t.Errorf("subscriber %d: kept is %t, want %t", tt.who, got, tt.kept)
		}
	}
}

// A subscriber is the source's four octets, wherever packets go.
func TestSurvivorsSubscriber(t *testing.T) {
	t.Parallel()
	l, _ := testLimiter(Limits{PerSubscriber: 100})
	n := allowed(l, syn("100.64.0.2"), 1000) + allowed(l, ft.TCP("100.64.0.2:1", "198.51.100.9:25").Bytes(), 1000)
	if n != 200 {
		t.Errorf("%d answered to one subscriber, want 200", n)
	}
	if !l.allow(syn("101.64.0.2")) {
		t.Error("another subscriber pays for it")
	}
}

// Sixteen attempts are free; the least total there is lets two more through, and
// one a second later.
func TestSurvivorsTotal(t *testing.T) {
	t.Parallel()
	l, now := testLimiter(Limits{PerSubscriber: 100, Total: 1})
	for _, want := range []int{18, 17} {
		if n := allowed(l, syn(dynamic4), 1000); n != want {
			t.Errorf("%d answered, want %d", n, want)
		}
		*now += time.Second
	}
}

// Nothing inbound is refused with an answer, so that no table is made for it.
func TestSurvivorsInboundLimiter(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Limits = Limits{PerSubscriber: 100} })
	for _, w := range b.router.workers {
		if got, want := w.limit != nil, w.direction == filter.Outbound; got != want {
			t.Errorf("%s: limited is %t, want %t", w.direction, got, want)
		}
	}
}

// One refused frame in the counters, as metrics read them.
func TestSurvivorsStats(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	f := plain(syn(dynamic4))
	b.sub.in <- f
	b.fates(1)
	var want Stats
	want.Frames[filter.Outbound] = 1
	want.Octets[filter.Outbound] = uint64(len(f))
	want.Fates[filter.Outbound][AnsweredReset] = 1
	want.Verdicts[filter.Outbound][filter.Reset][filter.ReasonBlockedPort] = 1
	if got := b.router.Stats(); got != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// An ICMP error quotes what would have been on the wire: a checksum that the
// device was to complete is whole in it.
func TestSurvivorsQuotedChecksum(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pkt    ft.Packet
		offset int
	}{
		"time exceeded": {ft.UDP(dynamic4+":1", server4+":2").Data("hello").TTL(0), 6},
		"prohibited":    {ft.TCP(dynamic4+":1", server4+":25"), 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(_ *Options, s *filter.Spec) { s.Pools[0].Response = filter.RespondProhibited })
			b.sub.in <- vnet(tt.pkt.Checksum(ft.Partial).Bytes(), gsoNone, 0, 20, tt.offset)
			if got, want := string(take(t, b.sub)), string(tt.pkt.Bytes()); !strings.HasSuffix(got, want) {
				t.Errorf("%x\nquotes not %x", got, want)
			}
		})
	}
}

// A source that is forwarded without being known gets no ICMP error either.
func TestSurvivorsUnlisted(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *Options, s *filter.Spec) { s.ValidateSource = false })
	b.sub.in <- plain(ft.UDP("198.51.100.7:1", server4+":2").TTL(0).Bytes())
	if got := b.fates(1)[DroppedUnanswered]; got != 1 {
		t.Errorf("%d unanswered, want 1", got)
	}
	silent(t, b.sub)
}
