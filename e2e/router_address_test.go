// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/lab"
)

// routerAddress is the gateway's own, in no subscriber's pool.
func routerAddress(f lab.Family) netip.Addr {
	if f == lab.IPv6 {
		return netip.MustParseAddr("2001:db8:ffff::250")
	}
	return netip.MustParseAddr("192.0.2.250")
}

func withAddresses(opts lab.ConfigOptions) lab.ConfigOptions {
	opts.Set = map[string]string{
		"tunnel.addresses": fmt.Sprintf("[%q, %q]", routerAddress(lab.IPv4), routerAddress(lab.IPv6)),
	}
	return opts
}

// TestRouterAddress talks to the gateway itself, as a customer's support does: it
// answers ping, and refuses connections like any host without services.
func TestRouterAddress(t *testing.T) {
	t.Parallel()
	needTools(t, "ping", "traceroute")
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			g := startGateway(t, n, withAddresses(lab.ConfigOptions{ReturnPath: returnPath}))
			for _, f := range n.Families() {
				router := routerAddress(f)
				for _, from := range []*lab.Node{n.Dynamic, n.Static} {
					wantPing(t, from, router)
					wantPing(t, from, router, "-s", "1400")
					for _, port := range []uint16{lab.PortSMTP, lab.PortWeb, 443} {
						t.Logf("%s to %s: refused after %s", f, at(router, port), wantRefused(t, from, at(router, port)))
					}
				}
				way := []netip.Addr{f.Addrs().GatewayDynamic, router}
				if diff := cmp.Diff(way, traceroute(t, n.Dynamic, router, "-I"), byString()); diff != "" {
					t.Errorf("traceroute to the gateway's address (-want +got):\n%s", diff)
				}
			}
			stopAndCount(t, g)
		})
	}
}

// TestErrorsCarryRouterAddress looks where the gateway's own ICMP errors come from.
func TestErrorsCarryRouterAddress(t *testing.T) {
	t.Parallel()
	needTools(t, "tcpdump")
	for _, tt := range []struct {
		name string
		opts lab.ConfigOptions
		from func(f lab.Family) netip.Addr
	}{
		{
			"of its own", withAddresses(lab.ConfigOptions{Response: "prohibited"}),
			routerAddress,
		},
		{
			"of the subscribers' interface", lab.ConfigOptions{Response: "prohibited"},
			func(f lab.Family) netip.Addr { return f.Addrs().GatewayDynamic },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			g := startGateway(t, n, tt.opts)
			for _, f := range n.Families() {
				seen := startCapture(t, n.Dynamic, lab.LinkHost, "dst host "+f.Addrs().Dynamic.String()+" and (icmp[0] == 3 or icmp6[0] == 1)")
				// A client may go on trying after such an error; what it does is its own affair.
				got := dial(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
				t.Logf("%s: client sees %q after %s", f, got.outcome, got.took)
				want := fmt.Sprintf("%s > %s: ", tt.from(f), f.Addrs().Dynamic)
				if decoded := seen.stop(t, 1); !strings.Contains(decoded, want) || !strings.Contains(decoded, "prohibited") {
					t.Errorf("%s: want %q and \"prohibited\" in:\n%s", f, want, decoded)
				}
			}
			stopAndCount(t, g)
		})
	}
}
