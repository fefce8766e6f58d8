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
)

// Pool is a set of prefixes whose addresses are assigned alike.
type Pool struct {
	Name     string
	Prefixes []netip.Prefix
	// Static exempts the pool: its packets pass.
	Static bool
	// Response matters for a dynamic pool only.
	Response Response
}

// Relay is a submission server that stays reachable on blocked ports.
type Relay struct {
	Name     string
	Prefixes []netip.Prefix
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
	Relays         []Relay
	// Pools may nest: the longest matching prefix decides.
	Pools []Pool
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
	if len(spec.Pools) > limit || len(spec.Relays) > limit {
		return nil, fmt.Errorf("compile policy: more than %d pools or relays", limit)
	}
	for _, port := range spec.Ports {
		p.ports.add(port)
	}
	if err := errors.Join(checkPorts(spec.Ports), checkRouter(spec.Router), p.addPools(spec.Pools), p.addRelays(spec.Relays)); err != nil {
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

func (p *Policy) addPools(pools []Pool) (err error) {
	var errs []error
	prefixes := make([][]netip.Prefix, 0, len(pools))
	for _, pool := range pools {
		p.poolNames = append(p.poolNames, pool.Name)
		if pool.Response > RespondDrop {
			errs = append(errs, fmt.Errorf("compile pool %q: no such response: %d", pool.Name, pool.Response))
		}
		p.classes = append(p.classes, pool.class())
		prefixes = append(prefixes, pool.Prefixes)
	}
	p.pools, err = compileTable("pool", p.poolNames, prefixes)
	return errors.Join(append(errs, err)...)
}

func (p *Policy) addRelays(relays []Relay) (err error) {
	prefixes := make([][]netip.Prefix, 0, len(relays))
	for _, relay := range relays {
		p.relayNames = append(p.relayNames, relay.Name)
		prefixes = append(prefixes, relay.Prefixes)
	}
	p.relays, err = compileTable("relay", p.relayNames, prefixes)
	return err
}

// compileTable makes a table of the prefixes of pools, or of relays: those of
// names[i] have i as their id. kind says in errors which.
func compileTable(kind string, names []string, prefixes [][]netip.Prefix) (table, error) {
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
	t, twice := newTable(entries)
	for _, e := range twice {
		errs = append(errs, fmt.Errorf("compile %s %q: %s is in %s %q already", kind, names[e[1].id], e[1].prefix, kind, names[e[0].id]))
	}
	return t, errors.Join(errs...)
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
