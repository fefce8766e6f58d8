// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/lab"
)

// TestOddMachines runs the gateway on machines that are set up in ways that have
// broken routers before.
func TestOddMachines(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	for _, tt := range []struct {
		name     string
		opts     lab.Options
		families []lab.Family // that have to work
	}{
		{"reverse path filter off", lab.Options{}, []lab.Family{lab.IPv4, lab.IPv6}},
		{"reverse path filter strict", lab.Options{ReversePathFilter: 1}, []lab.Family{lab.IPv4, lab.IPv6}},
		{"reverse path filter loose", lab.Options{ReversePathFilter: 2}, []lab.Family{lab.IPv4, lab.IPv6}},
		{"no IPv6 on the gateway", lab.Options{IPv6: lab.IPv6OffGateway}, []lab.Family{lab.IPv4}},
		{"no IPv6 at all, strict", lab.Options{IPv6: lab.IPv6Off, ReversePathFilter: 1}, []lab.Family{lab.IPv4}},
		{"a host so far", lab.Options{NoForwarding: true}, []lab.Family{lab.IPv4, lab.IPv6}},
		{"no offloads", lab.Options{NoOffloads: true}, []lab.Family{lab.IPv4, lab.IPv6}},
	} {
		all := modes("auto")
		if tt.opts.ReversePathFilter == 0 {
			all = []lab.ConfigOptions{all[0], all[len(all)-1]} // they have little to do with each other
		}
		for _, opts := range all {
			t.Run(tt.name+", "+modeName(opts), func(t *testing.T) {
				n := newNetwork(t, tt.opts)
				startServer(t, n)
				before := kernelState(n.Gateway)
				g := startGateway(t, n, opts)
				for _, f := range tt.families {
					if len(n.Families()) == 1 && f == lab.IPv6 {
						lack(t, "IPv6")
					}
					wantServed(t, n.Dynamic, f)
					wantServed(t, n.Static, f)
					wantRefused(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
					wantConnected(t, n.Static, at(f.Addrs().MX, lab.PortSMTP))
				}
				if out, _ := stopAndCount(t, g); out.frames == 0 {
					t.Error("nothing went through the gateway")
				}
				cleanUp(t, n)
				if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
					t.Errorf("the machine is not as it was (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestStrictLater has the operator switch the strict reverse path filter on while
// the gateway runs, everywhere.
func TestStrictLater(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := startGateway(t, n, lab.ConfigOptions{ReturnPath: "router"})
	for _, link := range []string{"all", "default", lab.LinkDynamic, lab.LinkStatic, lab.LinkUpstream} {
		if err := n.Gateway.SetSysctl("net.ipv4.conf."+link+".rp_filter", "1"); err != nil {
			t.Fatal(err)
		}
		wantServed(t, n.Dynamic, lab.IPv4)
		wantServed(t, n.Static, lab.IPv4)
	}
	stopAndCount(t, g)
}

// cleanUp runs op25b cleanup in the gateway and returns what it said.
func cleanUp(t testing.TB, n *lab.Network) string {
	t.Helper()
	// The defaults are what these gateways use; a crash may have taken the file.
	out := op25b(t, n.Gateway, "cleanup")
	if out.code != 0 {
		t.Errorf("op25b cleanup: exit code %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	return out.stdout
}
