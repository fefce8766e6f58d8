// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// ConfigOptions vary a gateway's configuration. An empty field leaves its key out,
// so that the gateway's own default applies.
type ConfigOptions struct {
	Offload          string // tunnel.offload: auto, on, off
	Capture          string // forwarding.capture: all, smtp
	ReturnPath       string // forwarding.return_path: kernel, router
	Hop              string // forwarding.hop: decrement, transparent
	SourceValidation string // forwarding.source_validation: strict, off
	OnExit           string // forwarding.on_exit: reject-smtp, forward, blackhole
	Established      string // policy.established: keep, reset
	Response         string // the dynamic pool's response: reset, prohibited, drop
	LogLevel         string // log.level

	// Set adds keys or replaces those above: "section.key" to a YAML value in
	// flow style, such as "policy.ports": "[25, 2525]". A key without a dot
	// stands at the top level, after the sections.
	Set map[string]string
}

// GatewayConfig returns the YAML configuration of a gateway in this network: the
// dynamic and the static pool in both families, and the ISP's submission server
// as a relay. The control socket lies in the network's directory; metrics are off.
func (n *Network) GatewayConfig(opts ConfigOptions) string {
	v4, v6 := IPv4.prefixes(), IPv6.prefixes()
	dynamic := fmt.Sprintf("name: residential, prefixes: [%q, %q], assignment: dynamic", v4.dynamicPool, v6.dynamicPool)
	if opts.Response != "" {
		dynamic += ", response: " + opts.Response
	}
	static := fmt.Sprintf("name: business, prefixes: [%q, %q], assignment: static", v4.staticPool, v6.staticPool)
	relay := fmt.Sprintf("name: isp-msa, prefixes: [%q, %q]",
		fmt.Sprintf("%s/%d", IPv4.Addrs().MSA, v4.host), fmt.Sprintf("%s/%d", IPv6.Addrs().MSA, v6.host))

	values := map[string]string{
		"interfaces.subscriber":        fmt.Sprintf("[%s, %s]", LinkDynamic, LinkStatic),
		"interfaces.upstream":          LinkUpstream,
		"tunnel.offload":               opts.Offload,
		"forwarding.capture":           opts.Capture,
		"forwarding.return_path":       opts.ReturnPath,
		"forwarding.hop":               opts.Hop,
		"forwarding.source_validation": opts.SourceValidation,
		"forwarding.on_exit":           opts.OnExit,
		"policy.established":           opts.Established,
		"policy.ports":                 fmt.Sprintf("[%d]", PortSMTP),
		"policy.relays":                yamlList(relay),
		"policy.pools":                 yamlList(dynamic, static),
		"control.socket":               filepath.Join(n.Dir(), "op25b.sock"),
		"control.metrics":              `""`,
		"log.level":                    opts.LogLevel,
		"log.format":                   "json",
	}
	maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
	maps.Copy(values, opts.Set)
	return renderYAML(values)
}

// yamlList renders mappings, given as the inside of a flow mapping, as a block
// list two levels deep.
func yamlList(mappings ...string) string {
	var b strings.Builder
	for _, m := range mappings {
		fmt.Fprintf(&b, "\n    - {%s}", m)
	}
	return b.String()
}

// renderYAML renders "section.key" values, sorted, so that equal options give
// equal files.
func renderYAML(values map[string]string) string {
	var sections, top strings.Builder
	current := ""
	for _, path := range slices.Sorted(maps.Keys(values)) {
		section, key, nested := strings.Cut(path, ".")
		if !nested {
			fmt.Fprintf(&top, "%s: %s\n", path, values[path])
			continue
		}
		if section != current {
			fmt.Fprintf(&sections, "%s:\n", section)
			current = section
		}
		fmt.Fprintf(&sections, "  %s: %s\n", key, values[path])
	}
	return sections.String() + top.String()
}
