// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// TestListen has a subscriber and the upstream talk to a server of the router's own.
func TestListen(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]string{"IPv4": dynamic4 + ":40000", "IPv6": "[" + dynamic6 + "]:40000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			at := netip.AddrPortFrom(netip.MustParseAddr(router4), 80)
			if name == "IPv6" {
				at = netip.AddrPortFrom(netip.MustParseAddr(router6), 80)
			}
			l, err := b.router.Listen(at)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, conn.RemoteAddr().String())
			}()
			c := &caller{t: t, b: b, from: from, to: at.String(), seq: 1000}
			if got := c.dial(); got != from {
				t.Errorf("the server sees %q, want %q", got, from)
			}
			silent(t, b.up)
			// Other ports are as closed as before.
			other := &caller{t: t, b: b, from: from, to: netip.AddrPortFrom(at.Addr(), 81).String()}
			other.send(ft.SYN, "")
		})
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	at := netip.AddrPortFrom(netip.MustParseAddr(router4), 80)
	first, err := b.router.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := b.router.Listen(at); err == nil || !strings.Contains(err.Error(), at.String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := b.router.Listen(netip.MustParseAddrPort("203.0.113.99:80")); err == nil || !strings.Contains(err.Error(), "own addresses") {
		t.Errorf("somebody else's address: %v", err)
	}
	_ = first.Close()
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener accepts: %v", err)
	}
	without := newBench(t, func(o *Options, _ *filter.Spec) { o.Host = nil })
	if _, err := without.router.Listen(at); !errors.Is(err, ErrNoHost) {
		t.Errorf("without a host side: %v", err)
	}
}
