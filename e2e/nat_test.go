// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"op25b/lab"
)

// masqueradeRules are what a home router, or a small ISP, has on such a machine.
const masqueradeRules = `
table inet nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname "up0" masquerade
	}
}
`

// firewallRules are the least that a stateful firewall with policy drop needs
// beside op25b: the subscribers' interfaces and both of op25b's. A packet passes it
// twice, into the TUN and out of it, and is tracked only the second time.
const firewallRules = `
table inet firewall {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state invalid drop
		ct state established,related accept
		iifname { "dyn0", "stat0", "op25b-sub", "op25b-up" } accept
	}
}
`

// TestMasquerade puts the gateway on a machine that translates addresses, with and
// without a firewall. The next router knows no way back to the subscribers: nothing
// works unless it is translated.
func TestMasquerade(t *testing.T) {
	t.Parallel()
	needTools(t, "nft", "ip", "ping", "iperf3")
	for _, opts := range modes("auto") {
		for name, rules := range map[string]string{"": "", ", firewall": firewallRules} {
			t.Run(modeName(opts)+name, func(t *testing.T) {
				n := natNetwork(t, lab.Options{})
				loadRules(t, n.Gateway, rules)
				server := startServer(t, n)
				g := startGateway(t, n, opts)
				for _, f := range n.Families() {
					a := f.Addrs()
					wantServed(t, n.Dynamic, f)
					wantServed(t, n.Static, f)
					wantRefused(t, n.Dynamic, at(a.MX, lab.PortSMTP))
					wantConnected(t, n.Dynamic, at(a.MSA, lab.PortSMTP))
					wantConnected(t, n.Static, at(a.MX, lab.PortSMTP))
					iperf(t, n.Dynamic, n.Internet, at(a.Internet, portIperf), "-n 5M")
					iperf(t, n.Dynamic, n.Internet, at(a.Internet, portIperf), "-n 5M -R")
				}
				want := []netip.Addr{lab.IPv4.Addrs().GatewayUpstream, lab.IPv6.Addrs().GatewayUpstream}
				for _, client := range server.clients() {
					if !slices.Contains(want, client) {
						t.Errorf("a client came as %s, want %v", client, want)
					}
				}
				if out, _ := stopAndCount(t, g); out.frames == 0 {
					t.Error("nothing went through the gateway")
				}
			})
		}
	}
}

// TestConnectionOutlivesGateway keeps connections going while the gateway comes and
// goes beneath them, on a machine that translates and on one that does not.
func TestConnectionOutlivesGateway(t *testing.T) {
	t.Parallel()
	needTools(t, "nft", "ip")
	for _, nat := range []bool{true, false} {
		for _, returnPath := range []string{"kernel", "router"} {
			t.Run(fmt.Sprintf("masquerade %t, %s", nat, returnPath), func(t *testing.T) {
				t.Parallel()
				build := newNetwork
				if nat {
					build = natNetwork
				}
				n := build(t, lab.Options{})
				startServer(t, n)
				var talks []*talk
				begin := func() {
					for _, f := range n.Families() {
						talks = append(talks, startTalk(t, n.Dynamic, at(f.Addrs().Internet, lab.PortEcho)))
						talks = append(talks, startTalk(t, n.Static, at(f.Addrs().MX, lab.PortSMTP)))
					}
				}
				goOn := func(when string) {
					for _, c := range talks {
						c.goOn(t, when)
					}
				}
				opts := lab.ConfigOptions{ReturnPath: returnPath}
				begin()
				g := startGateway(t, n, opts)
				goOn("after the start")
				begin()
				kill(t, n, g)
				goOn("after kill -9")
				begin()
				g = startGateway(t, n, opts)
				goOn("after the second start")
				begin()
				stopAndCount(t, g)
				goOn("after the stop")
			})
		}
	}
}

// TestFirewall proves that the rules above, and those in the documentation, let all
// of the gateway's work through and nothing from the internet that nobody asked for,
// with the gateway up, crashed and stopped.
func TestFirewall(t *testing.T) {
	t.Parallel()
	needTools(t, "nft", "ping")
	for name, rules := range map[string]string{"least": firewallRules, "documented": documentedRules(t)} {
		for _, opts := range modes("auto") {
			t.Run(name+", "+modeName(opts), func(t *testing.T) {
				t.Parallel()
				testFirewall(t, rules, opts)
			})
		}
	}
}

var nftBlock = regexp.MustCompile("(?s)```nft\n(.*?)```")

// documentedRules returns the rules that docs/firewall.md shows, for this network.
func documentedRules(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/firewall.md")
	if err != nil {
		t.Fatal(err)
	}
	match := nftBlock.FindSubmatch(page)
	if match == nil {
		t.Fatal("docs/firewall.md has no nft rules")
	}
	return strings.NewReplacer(`"eth1"`, `{ "dyn0", "stat0" }`, `"eth0"`, `"up0"`).Replace(string(match[1]))
}

func testFirewall(t *testing.T, rules string, opts lab.ConfigOptions) {
	t.Helper()
	n := newNetwork(t, lab.Options{})
	for _, f := range n.Families() {
		wantPing(t, n.Internet, f.Addrs().Dynamic) // nothing else keeps it out
	}
	loadRules(t, n.Gateway, rules)
	startServer(t, n)
	check := func(when string) {
		for _, f := range n.Families() {
			if answered, _ := pings(t, n.Internet, f.Addrs().Dynamic, "-W", "0.2"); answered {
				t.Errorf("%s: from the internet into the %s network of subscribers", when, f)
			}
			wantServed(t, n.Dynamic, f)
			wantRefused(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
			wantConnected(t, n.Dynamic, at(f.Addrs().MSA, lab.PortSMTP))
			wantConnected(t, n.Static, at(f.Addrs().MX, lab.PortSMTP))
		}
	}
	g := startGateway(t, n, opts)
	check("up")
	kill(t, n, g)
	check("killed")
	stopAndCount(t, startGateway(t, n, opts))
	check("stopped")
}

// TestMasqueradeLearnsPathMTU has an ICMP error from beyond find its way through
// the translation to the sender.
func TestMasqueradeLearnsPathMTU(t *testing.T) {
	t.Parallel()
	needTools(t, "nft", "ip", "ping")
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			n := natNetwork(t, lab.Options{InternetMTU: smallMTU})
			g := startGateway(t, n, lab.ConfigOptions{ReturnPath: returnPath})
			for _, f := range n.Families() {
				wantTooBig(t, n.Dynamic, f.Addrs().Internet, f, []netip.Addr{f.Addrs().TransitGateway})
			}
			stopAndCount(t, g)
		})
	}
}

// natNetwork builds a network whose gateway translates, and whose next router has
// no way back to subscribers.
func natNetwork(t testing.TB, opts lab.Options) *lab.Network {
	t.Helper()
	n := newNetwork(t, opts)
	loadRules(t, n.Gateway, masqueradeRules)
	for _, f := range n.Families() {
		a := f.Addrs()
		for _, subscriber := range []netip.Addr{a.Dynamic, a.Static} {
			mustRun(t, n.Transit, "ip", "route", "add", "blackhole", subscriber.String())
		}
	}
	return n
}

// loadRules loads rules by nft.
func loadRules(t testing.TB, node *lab.Node, rules string) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out := runCmd(t, node, cmd); out.code != 0 {
		t.Fatalf("nft: %s", out.stderr)
	}
}

// wantServed wants TCP, UDP and ICMP echoes, a fragmented one among them.
func wantServed(t testing.TB, from *lab.Node, f lab.Family) {
	t.Helper()
	a := f.Addrs()
	startTalk(t, from, at(a.Internet, lab.PortEcho)).goOn(t, "at once")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := from.AskEcho(ctx, at(a.Internet, lab.PortEcho), []byte("hello")); err != nil {
		t.Errorf("%s: UDP echo: %v", from.Name(), err)
	}
	wantPing(t, from, a.Internet)
	wantPing(t, from, a.Internet, "-s", "8000")
}

// server answers TCP and UDP in the internet: echoes at the internet's own address,
// and TCP echoes at port 25 of the mail servers.
type server struct {
	mu   sync.Mutex
	from []netip.Addr
}

// startServer starts it for the life of the network.
func startServer(t testing.TB, n *lab.Network) *server {
	t.Helper()
	if _, err := n.StartEcho(); err != nil {
		t.Fatal(err)
	}
	s := &server{}
	for _, f := range n.Families() {
		a := f.Addrs()
		for _, to := range []netip.AddrPort{at(a.Internet, lab.PortEcho), at(a.MX, lab.PortSMTP), at(a.MSA, lab.PortSMTP)} {
			listener, err := n.Internet.Listen("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			go s.serve(listener)
		}
	}
	return s
}

// serve ends when the network closes the listener.
func (s *server) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if from, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
			s.mu.Lock()
			s.from = append(s.from, from.Addr())
			s.mu.Unlock()
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

// clients returns the addresses that connections came from.
func (s *server) clients() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.from)
}

// talk is a TCP connection to an echo.
type talk struct {
	conn net.Conn
	said int
}

// startTalk connects; the connection ends with the test.
func startTalk(t testing.TB, from *lab.Node, to netip.AddrPort) *talk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		t.Fatalf("%s: %v", from.Name(), err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &talk{conn: conn}
}

// goOn says something and waits for the echo.
func (c *talk) goOn(t testing.TB, when string) {
	t.Helper()
	c.said++
	word := fmt.Appendf(nil, "word %d", c.said)
	echo := make([]byte, len(word))
	err := c.conn.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = c.conn.Write(word)
	}
	if err == nil {
		_, err = io.ReadFull(c.conn, echo)
	}
	if err != nil || string(echo) != string(word) {
		t.Errorf("connection %s to %s %s: said %q, echo %q: %v", c.conn.LocalAddr(), c.conn.RemoteAddr(), when, word, echo, err)
	}
}
