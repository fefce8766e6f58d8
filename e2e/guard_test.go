// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"testing"

	"go.uber.org/zap"
	"go4.org/netipx"

	"op25b/lab"
	"op25b/tunnel"
)

// TestGuardReplaced loads the kernel's guard over and over, a little different each time,
// while a subscriber asks for port 25. OP25B_GUARDS is how often (100).
func TestGuardReplaced(t *testing.T) {
	t.Parallel()
	times := benchSetting(t, "OP25B_GUARDS", 100)
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	guard := func(i int) tunnel.Guard {
		sources := new(netipx.IPSetBuilder)
		for _, f := range n.Families() {
			sources.AddPrefix(netip.PrefixFrom(f.Addrs().Dynamic, f.Addrs().Dynamic.BitLen()))
		}
		for j := range i % 7 { // others come and go
			sources.AddPrefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(2 * j), 0}), 24))
		}
		set, err := sources.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		return tunnel.Guard{Ports: []uint16{lab.PortSMTP}, Sources: set.Ranges(), Answers: 1000 * (i % 50 / 25)}
	}
	replace := func() error {
		h, err := tunnel.NewHost(tunnel.Plan{
			Subscribers: []string{lab.LinkDynamic}, Upstream: lab.LinkUpstream,
			SubscriberPort: sub, UpstreamPort: up, OnExit: tunnel.OnExitRejectSMTP,
		}, zap.NewNop())
		for i := 0; i < times && err == nil; i++ {
			err = h.SetGuard(guard(i))
			if i == 0 {
				for _, f := range n.Families() {
					d := startDoormanAt(t, n, f, 0)
					defer d.end(t)
				}
			}
		}
		return err
	}
	if err := n.Gateway.Do(replace); err != nil {
		t.Fatal(err)
	}
}

// TestExportReplaced loads an exported policy in place of itself over and over, while a
// subscriber asks for port 25. OP25B_GUARDS is how often (100).
func TestExportReplaced(t *testing.T) {
	t.Parallel()
	needTools(t, "nft")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	out := op25b(t, nil, "export", "-c", writeConfig(t, n.GatewayConfig(lab.ConfigOptions{})), "--to", "nftables")
	wantExit(t, out, 0)
	loadRules(t, n.Gateway, out.stdout)
	for _, f := range n.Families() {
		d := startDoormanAt(t, n, f, 0)
		defer d.end(t)
	}
	for range benchSetting(t, "OP25B_GUARDS", 100) {
		loadRules(t, n.Gateway, out.stdout)
	}
}
