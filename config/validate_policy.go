// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
)

// maxNamed is how many pools, relays, and groups of destinations, there can be: the policy
// numbers them in 16 bits, and one number means none. Each may have any number of
// prefixes.
const maxNamed = 1<<16 - 1

func (v *validator) policy() {
	pools := groupOf(v, "policy.pools", v.Policy.Pools, func(p Pool) string { return p.Name })
	destinations := groupOf(v, "policy.destinations", v.Policy.Destinations, func(d Destinations) string { return d.Name })
	v.ports()
	v.destinations()
	v.relays(pools)
	v.pools()
	v.exemptions()
	v.rollout(pools, destinations)
	v.inboundSourcePort()
	v.inspectTunnels()
}

func (v *validator) ports() {
	if len(v.Policy.Ports) == 0 {
		v.report("policy.ports", "names no port, so nothing would be refused", "write [25]")
	}
	places := map[uint16]string{}
	for i, port := range v.Policy.Ports {
		path := fmt.Sprintf("policy.ports[%d]", i)
		switch port {
		case 0:
			v.report(path, "0 is not a port", "write a port from 1 to 65535")
		case 465, 587:
			// RFC 8314 section 3.3, RFC 6409 section 3.1.
			v.report(path, fmt.Sprintf("%d is where customers are told to submit their mail", port), "remove it")
		default:
			seen(v, places, port, path, fmt.Sprint(port))
		}
	}
}

func (v *validator) inboundSourcePort() {
	blind := v.Policy.InboundSourcePort == InboundSourcePortBlock && v.Forwarding.ReturnPath == ReturnPathKernel
	if blind && !v.suspect("forwarding.return_path") {
		v.report("policy.inbound_source_port", "block has no effect while forwarding.return_path is kernel: the gateway does not see what comes in",
			"write forwarding.return_path: router, or allow here")
	}
}

func (v *validator) inspectTunnels() {
	places := map[Encapsulation]string{}
	for i, e := range v.Policy.InspectTunnels {
		seen(v, places, e, fmt.Sprintf("policy.inspect_tunnels[%d]", i), string(e))
	}
	blind := len(v.Policy.InspectTunnels) > 0 && v.Forwarding.Capture == CaptureSMTP
	if blind && !v.suspect("forwarding.capture") {
		v.report("policy.inspect_tunnels", "has no effect while forwarding.capture is smtp: the kernel forwards tunnels by itself",
			"write forwarding.capture: all, or [] here")
	}
}

func (v *validator) relays(pools group) {
	v.count("policy.relays", len(v.Policy.Relays))
	names := map[string]string{}
	set := newPrefixSet("policy.relays", v.Policy.Relays, func(r Relay) []netip.Prefix { return r.Prefixes })
	for i, relay := range v.Policy.Relays {
		path := fmt.Sprintf("policy.relays[%d]", i)
		v.label(names, path+".name", relay.Name)
		v.prefixes(set, i, "it would let everyone reach every server")
		v.references(path+".pools", relay.Pools, pools)
	}
}

func (v *validator) pools() {
	if len(v.Policy.Pools) == 0 {
		v.report("policy.pools", "names no pool, so nothing would be refused",
			"write the prefixes that subscribers get their addresses from")
		return
	}
	v.count("policy.pools", len(v.Policy.Pools))
	dynamic, known := false, true
	names := map[string]string{}
	set := newPrefixSet("policy.pools", v.Policy.Pools, func(p Pool) []netip.Prefix { return p.Prefixes })
	for i, pool := range v.Policy.Pools {
		path := fmt.Sprintf("policy.pools[%d]", i)
		v.label(names, path+".name", pool.Name)
		v.prefixes(set, i, "it would make every address a subscriber's")
		v.assignment(path, pool)
		dynamic = dynamic || pool.Assignment == AssignmentDynamic
		known = known && pool.Assignment != ""
	}
	if known && !dynamic {
		v.report("policy.pools", "has no dynamic pool, so nothing would be refused", "write assignment: dynamic for at least one")
	}
}

func (v *validator) count(path string, n int) {
	if n > maxNamed {
		v.report(path, fmt.Sprintf("has %d entries", n), fmt.Sprintf("write at most %d; put prefixes that are treated alike into one entry", maxNamed))
	}
}

// assignment checks what depends on it.
func (v *validator) assignment(path string, pool Pool) {
	const fix = "remove the line, or write assignment: dynamic"
	if pool.Assignment == "" {
		v.report(path+".assignment", "is missing", "write dynamic or static")
	}
	if pool.Assignment != AssignmentStatic {
		return
	}
	if pool.Response != "" {
		v.report(path+".response", "a static pool is refused nothing, so it has no response", fix)
	}
	if pool.Mode != "" {
		v.report(path+".mode", "a static pool is refused nothing, so it has no mode", fix)
	}
	if pool.Delegation != 0 {
		v.report(path+".delegation", "a static pool is refused nothing, so nobody asks who of it is one subscriber", fix)
	}
}
