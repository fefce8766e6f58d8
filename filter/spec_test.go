// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"os"
	"strconv"
	"testing"

	"op25b/filter"
)

// plain is the policy of nearly every test: pools that nest three deep in both
// families, each response, relays, two ports.
func plain() filter.Spec {
	return filter.Spec{
		Ports:          []uint16{25, 2525},
		ValidateSource: true,
		Relays: []filter.Relay{
			{Name: "isp-msa", Prefixes: prefixes("192.0.2.25/32", "2001:db8:25::25/128")},
			{Name: "partner", Prefixes: prefixes("198.51.100.0/28", "2001:db8:26::/64")},
		},
		Pools: []filter.Pool{
			{Name: "residential", Prefixes: prefixes("100.64.0.0/10", "2001:db8:a::/48")},
			{Name: "business", Prefixes: prefixes("100.65.0.0/24", "2001:db8:a:65::/64"), Static: true},
			{
				Name: "trial", Prefixes: prefixes("100.65.0.128/25", "2001:db8:a:65:8000::/65"),
				Response: filter.RespondProhibited,
			},
			{
				Name: "mobile", Prefixes: prefixes("100.66.0.0/16", "2001:db8:a:66::/64"),
				Response: filter.RespondDrop,
			},
			{Name: "monitor", Prefixes: prefixes("100.66.0.9/32", "2001:db8:a:66::9/128"), Static: true},
		},
		Router: addresses("100.64.0.1", "192.0.2.1", "2001:db8:a::1"),
	}
}

// strict is plain with every optional measure on.
func strict() filter.Spec {
	s := plain()
	s.JudgeEstablished, s.BlockInboundSourcePort = true, true
	return s
}

// open is plain without source validation.
func open() filter.Spec {
	s := plain()
	s.ValidateSource = false
	return s
}

// tunnels is plain with a look into every encapsulation.
func tunnels() filter.Spec {
	s := plain()
	s.InspectTunnels = filter.Tunnels{IPIP: true, SixInFour: true, GRE: true}
	return s
}

// phased is strict in the middle of a rollout, with a look into tunnels: half of
// the residential subscribers are refused some destinations and the others are
// counted, the trial is only counted, and nothing has begun for mobile ones. Some
// are exempt, within pools, across one, and all of one.
func phased() filter.Spec {
	s := strict()
	s.InspectTunnels = tunnels().InspectTunnels
	s.Destinations = []filter.Destinations{
		{Name: "carriers", Prefixes: prefixes("203.0.113.0/26", "2001:db8:ffff::/48")},
		{Name: "hosts", Prefixes: prefixes("203.0.113.16/28", "203.0.113.128/25", "64:ff9b::/96")},
	}
	s.Relays[1].Pools = []string{"mobile", "monitor"}
	residential, trial, mobile := &s.Pools[0], &s.Pools[2], &s.Pools[3]
	residential.Scheduled = true
	residential.Rules = []filter.Rule{
		{Name: "census", Mode: filter.Monitor, Share: 10000},
		{Name: "carriers first", Destinations: []string{"carriers"}, Share: 5000},
		{Name: "a few more", Destinations: []string{"hosts", "carriers"}, Share: 100},
	}
	trial.Monitor = true
	mobile.Scheduled, mobile.Delegation = true, 64
	s.Exemptions = exemptions("100.64.0.8/30", "2001:db8:a:8::/61", "100.65.0.192/26", "100.66.0.9/32")
	return s
}

// specs are the named policies of tables and golden files.
func specs() map[string]filter.Spec {
	return map[string]filter.Spec{"plain": plain(), "strict": strict(), "open": open(), "tunnels": tunnels(), "phased": phased()}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addresses(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func compile(t testing.TB, s filter.Spec) *filter.Policy {
	t.Helper()
	p, err := filter.Compile(s)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return p
}

// compileAll compiles specs.
func compileAll(t testing.TB) map[string]*filter.Policy {
	t.Helper()
	out := map[string]*filter.Policy{}
	for name, s := range specs() {
		out[name] = compile(t, s)
	}
	return out
}

// setting reads a positive number from the environment: how long a test that
// has a long mode goes on, or from which seed.
func setting(t testing.TB, name string, fallback int) int {
	t.Helper()
	value, set := os.LookupEnv(name)
	if !set {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%q is no positive number", name, value)
	}
	return n
}
