// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A mistake silences what only follows from it, and nothing else.
func TestConsequences(t *testing.T) {
	t.Parallel()
	const (
		links = "interfaces: {subscriber: [eth1], upstream: eth0}\n"
		pool  = "{name: a, prefixes: [192.0.2.0/24], assignment: dynamic}"
	)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"wrong kind, its default would contradict",
			links + "forwarding: {return_path: 5}\npolicy: {inbound_source_port: block, pools: [" + pool + "]}\n",
			[]string{"forwarding.return_path"}},
		{"misspelled beside the right one, which is empty",
			"interfaces: {subscribers: [eth1], subscriber: [], upstream: eth0}\npolicy: {pools: [" + pool + "]}\n",
			[]string{"interfaces.subscribers", "interfaces.subscriber"}},
		{"section misspelled",
			links + "polciy: {pools: [" + pool + "]}\n",
			[]string{"polciy"}},
		{"list misplaced",
			links + "pools: [" + pool + "]\n",
			[]string{"pools"}},
		{"pool of the wrong kind, the others still judged",
			links + "policy:\n  pools:\n    - a\n    - {name: b, assignment: static}\n",
			[]string{"policy.pools[0]", "policy.pools[1].prefixes"}},
		{"assignment unknown, could have been the dynamic one",
			links + "policy:\n  pools:\n    - {name: a, prefixes: [192.0.2.0/24], assignment: pppoe}\n    - {name: b, prefixes: [192.0.2.9/32], assignment: static}\n",
			[]string{"policy.pools[0].assignment"}},
		{"item without value, later ones keep their number",
			links + "policy:\n  ports:\n    -\n    - 587\n  pools: [" + pool + "]\n",
			[]string{"policy.ports[0]", "policy.ports[1]"}},
		{"address inside a pool that has other mistakes",
			links + "tunnel: {addresses: [192.0.2.1]}\npolicy: {pools: [{name: '', prefixes: [192.0.2.0/24], assignment: dynamic}]}\n",
			[]string{"tunnel.addresses[0]", "policy.pools[0].name"}},
		{"name of a pool missing, could be the one that is named",
			links + "policy: {pools: [{nmae: a, prefixes: [192.0.2.0/24], assignment: dynamic}], rollout: {phases: [{name: p, start: 2026-12-01 02:00 UTC, pools: [a]}]}}\n",
			[]string{"policy.pools[0].nmae"}},
		{"destinations misplaced, could be the ones that are named",
			links + "destinations: []\npolicy: {pools: [" + pool + "], rollout: {phases: [{name: p, start: 2026-12-01 02:00 UTC, destinations: [d]}]}}\n",
			[]string{"destinations"}},
		{"moment wrong, the other could be before it",
			links + "policy: {pools: [" + pool + "], rollout: {phases: [{name: p, start: 2026-12-01 02:00 UTC}], brownouts: [{name: b, from: soon, to: 2026-12-01 02:00 UTC}]}}\n",
			[]string{"policy.rollout.brownouts[0].from"}},
		{"pool of a phase unknown, could be the brownout's",
			links + "policy: {pools: [" + pool + "], rollout: {phases: [{name: p, start: 2026-12-01 02:00 UTC, pools: [b]}], brownouts: [{name: b, from: 2026-12-01 02:00 UTC, to: 2026-12-01 03:00 UTC, pools: [a]}]}}\n",
			[]string{"policy.rollout.phases[0].pools[0]"}},
		{"kind of a source wrong, its keys could be right",
			links + "policy: {pools: [" + pool + "]}\nleases: [{name: l, kind: dhcpd, socket: /a}]\n",
			[]string{"leases[0].kind"}},
		{"client wrong, so that there is one",
			links + "policy: {pools: [" + pool + "]}\nleases: [{name: l, kind: radius, listen: ':1813', clients: [bras], secret_file: s}]\n",
			[]string{"leases[0].listen", "leases[0].clients[0]"}},
		{"group without value",
			links + "policy: {pools: [~]}\n",
			[]string{"policy.pools[0].name", "policy.pools[0].prefixes", "policy.pools[0].assignment"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := load("x.yaml", []byte(tt.text))
			var got []string
			for _, p := range problems {
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%v\npaths (-want +got):\n%s", problems, diff)
			}
		})
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	c, err := Load("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Policy.Relays = make([]Relay, maxNamed+1)
	for i := range c.Policy.Relays {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		c.Policy.Relays[i] = Relay{Name: addr.String(), Prefixes: []netip.Prefix{netip.PrefixFrom(addr, 32)}}
	}
	want := Problems{{Path: "policy.relays", What: "has 65536 entries", Fix: "write at most 65535; put prefixes that are treated alike into one entry"}}
	if diff := cmp.Diff(want, validate(c, origin{}, nil)); diff != "" {
		t.Errorf("one too many (-want +got):\n%s", diff)
	}
	c.Policy.Relays = c.Policy.Relays[:maxNamed]
	if got := validate(c, origin{}, nil); len(got) > 0 {
		t.Errorf("just enough: %v", got)
	}
}

func TestTooManySteps(t *testing.T) {
	t.Parallel()
	c, err := Load("testdata/rollout.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Policy.Rollout.Phases = nil
	for i := range maxSteps + 1 {
		start, err := parseTime("2026-12-01 02:00 UTC")
		if err != nil {
			t.Fatal(err)
		}
		c.Policy.Rollout.Phases = append(c.Policy.Rollout.Phases, Phase{Name: fmt.Sprint(i), Start: start, Share: Everyone, Mode: ModeRefuse})
	}
	want := Problems{{Path: "policy.rollout.phases", What: "has 257 entries", Fix: "write at most 256; remove those that others have overtaken"}}
	if diff := cmp.Diff(want, validate(c, origin{}, nil)); diff != "" {
		t.Errorf("one too many (-want +got):\n%s", diff)
	}
	c.Policy.Rollout.Phases = c.Policy.Rollout.Phases[:maxSteps]
	if got := validate(c, origin{}, nil); len(got) > 0 {
		t.Errorf("just enough: %v", got)
	}
}

func TestIsHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "fe80::1%eth0": true, "localhost": true, "gw-1.example.net": true, "gw.": true, "0x7f": true,
		"": false, "127.0.0.256": false, "1.2.3": false, "-a": false, "a-": false, "a..b": false, "a b": false, "ä": false, ".": false,
	} {
		if got := isHost(host); got != want {
			t.Errorf("isHost(%q) = %v", host, got)
		}
	}
}
