// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/lab"
)

const (
	// healedMessage is what the gateway logs when it has put something back.
	healedMessage = "something on this machine removed or changed what op25b set up; put back"

	// The gateway looks for itself every ten seconds: what takes less, the kernel has told
	// it. It takes milliseconds; the bounds are for machines that have no time.
	told    = 8 * time.Second
	notTold = patience

	sub, up = "op25b-sub", "op25b-up"
)

// damage is something of the gateway's that somebody takes away.
type damage struct {
	commands string // of the shell, that do it
	opts     lab.ConfigOptions
	says     []string // what the gateway says that it has put back
}

// announced is damage that the kernel tells of. Each is done in one go: of two
// repairs within a second only the first one gets its line in the log.
func announced() []damage {
	router := lab.ConfigOptions{ReturnPath: "router"}
	return []damage{
		{
			commands: "ip rule del pref 2500 iif dyn0",
			says:     []string{"ip -4 rule add pref 2500 iif dyn0 "},
		},
		{
			commands: "ip -6 rule del pref 2500 iif stat0",
			says:     []string{"ip -6 rule add pref 2500 iif stat0 "},
		},
		{
			commands: "ip -6 rule del pref 2501", opts: router,
			says: []string{"ip -6 rule add pref 2501 iif up0 "},
		},
		{
			commands: "ip rule del pref 2500 iif dyn0", opts: lab.ConfigOptions{Capture: "smtp"},
			says: []string{"ip -4 rule add pref 2500 iif dyn0 "},
		},
		{
			commands: "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default",
			says:     []string{"ip -4 rule add pref 2500 iif dyn0 ", "ip -4 rule add pref 2500 iif stat0 "},
		},
		{
			commands: "ip route flush table 25",
			says:     []string{"ip -4 route add default dev op25b-sub table 25"},
		},
		{
			commands: "ip -6 route flush table 25",
			says:     []string{"ip -6 route add default dev op25b-sub table 25"},
		},
		{
			commands: "ip route flush table 26", opts: router,
			says: []string{"ip -4 route add default dev op25b-up table 26"},
		},
		{
			commands: "ip link set op25b-sub down",
			says: []string{
				"ip link set dev op25b-sub up", "ip -4 route add default dev op25b-sub table 25",
				"ip -6 route add default dev op25b-sub table 25",
			},
		},
		{
			commands: "ip link set op25b-up down", opts: router,
			says: []string{
				"ip link set dev op25b-up up", "ip -4 route add default dev op25b-up table 26",
				"ip -6 route add default dev op25b-up table 26",
			},
		},
		{commands: "ip link set op25b-sub mtu 1300", says: []string{"ip link set dev op25b-sub mtu 1500"}},
		{commands: "ip link set op25b-up mtu 9000", says: []string{"ip link set dev op25b-up mtu 1500"}},
		{
			// The IPv4 route goes with the last address, and nobody is told of that.
			commands: "ip addr flush dev op25b-sub",
			says: []string{
				"ip addr add 192.0.0.8/32 dev op25b-sub scope host", "ip -4 route add default dev op25b-sub table 25",
			},
		},
		{
			commands: "ip addr flush dev op25b-up", opts: router,
			says: []string{
				"ip addr add 192.0.0.8/32 dev op25b-up scope host", "ip -4 route add default dev op25b-up table 26",
			},
		},
		{
			commands: "sysctl -q -w net.ipv4.conf.op25b-up.rp_filter=1",
			says:     []string{"sysctl -w net.ipv4.conf.op25b-up.rp_filter=2"},
		},
		{
			commands: "sysctl -q -w net.ipv4.conf.op25b-sub.forwarding=0",
			says:     []string{"sysctl -w net.ipv4.conf.op25b-sub.forwarding=1"},
		},
	}
}

// quiet is damage of which the kernel does not tell, or only netfilter does.
func quiet() []damage {
	guard := []string{"nft table inet op25b"}
	return []damage{
		{
			commands: "sysctl -q -w net.ipv4.conf.op25b-up.send_redirects=1",
			says:     []string{"sysctl -w net.ipv4.conf.op25b-up.send_redirects=0"},
		},
		{commands: "nft flush ruleset", says: guard}, // as every reload of a firewall does
		{commands: "nft delete table inet op25b", opts: lab.ConfigOptions{Capture: "smtp"}, says: guard},
		{commands: "nft flush table inet op25b", says: guard},
		{commands: "nft flush chain inet op25b guard4", says: guard},
		{commands: "nft flush set inet op25b sources4", says: guard},
	}
}

// TestPutBack has somebody take away, piece by piece, what the gateway has set up. It
// puts that back and says what it was, in one line.
func TestPutBack(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "nft", "sysctl", "ping")
	for _, d := range announced() {
		t.Run(d.commands, func(t *testing.T) {
			t.Parallel()
			d.inflict(t).wantHealed(t, told)
		})
	}
	// They are found ten seconds later: all of them can wait at the same time.
	t.Run("quiet", func(t *testing.T) {
		t.Parallel()
		var all []*patient
		for _, d := range quiet() {
			all = append(all, d.inflict(t))
		}
		for _, p := range all {
			p.wantHealed(t, notTold)
		}
	})
}

// patient is a gateway that damage was done to.
type patient struct {
	damage  damage
	network *lab.Network
	gateway *lab.Gateway
	before  string // the state of its kernel
	since   time.Time
}

// inflict starts a gateway and does the damage.
func (d damage) inflict(t testing.TB) *patient {
	t.Helper()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	p := &patient{damage: d, network: n, gateway: startGateway(t, n, d.opts), before: sortedState(n), since: time.Now()}
	breakIt(t, n, d.commands)
	return p
}

// wantHealed waits for the gateway to put everything back, and wants it to say so.
func (p *patient) wantHealed(t testing.TB, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	line, err := p.gateway.WaitLog(ctx, healedMessage, 1)
	if err != nil {
		t.Errorf("%s: %v", p.damage.commands, err)
		return
	}
	stamp, _ := line["ts"].(string)
	when, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		t.Fatal(err)
	}
	took := when.Sub(p.since).Round(time.Millisecond)
	t.Logf("%s: put back after %s", p.damage.commands, took)
	if took > within {
		t.Errorf("%s: put back after %s, want %s at most", p.damage.commands, took, within)
	}
	for _, want := range p.damage.says {
		if said := fmt.Sprint(line["commands"]); !strings.Contains(said, want) {
			t.Errorf("%s: want %q in what was put back: %s", p.damage.commands, want, said)
		}
	}
	wantAsBefore(t, p.network, p.before, p.damage.commands)
	wantPolicy(t, p.network)
	if lines := strings.Count(p.gateway.Logs(), healedMessage); lines != 1 {
		t.Errorf("%s: %d lines in the log about what was put back, want one", p.damage.commands, lines)
	}
	stopAndCount(t, p.gateway)
}

// wantAsBefore waits for the gateway's kernel to have the state before again, and
// says what differs if it never has.
func wantAsBefore(t testing.TB, n *lab.Network, before, what string) {
	t.Helper()
	var now string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if now = sortedState(n); now == before {
			return
		}
	}
	t.Fatalf("%s: after %s the machine is not as before (-before +now):\n%s", what, patience,
		cmp.Diff(strings.Split(before, "\n"), strings.Split(now, "\n")))
}

// breakIt runs shell commands in the gateway.
func breakIt(t testing.TB, n *lab.Network, commands string) {
	t.Helper()
	mustRun(t, n.Gateway, "sh", "-e", "-c", commands)
}

// sortedState is the state of the gateway's kernel without an order: what is put
// back goes behind what is alike.
func sortedState(n *lab.Network) string {
	lines := strings.Split(kernelState(n.Gateway), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestFollowsMTU has the upstream's MTU change while the gateway runs.
func TestFollowsMTU(t *testing.T) {
	t.Parallel()
	needTools(t, "ping", "ip")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := startGateway(t, n, lab.ConfigOptions{})
	for _, mtu := range []int{smallMTU, 1500} {
		for _, end := range []struct {
			node *lab.Node
			link string
		}{{n.Gateway, lab.LinkUpstream}, {n.Transit, lab.LinkTransitGateway}} {
			if err := end.node.SetMTU(end.link, mtu); err != nil {
				t.Fatal(err)
			}
		}
		changed := time.Now()
		for _, port := range []string{sub, up} {
			eventually(t, fmt.Sprintf("MTU of %s is %d", port, mtu), func() bool {
				return strings.Contains(mustRun(t, n.Gateway, "ip", "link", "show", port), fmt.Sprintf("mtu %d ", mtu))
			})
		}
		if took := time.Since(changed); took > told {
			t.Errorf("it took %s to follow an MTU of %d, want %s at most", took, mtu, told)
		}
		for _, f := range n.Families() {
			if mtu == smallMTU {
				wantTooBig(t, n.Dynamic, f.Addrs().Internet, f, gatewayAddresses(f))
			}
			wantConnected(t, n.Static, at(f.Addrs().MX, lab.PortSMTP))
			wantRefused(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
		}
	}
	stopAndCount(t, g)
}

// TestRealLinksFlap takes the machine's own links down and up.
func TestRealLinksFlap(t *testing.T) {
	t.Parallel()
	needTools(t, "ping", "ip")
	for _, link := range []string{lab.LinkDynamic, lab.LinkUpstream} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startServer(t, n)
			g := startGateway(t, n, lab.ConfigOptions{ReturnPath: "router"})
			if err := n.Gateway.SetLinkDown(link); err != nil {
				t.Fatal(err)
			}
			if err := n.Gateway.SetLinkUp(link); err != nil {
				t.Fatal(err)
			}
			if err := n.Gateway.WaitLink(link); err != nil {
				t.Fatal(err)
			}
			wantPolicy(t, n)
			if out, _ := stopAndCount(t, g); out.fates["answered_reset"] == 0 {
				t.Error("after the flap the gateway sees no traffic")
			}
		})
	}
}

// TestForeignThingsStay runs, stops, crashes and cleans up beside what others have
// on the machine, some of it where ours is.
func TestForeignThingsStay(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "nft")
	n := newNetwork(t, lab.Options{})
	loadRules(t, n.Gateway, masqueradeRules+firewallRules+`
		table ip op25b {
			set ports {
				type inet_service
				elements = { 25 }
			}
		}`)
	breakIt(t, n, `
		ip link add foreign0 type veth peer name foreign1; ip link set foreign0 up;
		ip tuntap add dev foreign2 mode tun; ip addr add 198.18.0.1/24 dev foreign0;
		ip rule add pref 2400 iif foreign0 lookup 100; ip rule add pref 2500 iif foreign0 lookup 25;
		ip rule add pref 2500 iif foreign0 lookup 100 protocol 25; ip rule add pref 2600 fwmark 7 lookup 26;
		ip -6 rule add pref 2500 iif foreign0 lookup 25; ip route add 198.18.7.0/24 via 198.51.100.2 table 100;
		ip -6 route add 2001:db8:7::/48 via 2001:db8:ff::2 table 100;
		ip route add 198.18.8.0/24 via 198.51.100.2 proto 25 table 100`) // even what has our protocol number
	before := kernelState(n.Gateway)
	still := func(when string) {
		t.Helper()
		now := strings.Split(kernelState(n.Gateway), "\n")
		for line := range strings.SplitSeq(before, "\n") {
			if !slices.Contains(now, line) {
				t.Errorf("%s: gone: %q", when, line)
			}
		}
	}
	for _, opts := range modes("auto") {
		g := startGateway(t, n, opts)
		still("up")
		stopAndCount(t, g)
		still("stopped")
		if err := startGateway(t, n, opts).Kill(); err != nil {
			t.Fatal(err)
		}
		still("killed")
		cleanUp(t, n)
		if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
			t.Errorf("%s, cleaned up (-before +after):\n%s", modeName(opts), diff)
		}
	}
}
