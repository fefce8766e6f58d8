// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"op25b/lab"
)

const smallMTU = 1400

// bottleneck is a way with a smaller MTU somewhere, 1500 elsewhere.
type bottleneck struct {
	name string
	opts lab.Options
	mtu  string // tunnel.mtu
	// small is the small link, where opts do not make it so.
	small func(n *lab.Network) (*lab.Node, string)
	// host is the other end, where that is a host: it must not know from its own
	// link what it is to find out.
	host func(n *lab.Network) *lab.Node
	// inbound: packets go from the internet to the subscriber.
	inbound bool
	// reporter says who has to tell the sender; any of its addresses will do.
	reporter func(f lab.Family) []netip.Addr
}

func bottlenecks() []bottleneck {
	transit := func(f lab.Family) []netip.Addr { return []netip.Addr{f.Addrs().TransitGateway} }
	dynamic := func(n *lab.Network) *lab.Node { return n.Dynamic }
	internet := func(n *lab.Network) *lab.Node { return n.Internet }
	dynamicLink := func(n *lab.Network) (*lab.Node, string) { return n.Gateway, lab.LinkDynamic }
	return []bottleneck{
		{name: "behind the next router", opts: lab.Options{InternetMTU: smallMTU}, host: internet, reporter: transit},
		{name: "on the uplink", opts: lab.Options{UpstreamMTU: smallMTU}, reporter: gatewayAddresses},
		{name: "on the uplink, tunnel.mtu 1500", opts: lab.Options{UpstreamMTU: smallMTU}, mtu: "1500", reporter: gatewayAddresses},
		{name: "tunnel.mtu alone", mtu: fmt.Sprint(smallMTU), reporter: gatewayAddresses},
		{name: "on the subscriber's link", small: dynamicLink, host: dynamic, inbound: true, reporter: gatewayAddresses},
		{name: "on the subscriber's link, tunnel.mtu 1500", small: dynamicLink, host: dynamic, mtu: "1500", inbound: true, reporter: gatewayAddresses},
	}
}

// gatewayAddresses are those that the machine itself may send ICMP errors from.
func gatewayAddresses(f lab.Family) []netip.Addr {
	return []netip.Addr{f.Addrs().GatewayDynamic, f.Addrs().GatewayUpstream}
}

// narrow makes the way small; the host at its end knows, or not.
func (b *bottleneck) narrow(t *testing.T, n *lab.Network, hostKnows bool) {
	t.Helper()
	if b.small != nil {
		node, link := b.small(n)
		setMTU(t, node, link, smallMTU)
	}
	switch {
	case b.host == nil:
	case hostKnows:
		setMTU(t, b.host(n), lab.LinkHost, smallMTU)
	default:
		setMTU(t, b.host(n), lab.LinkHost, 1500)
	}
}

func setMTU(t *testing.T, node *lab.Node, link string, mtu int) {
	t.Helper()
	if err := node.SetMTU(link, mtu); err != nil {
		t.Fatal(err)
	}
}

// TestPathMTU sends packets that do not fit through every bottleneck, with and
// without leave to fragment them, and bulk TCP, which has to find the size that
// fits by itself. A super-packet is larger than any MTU, and must not be judged by
// its own size.
func TestPathMTU(t *testing.T) {
	needTools(t, "ping", "iperf3")
	for _, b := range bottlenecks() {
		for _, returnPath := range []string{"kernel", "router"} {
			t.Run(b.name+", "+returnPath, func(t *testing.T) {
				n := newNetwork(t, b.opts)
				b.narrow(t, n, false)
				opts := lab.ConfigOptions{ReturnPath: returnPath}
				if b.mtu != "" {
					opts.Set = map[string]string{"tunnel.mtu": b.mtu}
				}
				g := startGateway(t, n, opts)
				for _, f := range n.Families() {
					t.Run(f.String(), func(t *testing.T) { b.test(t, n, f) })
				}
				stopAndCount(t, g)
			})
		}
	}
}

func (b *bottleneck) test(t *testing.T, n *lab.Network, f lab.Family) {
	t.Helper()
	a := f.Addrs()
	from, to := n.Dynamic, a.Web
	directions := []string{"", "-R"}
	if b.inbound {
		from, to = n.Internet, a.Dynamic
	}
	if b.host != nil { // what a host sends by its own small link never gets further
		directions = directions[:1]
		if b.inbound {
			directions = []string{"-R"}
		}
	}
	// Bulk first: ping would teach the sender what it has to find out.
	b.narrow(t, n, false)
	for _, direction := range directions {
		args := "-n 20M " + direction
		got := iperf(t, n.Dynamic, n.Internet, at(a.Internet, portIperf), args)
		t.Logf("TCP %s: %s", args, got)
		const stalled = 8 * 5e6 // bit/s, a hundredth of what it takes when the MTU is known
		if got.bits < stalled {
			t.Errorf("TCP %s: %s, want more", args, got)
		}
	}
	b.narrow(t, n, true)
	wantTooBig(t, from, to, f, b.reporter(f))
	// Now the sender knows and cuts its packets up itself; the other side has yet
	// to learn, by an answer that is lost.
	eventually(t, "answer to a fragmented ping", func() bool {
		answered, _ := pings(t, from, to, "-M", "want", "-s", "4000", "-W", "0.5")
		return answered
	})
	if f == lab.IPv4 {
		wantPing(t, from, to, "-M", "dont", "-s", "1472")
		wantPing(t, from, to, "-M", "dont", "-s", "4000")
	}
}

var tooBig = regexp.MustCompile(`(?m)^From (\S+) icmp_seq=1 (?:Frag needed and DF set \(mtu = (\d+)\)|Packet too big: mtu=(\d+))`)

// wantTooBig sends a full packet that must not be fragmented, and wants one of the
// reporters to tell the MTU.
func wantTooBig(t *testing.T, from *lab.Node, to netip.Addr, f lab.Family, reporters []netip.Addr) {
	t.Helper()
	size := "1472"
	if f == lab.IPv6 {
		size = "1452"
	}
	// Forget what bulk TCP has taught.
	mustRun(t, from, "ip", "-4", "route", "flush", "cache")
	mustRun(t, from, "ip", "-6", "route", "flush", "cache")
	_, said := pings(t, from, to, "-M", "do", "-s", size)
	match := tooBig.FindStringSubmatch(said)
	if match == nil {
		t.Errorf("nobody says that the packet is too big:\n%s", said)
		return
	}
	if reporter, err := netip.ParseAddr(match[1]); err != nil || !slices.Contains(reporters, reporter) {
		t.Errorf("%s says that the packet is too big, want one of %v", match[1], reporters)
	}
	if mtu := match[2] + match[3]; mtu != strconv.Itoa(smallMTU) {
		t.Errorf("told an MTU of %s, want %d", mtu, smallMTU)
	}
}
