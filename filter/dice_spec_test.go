// SPDX-License-Identifier: Apache-2.0

package filter_test

import "op25b/filter"

// spec is a random moment of a rollout, over the addresses that packets have.
func (d dice) spec() filter.Spec {
	s := phased()
	s.ValidateSource = d.chance(50)
	s.JudgeEstablished, s.BlockInboundSourcePort = d.chance(50), d.chance(50)
	s.InspectTunnels = filter.Tunnels{IPIP: d.chance(50), SixInFour: d.chance(50), GRE: d.chance(50)}
	var names []string
	for i := range s.Pools {
		p := &s.Pools[i]
		names = append(names, p.Name)
		p.Static, p.Scheduled, p.Monitor, p.Rules = d.chance(20), d.chance(70), d.chance(15), nil
		p.Response, p.Delegation = filter.Response(d.IntN(4)), pick(d, []int{0, 48, 52, 56, 60, 64})
		if p.Static {
			p.Scheduled, p.Monitor = false, false
		}
		for range d.IntN(4) {
			if p.Scheduled {
				p.Rules = append(p.Rules, d.rule())
			}
		}
	}
	for i := range s.Relays {
		s.Relays[i].Pools = nil
		for range d.IntN(3) {
			s.Relays[i].Pools = append(s.Relays[i].Pools, pick(d, names))
		}
	}
	s.Exemptions = nil
	for range d.IntN(4) {
		s.Exemptions = append(s.Exemptions, pick(d, exemptions(
			"100.64.0.2/32", "100.0.0.0/9", "100.65.0.0/24", "100.65.0.128/25", "100.66.0.0/30", "100.66.0.0/16",
			"2001:db8:a::/56", "2001:db8:a:65::/64", "2001:db8:a:65:8000::2/128", "2001:db8::/32", "2001:db8:a:66::9/128",
		)))
	}
	return s
}

func (d dice) rule() filter.Rule {
	r := filter.Rule{Name: d.address(4), Share: pick(d, []uint16{1, 10000, 10000, uint16(1 + d.IntN(10000))})}
	if d.chance(30) {
		r.Mode = filter.Monitor
	}
	for range d.IntN(3) {
		r.Destinations = append(r.Destinations, pick(d, []string{"carriers", "hosts"}))
	}
	return r
}
