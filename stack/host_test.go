// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"strings"
	"testing"

	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

func TestRouterAnswersEcho(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.sub.in <- plain(ft.ICMP(dynamic4, router4).Data("payload!").Bytes())
	reply := header.IPv4(take(t, b.sub)[HeaderSize:])
	if reply.SourceAddress().String() != router4 || header.ICMPv4(reply.Payload()).Type() != header.ICMPv4EchoReply {
		t.Errorf("no echo reply: %x", []byte(reply))
	}
	b.sub.in <- plain(ft.ICMP(static6, router6).Bytes())
	reply6 := header.IPv6(take(t, b.sub)[HeaderSize:])
	if reply6.SourceAddress().String() != router6 || header.ICMPv6(reply6.Payload()).Type() != header.ICMPv6EchoReply {
		t.Errorf("no echo reply: %x", []byte(reply6))
	}
	silent(t, b.up)
}

// From the upstream the answer goes back to the upstream.
func TestRouterAnswersBothSides(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.up.in <- plain(ft.ICMP(server4, router4).Bytes())
	if reply := header.IPv4(take(t, b.up)[HeaderSize:]); reply.DestinationAddress().String() != server4 {
		t.Errorf("no echo reply: %x", []byte(reply))
	}
	silent(t, b.sub)
}

// Ports of the router are closed, 25 too, whoever asks.
func TestRouterRefusesTCP(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]string{"dynamic": dynamic4, "static": static4} {
		for _, port := range []string{":25", ":80"} {
			t.Run(name+port, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, nil)
				syn := ft.TCP(from+":40000", router4+port).Seq(1000)
				b.sub.in <- vnet(syn.Checksum(ft.Partial).Bytes(), gsoNone, 0, 20, 16)
				if _, _, tcp := segment(take(t, b.sub)[HeaderSize:]); !tcp.Flags().Contains(header.TCPFlagRst) || tcp.AckNumber() != 1001 {
					t.Errorf("no RST: %s", tcp.Flags())
				}
				silent(t, b.up)
			})
		}
	}
}

// Without a host side nothing is made for it, and what would go there is counted.
func TestNoHostSide(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Host = nil })
	b.sub.in <- plain(ft.ICMP(dynamic4, router4).Bytes())
	if got := b.fates(1)[DroppedByHost]; got != 1 {
		t.Errorf("%d dropped, want 1", got)
	}
}

// The host side takes no super-packets: it offers none, so that nobody honest
// sends one.
func TestHostTakesNoSegments(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	segments := ft.TCP(dynamic4+":40000", router4+":80").Flags(ft.ACK).Data(strings.Repeat("x", 4000))
	b.sub.in <- vnet(segments.Checksum(ft.Partial).Bytes(), 1 /* VIRTIO_NET_HDR_GSO_TCPV4 */, 1448, 20, 16)
	if got := b.fates(1)[DroppedByHost]; got != 1 {
		t.Errorf("%d dropped, want 1", got)
	}
	silent(t, b.sub)
}

// One subscriber's flood leaves room for the others.
func TestHostIsShared(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.router.host.limit.SetLimit(rate.Inf) // what all have together is another matter
	go b.sub.empty()
	const sent = 4 * hostShare
	for range sent {
		b.sub.in <- plain(ft.UDP(dynamic4+":1", router4+":9").Bytes())
	}
	dropped := b.fates(sent)[DroppedByHost]
	if dropped < hostShare {
		t.Errorf("%d of %d dropped: one subscriber has more than a share", dropped, sent)
	}
	b.sub.in <- plain(ft.ICMP(static4, router4).Bytes())
	if got := b.fates(sent + 1)[DroppedByHost]; got != dropped {
		t.Error("another one was dropped")
	}
}

// A flood to the router must not take a worker's time without end.
func TestHostIsLimited(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.router.host.limit.SetLimit(0) // nothing but the burst
	go b.sub.empty()
	const sent = 2 * hostBurst
	for range sent {
		b.sub.in <- plain(ft.ICMP(dynamic4, router4).Bytes())
	}
	if fates := b.fates(sent); fates[DroppedByHost] != sent-hostBurst || fates[HandedToHost] != hostBurst {
		t.Errorf("%d handed over, %d dropped, want %d each", fates[HandedToHost], fates[DroppedByHost], hostBurst)
	}
}
