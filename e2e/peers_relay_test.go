// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"op25b/lab"
)

// The two interfaces of a relay.
const (
	relaySubscriber = "bench-sub"
	relayUpstream   = "bench-up"
)

// relays returns what stands between two TUN interfaces without looking at packets,
// and gVisor's network stack, which routes.
func relays() []peer {
	relay, forwarder := builtOnce(buildRelay), builtOnce(buildForwarder)
	prefix := netip.PrefixFrom(lab.IPv4.Addrs().Dynamic, 24).Masked().String()
	return []peer{
		relayPeer(relayKernel, "C relay from TUN to TUN, out only", "", relay, relaySubscriber, relayUpstream),
		relayPeer(relayRouter, "C relay, both ways", relayUpstream, relay, relaySubscriber, relayUpstream),
		relayPeer("wireguard", "relay on wireguard-go's tun package, both ways", relayUpstream,
			forwarder, "wireguard", relaySubscriber, relayUpstream),
		relayPeer("netstack", "gVisor's network stack routing, both ways", relayUpstream,
			forwarder, "netstack", relaySubscriber, relayUpstream, prefix),
		relayPeer("netstack_bulk", "the same, with super-packets", relayUpstream,
			forwarder, "netstack-bulk", relaySubscriber, relayUpstream, prefix),
	}
}

// relayPeer is a program that makes the two interfaces and says "ready". What the
// subscriber sends is routed into the first; what comes in from the upstream into the
// second, or, where upstream is empty, nowhere but home.
func relayPeer(name, mode, upstream string, build func(testing.TB) string, args ...string) peer {
	p := peer{name: name, mode: mode, subscriber: relaySubscriber, upstream: upstream}
	p.start = func(b *testing.B, n *lab.Network) (int, func()) {
		b.Helper()
		program := start(b, n.Gateway, build(b), args...)
		program.waitOutput(b, "ready")
		bringUp(b, n, relaySubscriber)
		bringUp(b, n, relayUpstream)
		undo := []func(){divert(b, n, lab.LinkDynamic, relaySubscriber)}
		if upstream != "" {
			undo = append(undo, divert(b, n, lab.LinkUpstream, upstream))
		}
		return program.cmd.Process.Pid, func() {
			for _, f := range undo {
				f()
			}
			select {
			case <-program.ended:
				b.Errorf("%s ended before its time: %v\n%s", name, program.err, program.output())
			default:
				_ = program.cmd.Process.Kill() // it may be ending by itself
				program.wait(b)
			}
		}
	}
	return p
}

// bringUp makes a relay's interface carry IPv4 and say nothing of its own accord.
func bringUp(b *testing.B, n *lab.Network, link string) {
	b.Helper()
	if len(n.Families()) > 1 {
		if err := n.Gateway.SetSysctl("net.ipv6.conf."+link+".disable_ipv6", "1"); err != nil {
			b.Fatal(err)
		}
	}
	if err := n.Gateway.SetLinkUp(link); err != nil {
		b.Fatal(err)
	}
}

// divert routes what comes in by one link into another. What leaves that one again
// takes the main table. The route goes with the interface.
func divert(b *testing.B, n *lab.Network, from, to string) (undo func()) {
	b.Helper()
	const tables = 2500 // the interface's index is added
	link, err := n.Gateway.Netlink().LinkByName(to)
	if err != nil {
		b.Fatal(err)
	}
	table := strconv.Itoa(tables + link.Attrs().Index)
	rule := []string{"iif", from, "lookup", table, "pref", "2500"}
	mustRun(b, n.Gateway, "ip", "route", "add", "default", "dev", to, "table", table)
	mustRun(b, n.Gateway, "ip", append([]string{"rule", "add"}, rule...)...)
	return func() { mustRun(b, n.Gateway, "ip", append([]string{"rule", "del"}, rule...)...) }
}

// builtOnce keeps the path that build returns.
func builtOnce(build func(testing.TB) string) func(testing.TB) string {
	path := ""
	return func(t testing.TB) string {
		t.Helper()
		if path == "" {
			path = build(t)
		}
		return path
	}
}

// buildRelay compiles the C relay and returns its path.
func buildRelay(t testing.TB) string {
	t.Helper()
	needTools(t, "cc")
	path := filepath.Join(t.TempDir(), "relay")
	compile(t, exec.Command("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", path, "testdata/relay.c"))
	return path
}

// buildForwarder builds the relays that are written in Go and returns the path of
// the program. Being in testdata it is no part of the tree, whose import directions
// it could not keep.
func buildForwarder(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forwarder")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/forwarder")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	compile(t, build)
	return path
}

func compile(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out := runCmd(t, nil, cmd); out.code != 0 {
		t.Fatalf("%s\n%s%s", cmd, out.stdout, out.stderr)
	}
}

// TestRelaysBuild holds together what only the benchmark runs.
func TestRelaysBuild(t *testing.T) {
	t.Parallel()
	buildRelay(t)
	buildForwarder(t)
	compile(t, exec.Command("go", "vet", "./testdata/forwarder"))
}
