// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"testing"

	"op25b/filter"
)

// FuzzCompile makes a spec of any octets. Compile must refuse it exactly if it
// is wrong, and else give a policy whose longest-prefix match, and whose
// resolved ranges, are those of a linear search.
func FuzzCompile(f *testing.F) {
	const dynamic, static, drop, relay, same, bounded, exempt, group = 0, 1, 4, 32, 64, 128, 128 | 32, 128 | 64 // see readSpec
	f.Add([]byte{})
	for _, entries := range [][][]byte{
		{entry(dynamic, "10.0.0.0/8"), entry(static, "10.1.0.0/16"), entry(drop, "10.1.2.3/32")},
		{entry(dynamic, "2001:db8::/32"), entry(same, "10.0.0.0/8"), entry(static, "2001:db8::1/128")},
		{entry(dynamic, "0.0.0.0/0"), entry(static, "::/0"), entry(drop, "255.255.255.255/32")},
		{entry(dynamic, "10.0.0.0/8"), entry(static, "10.0.0.0/8")},
		{entry(dynamic, "10.0.0.0/8"), entry(relay, "192.0.2.0/24"), entry(relay, "192.0.2.0/24")},
		{entry(dynamic, "10.0.0.1/8")},
		{entry(static, "::ffff:10.0.0.0/104")},
		{entry(6, "10.0.0.0/8")}, // an unknown response
		{entry(dynamic, "10.0.0.0/8"), entry(exempt, "10.1.0.0/16"), entry(static, "10.1.2.0/24"), entry(drop, "10.2.0.0/16"), entry(exempt, "10.2.0.0/16")},
		{entry(dynamic, "10.1.0.0/16"), entry(exempt, "10.0.0.0/8"), entry(exempt, "10.1.2.0/24"), entry(exempt, "10.1.2.0/24")},
		{entry(dynamic, "10.0.0.0/8"), entry(exempt, "11.0.0.0/8")},
		{entry(group, "203.0.113.0/24"), bounds(entry(bounded, "10.0.0.0/8"), 1, 0, 8)},
		{bounds(entry(bounded, "10.0.0.0/8"), 1, 0, 1), bounds(entry(bounded, "10.1.0.0/16"), 3, 56, 1, 5), bounds(entry(bounded, "10.2.0.0/16"), 2, 64)},
		{bounds(entry(bounded, "10.0.0.0/8"), 1, 0, 4, 1)},
		{bounds(entry(bounded, "2001:db8::/32"), 1, 65), bounds(entry(bounded, "2001:db9::/32"), 1, 0, 2), bounds(entry(bounded, "2001:dba::/32"), 1, 0, 24)},
		{bounds(entry(bounded, "10.0.0.0/8"), 0, 0, 1), bounds(entry(bounded|static, "10.1.0.0/16"), 2, 0)},
	} {
		spec := slices.Concat(entries...)
		f.Add(append([]byte{0, 1}, spec...)) // no port
		f.Add(append([]byte{1, 0}, spec...))
		f.Add(append([]byte{1, 1}, spec...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := readSpec(data)
		policy, err := filter.Compile(s)
		if wrong := mistakes(s); (err != nil) != (wrong != "") {
			t.Fatalf("error %v, and what is wrong is %q: %+v", err, wrong, s)
		}
		if err != nil {
			return
		}
		var all []netip.Prefix
		for _, pool := range s.Pools {
			all = append(all, pool.Prefixes...)
		}
		for _, e := range s.Exemptions {
			all = append(all, e.Prefix)
		}
		for _, p := range all {
			for _, a := range edges(p) {
				compareLookup(t, s, policy, a)
			}
		}
	})
}

// entry writes a prefix for readSpec.
func entry(kind byte, prefix string) []byte {
	p := netip.MustParsePrefix(prefix)
	if p.Addr().Is6() {
		kind |= 16
	}
	return append([]byte{kind, byte(p.Bits())}, p.Addr().AsSlice()...)
}

// bounds adds to an entry what limits the pool: measures, a delegation, and rules.
func bounds(entry []byte, measures, delegation byte, rules ...byte) []byte {
	return append(append(entry, measures|byte(len(rules))<<2, delegation), rules...)
}

// readRule reads an octet as a rule. Bits: a share (three), a mode, destinations that
// may be there, others that never are.
func readRule(b byte) filter.Rule {
	r := filter.Rule{
		Share: []uint16{0, 10000, 10001, 1, 5000, 10000, 10000, 65535}[b&7],
		Mode:  filter.Mode(b >> 6),
	}
	if b&8 != 0 {
		r.Destinations = append(r.Destinations, "group 0")
	}
	if b&16 != 0 {
		r.Destinations = append(r.Destinations, "nowhere")
	}
	return r
}

// readSpec reads octets as a spec: ports, measures, then prefixes, each with an
// octet that says where it goes.
func readSpec(data []byte) filter.Spec {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	var s filter.Spec
	for range next() % 3 {
		s.Ports = append(s.Ports, 25)
	}
	s.ValidateSource = next()&1 != 0
	for len(data) > 0 && len(s.Pools) < 64 {
		// Bits: static, response (two), canonical, IPv6, a relay, the same pool, limits.
		// With the last, a relay is an exemption, and the same pool are destinations.
		kind, bits := next(), int(next())
		address := make([]byte, 4)
		if kind&16 != 0 {
			address = make([]byte, 16)
		}
		for i := range address {
			address[i] = next()
		}
		a, _ := netip.AddrFromSlice(address)
		prefix := netip.PrefixFrom(a, bits)
		if kind&8 != 0 {
			prefix = prefix.Masked()
		}
		switch {
		case kind&(128|32) == 128|32:
			s.Exemptions = append(s.Exemptions, filter.Exemption{Prefix: prefix})
		case kind&(128|64) == 128|64:
			s.Destinations = append(s.Destinations, filter.Destinations{Name: fmt.Sprint("group ", len(s.Destinations)), Prefixes: []netip.Prefix{prefix}})
		case kind&32 != 0:
			s.Relays = append(s.Relays, filter.Relay{Name: fmt.Sprint("relay ", len(s.Relays)), Prefixes: []netip.Prefix{prefix}})
		case kind&64 != 0 && len(s.Pools) > 0:
			last := &s.Pools[len(s.Pools)-1]
			last.Prefixes = append(last.Prefixes, prefix)
		default:
			s.Pools = append(s.Pools, filter.Pool{
				Name: fmt.Sprint("pool ", len(s.Pools)), Prefixes: []netip.Prefix{prefix},
				Static: kind&1 != 0, Response: filter.Response(kind >> 1 & 3),
			})
			if kind&128 != 0 {
				p, measures := &s.Pools[len(s.Pools)-1], next()
				p.Scheduled, p.Monitor, p.Delegation = measures&1 != 0, measures&2 != 0, int(next())
				for range measures >> 2 & 3 {
					p.Rules = append(p.Rules, readRule(next()))
				}
			}
		}
	}
	return s
}

// mistakes names one thing that is wrong with a spec, or none.
func mistakes(s filter.Spec) string {
	if len(s.Ports) == 0 {
		return "no port"
	}
	taken := map[string]bool{}
	check := func(kind string, list []netip.Prefix) string {
		for _, p := range list {
			key := kind + p.String()
			switch {
			case !p.IsValid():
				return "an invalid prefix"
			case p.Addr().Is4In6():
				return p.String() + " is mapped"
			case p.Masked() != p:
				return p.String() + " has host bits"
			case taken[key]:
				return p.String() + " is there twice"
			}
			taken[key] = true
		}
		return ""
	}
	for _, pool := range s.Pools {
		if pool.Response > filter.RespondNotice {
			return "an unknown response"
		}
		if wrong := check("pool", pool.Prefixes); wrong != "" {
			return wrong
		}
		if wrong := ruleMistakes(s, pool); wrong != "" {
			return wrong
		}
	}
	for _, group := range s.Destinations {
		if wrong := check(group.Name, group.Prefixes); wrong != "" {
			return wrong
		}
	}
	for i, e := range s.Exemptions {
		if wrong := check(fmt.Sprint("exemption ", i), []netip.Prefix{e.Prefix}); wrong != "" {
			return wrong
		}
		if !slices.ContainsFunc(s.Pools, func(p filter.Pool) bool { return slices.ContainsFunc(p.Prefixes, e.Prefix.Overlaps) }) {
			return "an exemption in no pool"
		}
	}
	for _, relay := range s.Relays {
		if wrong := check("relay", relay.Prefixes); wrong != "" {
			return wrong
		}
	}
	return ""
}

// ruleMistakes is mistakes for what limits a pool.
func ruleMistakes(s filter.Spec, p filter.Pool) string {
	if p.Static && (p.Scheduled || p.Monitor) {
		return "static and limited"
	}
	if len(p.Rules) > 0 && !p.Scheduled {
		return "rules, and no schedule"
	}
	if p.Delegation != 0 && (p.Delegation < 48 || p.Delegation > 64) {
		return "a delegation that cannot be"
	}
	for _, r := range p.Rules {
		if r.Share < 1 || r.Share > 10000 || r.Mode > filter.Monitor {
			return "a share or a mode that cannot be"
		}
		for _, name := range r.Destinations {
			if !slices.ContainsFunc(s.Destinations, func(d filter.Destinations) bool { return d.Name == name }) {
				return "unknown destinations"
			}
		}
	}
	return ""
}

// edges returns the first and the last address of a prefix and their
// neighbours outside.
func edges(p netip.Prefix) []netip.Addr {
	size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())) // never negative
	last := new(big.Int).SetBytes(p.Addr().AsSlice())
	last.Add(last, size).Sub(last, big.NewInt(1))
	b := last.FillBytes(make([]byte, p.Addr().BitLen()/8))
	end, _ := netip.AddrFromSlice(b)
	out := []netip.Addr{p.Addr(), end}
	for _, a := range []netip.Addr{p.Addr().Prev(), end.Next()} {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// compareLookup asks Explain and Refused about a source, and a linear search.
func compareLookup(t *testing.T, s filter.Spec, policy *filter.Policy, a netip.Addr) {
	t.Helper()
	o := newOracle(s)
	to := netip.MustParseAddrPort("203.0.113.25:25")
	if a.Is6() {
		to = netip.MustParseAddrPort("[2001:db8:ffff::25]:25")
	}
	pkt := filter.Probe(netip.AddrPortFrom(a, 1024), to)
	e := policy.Explain(filter.Outbound, pkt, filter.ChecksumUnknown)
	if want := o.decide(filter.Outbound, pkt, filter.ChecksumUnknown); !want.admits(e.Verdict) {
		t.Errorf("%s: %s %s, want %s; %+v", a, e.Action, e.Reason, want, s)
	}
	name, static := "", false
	if id := find(o.pools, digits(a)); id >= 0 {
		name, static = s.Pools[id].Name, s.Pools[id].Static
	}
	if e.Pool != name || e.Static != static {
		t.Errorf("%s: pool %q, static %t, want %q, %t; %+v", a, e.Pool, e.Static, name, static, s)
	}
	if e.Pool != "" && !e.PoolPrefix.Contains(a) {
		t.Errorf("%s: not in %s; %+v", a, e.PoolPrefix, s)
	}
	if want := o.extent(digits(a)) == 2; holds(policy.Refused(), a) != want {
		t.Errorf("%s: refused is %t, want %t; %+v", a, !want, want, s)
	}
	if want := o.extent(digits(a)) == 1; holds(policy.Partly(), a) != want {
		t.Errorf("%s: refused in part is %t, want %t; %+v", a, !want, want, s)
	}
	if want := name != "" && find(o.exempt, digits(a)) >= 0; e.Exempt != want || want && !e.ExemptPrefix.Contains(a) {
		t.Errorf("%s: exempt is %t by %s, want %t; %+v", a, e.Exempt, e.ExemptPrefix, want, s)
	}
}
