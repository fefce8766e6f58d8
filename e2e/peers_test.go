// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"op25b/lab"
)

// peer is one way to forward subscribers' traffic.
type peer struct {
	name string // as in reports
	mode string // the same for people

	// subscriber and upstream are the TUN interfaces that traffic out and in must
	// pass; empty where it need not. With smtpOnly that is true of port 25 alone.
	subscriber, upstream string
	smtpOnly             bool
	// refuses says that port 25 is refused to the dynamic subscriber. The relays look
	// at nothing.
	refuses bool
	// relay names the C relay that goes the same way, which is the other yardstick.
	relay string

	// start puts it in force in the network; stop leaves the network as it was. pid
	// is the process that forwards; 0 where the kernel does.
	start func(b *testing.B, n *lab.Network) (pid int, stop func())
}

// kernelPeer is what the others are measured against.
const kernelPeer = "kernel"

// The C relay, which is what op25b is measured against besides.
const (
	relayKernel = "c_kernel" // what comes in is the kernel's
	relayRouter = "c_router" // both ways
)

// peers returns the kernel's own forwarding with the obvious rule; what else can
// stand between two TUN interfaces; and op25b in the modes that differ in what they
// cost.
func peers() []peer {
	return append(append([]peer{{name: kernelPeer, mode: "kernel and nft rule", refuses: true, start: startKernelPeer}}, relays()...),
		op25bPeer("all_kernel", relayKernel, lab.ConfigOptions{Capture: "all", ReturnPath: "kernel"}),
		op25bPeer("all_router", relayRouter, lab.ConfigOptions{Capture: "all", ReturnPath: "router"}),
		op25bPeer("smtp_kernel", "", lab.ConfigOptions{Capture: "smtp", ReturnPath: "kernel"}),
	)
}

// startKernelPeer loads the rule that an operator would write without op25b.
func startKernelPeer(b *testing.B, n *lab.Network) (pid int, stop func()) {
	b.Helper()
	needTools(b, "nft")
	loadRules(b, n.Gateway, `
		table inet peer {
			chain forward {
				type filter hook forward priority filter; policy accept;
				iifname "dyn0" tcp dport 25 tcp flags & (syn | ack) == syn reject with tcp reset
			}
		}`)
	return 0, func() { mustRun(b, n.Gateway, "nft", "delete", "table", "inet", "peer") }
}

// op25bPeer is op25b as an operator runs it, the guard in the kernel included. Only
// the bound on answered refusals is lifted: the kernel peer has none either, and a
// benchmark is one subscriber who tries as often as he can.
func op25bPeer(name, relay string, opts lab.ConfigOptions) peer {
	p := peer{
		name: name, mode: fmt.Sprintf("op25b, capture: %s, return_path: %s", opts.Capture, opts.ReturnPath),
		subscriber: "op25b-sub", smtpOnly: opts.Capture == "smtp", refuses: true, relay: relay,
	}
	if opts.ReturnPath == "router" {
		p.upstream = "op25b-up"
	}
	opts.Set = map[string]string{"forwarding.answers": "{per_subscriber: 0, total: 0}"}
	p.start = func(b *testing.B, n *lab.Network) (int, func()) {
		b.Helper()
		g := startGateway(b, n, opts)
		return g.Pid(), func() {
			stopAndCount(b, g)
			cleanUp(b, n)
		}
	}
	return p
}
