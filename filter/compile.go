// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"net/netip"
)

// Response is what a dynamic pool's subscribers get for a refused connection.
type Response uint8

const (
	// RespondReset answers with a TCP RST: the client sees "connection refused"
	// at once.
	RespondReset Response = iota
	// RespondProhibited answers with ICMP "administratively prohibited".
	RespondProhibited
	// RespondDrop answers nothing.
	RespondDrop
	// RespondNotice is RespondReset to Decide. Who can accept the connection and say
	// in words why it is refused may do so: see [Policy.Notices].
	RespondNotice
)

// Pool is a set of prefixes whose addresses are assigned alike.
type Pool struct {
	Name     string
	Prefixes []netip.Prefix
	// Static exempts the pool: its packets pass. What follows is for dynamic ones.
	Static bool
	// Response is what is answered to what is refused.
	Response Response
	// Scheduled limits what is refused to what Rules match. Without it, everything is.
	Scheduled bool
	Rules     []Rule
	// Monitor refuses nothing of the pool: what would be is [Monitored]. If the pool
	// is scheduled, that is only what rules match, whatever their mode.
	Monitor bool
	// Delegation is how long the IPv6 prefix of one subscriber is, from 48 to 64 bits;
	// zero means 56.
	Delegation int
}

// Relay is a submission server that stays reachable on blocked ports. Relays may
// nest: the longest matching prefix decides.
type Relay struct {
	Name     string
	Prefixes []netip.Prefix
	// Pools are the pools whose subscribers may reach it. Empty means all.
	Pools []string
}

// Spec is a policy as the operator thinks of it.
type Spec struct {
	// Ports are the blocked destination ports.
	Ports []uint16
	// JudgeEstablished refuses every segment to a blocked port, not only those
	// that open a connection.
	JudgeEstablished bool
	// BlockInboundSourcePort drops segments from a blocked port to dynamic
	// addresses, unless a relay sends them or they open a connection.
	BlockInboundSourcePort bool
	// ValidateSource drops outbound packets whose source is in no pool.
	ValidateSource bool
	// InspectTunnels says which encapsulations are looked into.
	InspectTunnels Tunnels
	// Destinations are what rules may be limited to.
	Destinations []Destinations
	Relays       []Relay
	// Pools may nest: the longest matching prefix decides.
	Pools []Pool
	// Exemptions are taken out of pools.
	Exemptions []Exemption
	// Router lists the addresses that the router's own host side answers on.
	Router []netip.Addr
}

// limit is how many pools, and how many relays, a policy may name: identifiers
// have 16 bits, and one of them stands for none.
const limit = int(noID)

// Compile turns spec into a Policy, or reports everything that is wrong with
// it. Spec is not kept.
func Compile(spec Spec) (*Policy, error) {
	p := &Policy{
		judgeEstablished:       spec.JudgeEstablished,
		blockInboundSourcePort: spec.BlockInboundSourcePort,
		validateSource:         spec.ValidateSource,
		tunnels:                spec.InspectTunnels,
	}
	if len(spec.Pools)+min(len(spec.Exemptions), 1) > limit || len(spec.Relays) > limit {
		return nil, fmt.Errorf("compile policy: more than %d pools or relays; all exemptions count as a pool", limit)
	}
	for _, port := range spec.Ports {
		p.ports.add(port)
	}
	if err := errors.Join(checkPorts(spec.Ports), checkRouter(spec.Router), p.addPools(&spec), p.addRelays(spec.Relays)); err != nil {
		return nil, err
	}
	for _, a := range spec.Router {
		p.router = append(p.router, addressOf(a))
	}
	return p, nil
}

func checkPorts(ports []uint16) error {
	if len(ports) == 0 {
		return errors.New("compile policy: no port is blocked")
	}
	return nil
}

// checkRouter refuses addresses that no packet can carry as destination.
func checkRouter(addresses []netip.Addr) error {
	var errs []error
	for _, a := range addresses {
		if !a.IsValid() || a.Zone() != "" || addressOf(a).martian() {
			errs = append(errs, fmt.Errorf("compile router address: %s is no unicast address", a))
		}
	}
	return errors.Join(errs...)
}

func (p *Policy) addPools(spec *Spec) error {
	destinations, errs := compileDestinations(spec.Destinations)
	prefixes := make([][]netip.Prefix, 0, len(spec.Pools))
	for i := range spec.Pools {
		pool := &spec.Pools[i]
		p.poolNames = append(p.poolNames, pool.Name)
		if pool.Response > RespondNotice {
			errs = append(errs, fmt.Errorf("compile pool %q: no such response: %d", pool.Name, pool.Response))
		}
		scope, wrong := pool.scope(destinations)
		errs = append(errs, wrong...)
		p.classes = append(p.classes, pool.class())
		notice := pool.Response == RespondNotice && !pool.Static
		p.notices = append(p.notices, notice)
		p.anyNotices = p.anyNotices || notice
		p.scopes = append(p.scopes, scope)
		prefixes = append(prefixes, pool.Prefixes)
	}
	p.classes = append(p.classes, classExempt) // of exemptID
	entries, err := compileEntries("pool", p.poolNames, prefixes)
	errs = append(errs, err)
	entries, err = p.exempt(entries, spec.Exemptions)
	p.pools = newTable(entries)
	return errors.Join(append(errs, err)...)
}

// addRelays comes behind addPools.
func (p *Policy) addRelays(relays []Relay) (err error) {
	var errs []error
	prefixes := make([][]netip.Prefix, 0, len(relays))
	for _, relay := range relays {
		pools, err := p.poolsOf(relay)
		errs = append(errs, err)
		p.relayNames = append(p.relayNames, relay.Name)
		p.relayPools = append(p.relayPools, pools)
		prefixes = append(prefixes, relay.Prefixes)
	}
	p.relays, err = compileTable("relay", p.relayNames, prefixes)
	return errors.Join(append(errs, err)...)
}

// poolsOf returns which pools may reach a relay, or nil if all may.
func (p *Policy) poolsOf(relay Relay) ([]uint16, error) {
	var (
		pools []uint16
		errs  []error
	)
	for _, name := range relay.Pools {
		before := len(pools)
		for i := range p.poolNames {
			if p.poolNames[i] == name {
				pools = append(pools, uint16(i)) //nolint:gosec // bounded by limit
			}
		}
		if len(pools) == before {
			errs = append(errs, fmt.Errorf("compile relay %q: there is no pool %q", relay.Name, name))
		}
	}
	return pools, errors.Join(errs...)
}

// compileTable makes a table of the prefixes of pools, relays or destinations: those
// of names[i] have i as their id. kind says in errors which.
func compileTable(kind string, names []string, prefixes [][]netip.Prefix) (table, error) {
	entries, err := compileEntries(kind, names, prefixes)
	return newTable(entries), err
}

// compileEntries returns what compileTable makes a table of.
func compileEntries(kind string, names []string, prefixes [][]netip.Prefix) ([]entry, error) {
	total := 0
	for _, list := range prefixes {
		total += len(list)
	}
	var errs []error
	entries := make([]entry, 0, total)
	for i, list := range prefixes {
		for _, prefix := range list {
			if err := checkPrefix(prefix); err != nil {
				errs = append(errs, fmt.Errorf("compile %s %q: %w", kind, names[i], err))
				continue
			}
			entries = append(entries, entry{prefix, uint16(i)}) //nolint:gosec // bounded by limit
		}
	}
	entries, twice := sortEntries(entries)
	for _, e := range twice {
		errs = append(errs, fmt.Errorf("compile %s %q: %s is in %s %q already", kind, names[e[1].id], e[1].prefix, kind, names[e[0].id]))
	}
	return entries, errors.Join(errs...)
}

func (p Pool) class() class {
	switch {
	case p.Static:
		return classStatic
	case p.Response == RespondProhibited:
		return classProhibited
	case p.Response == RespondDrop:
		return classDrop
	default:
		return classReset
	}
}

// checkPrefix refuses what a lookup would silently never match: an IPv4-mapped
// prefix (packets carry plain IPv4) and bits behind the prefix length.
func checkPrefix(prefix netip.Prefix) error {
	switch {
	case !prefix.IsValid():
		return errors.New("an invalid prefix")
	case prefix.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4-mapped prefix", prefix)
	case prefix != prefix.Masked():
		return fmt.Errorf("%s has host bits set", prefix)
	default:
		return nil
	}
}
