// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"op25b/lab"
)

// peer is one way to forward subscribers' traffic and refuse port 25 to the dynamic
// one.
type peer struct {
	name string // as in reports
	mode string // the same for people
	// start puts it in force in the network; stop leaves the network as it was.
	start func(b *testing.B, n *lab.Network) (stop func())
}

// kernelPeer is what the others are measured against.
const kernelPeer = "kernel"

// peers returns the kernel's own forwarding with the obvious rule, and op25b in the
// modes that differ in what they cost.
func peers() []peer {
	return []peer{
		{kernelPeer, "kernel and nft rule", startKernelPeer},
		op25bPeer("all_kernel", lab.ConfigOptions{Capture: "all", ReturnPath: "kernel"}),
		op25bPeer("all_router", lab.ConfigOptions{Capture: "all", ReturnPath: "router"}),
		op25bPeer("smtp_kernel", lab.ConfigOptions{Capture: "smtp", ReturnPath: "kernel"}),
	}
}

// startKernelPeer loads the rule that an operator would write without op25b.
func startKernelPeer(b *testing.B, n *lab.Network) (stop func()) {
	b.Helper()
	needTools(b, "nft")
	loadRules(b, n.Gateway, `
		table inet peer {
			chain forward {
				type filter hook forward priority filter; policy accept;
				iifname "dyn0" tcp dport 25 tcp flags & (syn | ack) == syn reject with tcp reset
			}
		}`)
	return func() { mustRun(b, n.Gateway, "nft", "delete", "table", "inet", "peer") }
}

// op25bPeer is op25b as an operator runs it, the guard in the kernel included. Only
// the bound on answered refusals is lifted: the kernel peer has none either, and a
// benchmark is one subscriber who tries as often as he can.
func op25bPeer(name string, opts lab.ConfigOptions) peer {
	mode := fmt.Sprintf("op25b, capture: %s, return_path: %s", opts.Capture, opts.ReturnPath)
	opts.Set = map[string]string{"forwarding.answers": "{per_subscriber: 0, total: 0}"}
	return peer{name, mode, func(b *testing.B, n *lab.Network) func() {
		b.Helper()
		g := startGateway(b, n, opts)
		return func() {
			stopAndCount(b, g)
			cleanUp(b, n)
		}
	}}
}
