// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"op25b/filter"
	"op25b/lab"
)

// TestExportedCatalogue loads what op25b export --to nftables writes into a gateway
// without op25b, and sends the catalogue through it: what op25b opens opens, and
// nothing else. What gets through beyond that is the same too, but for
// exportDiffers.
func TestExportedCatalogue(t *testing.T) {
	t.Parallel()
	needTools(t, "nft", "ip", "ping")
	differ := map[string]bool{}
	for _, r := range []regime{usual, sessions, prohibited, silent} {
		// A network each: what one leaves half open would show in the next.
		p := newPolygon(t, lab.Options{})
		config := writeConfig(t, p.GatewayConfig(r.options(lab.ConfigOptions{})))
		out := op25b(t, nil, "export", "-c", config, "--to", "nftables")
		wantExit(t, out, 0)
		loadRules(t, p.Gateway, out.stdout)
		loadRules(t, p.Gateway, out.stdout) // in place of the first

		outcomes := map[string]int{}
		var sum score
		for i, x := range p.run(t, func(in *input) bool { return in.regime == r && in.from != fromInternet }) {
			in := &p.inputs[i]
			outcomes[x.outcome()]++
			sum.judgeOpened(t, in, x)
			if passes := len(x.arrivals) > 0; !in.kernelMayAnswer() && passes != in.forwards() {
				_, name, _ := strings.Cut(in.name, ", ") // of both families
				differ[name] = true
				if _, known := exportDiffers()[name]; !known {
					t.Errorf("%s: passes: %t, with op25b %t", in.name, passes, in.forwards())
				}
			}
		}
		t.Logf("regime %d: %d inputs: %d opened (%d of them allowed, of %d), %v", r, sum.inputs, sum.opened, sum.allowed, sum.toOpen, outcomes)
	}
	for name, why := range exportDiffers() {
		if !differ[name] {
			t.Errorf("%s is as with op25b now, not %q", name, why)
		}
	}
}

// exportDiffers names the inputs of which something gets through where op25b drops
// all, or the other way, each with the reason. None opens a port. docs/export.md has
// them too.
func exportDiffers() map[string]string {
	const (
		length = "lengths of later fragments are not looked at; receivers drop them"
		reset  = "SYN with RST and ACK is no beginning; it passes like any segment of a connection"
		behind = "nft cannot read ports behind an authentication header, so it is dropped"
	)
	return map[string]string{
		"fragments: beyond 65,535 octets":                                                   length,
		"fragments: beyond 65,535 octets, to write over the start":                          length,
		"fragments: empty last, behind the floor":                                           length,
		"fragments: 9 octets, more to follow, behind the floor":                             length,
		"fragments: a fragment header inside an atomic fragment":                            "nft reads the last fragment header only; receivers drop it",
		"SYN variants: SYN+RST+ACK":                                                         reset,
		"SYN variants: FIN+SYN+RST+ACK":                                                     reset,
		"SYN variants: FIN+SYN+RST+PSH+ACK+URG+ECE+CWR+AE+reserved 1+reserved 2+reserved 3": reset,
		"authentication header: then a SYN to port 26":                                      behind,
	}
}

// forwards reports whether op25b lets any of the input's packets through.
func (in *input) forwards() bool {
	for _, s := range in.steps {
		if s.want.Action == filter.Forward && !s.memory {
			return true
		}
	}
	return false
}
