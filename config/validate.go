// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"strconv"

	"op25b/config/input"
)

// maxAddresses is more than any gateway needs of its own. Each is compared with
// every pool.
const maxAddresses = 64

// validator collects what is wrong with a decoded Config.
type validator struct {
	*Config
	origin   origin
	suspects map[string]bool // paths that have a problem already
	blocks   []block         // address blocks no subscriber or server can have
	problems Problems
}

// validate checks what a type cannot say: ranges, names, and what contradicts
// what. It neither changes c nor asks the machine.
func validate(c *Config, o origin, suspects map[string]bool) Problems {
	v := &validator{Config: c, origin: o, suspects: suspects, blocks: reservedBlocks()}
	v.interfaces()
	v.tunnel()
	v.forwarding()
	v.policy()
	v.leases()
	v.journal()
	v.texts()
	v.selfCheck()
	v.control()
	v.console()
	return v.problems
}

// report adds a problem, unless it only follows from one that is known.
func (v *validator) report(path, what, fix string) {
	if !v.suspect(path) {
		v.problems = append(v.problems, v.origin.problem(path, what, fix))
	}
}

// suspect tells whether the value at path, or what it is part of, is not what
// the operator meant.
func (v *validator) suspect(path string) bool {
	for ok := true; ok; path, ok = parent(path) {
		if v.suspects[path] {
			return true
		}
	}
	return false
}

// seen reports a value that stands in two places, and remembers those of
// others.
func seen[T comparable](v *validator, places map[T]string, value T, path, shown string) {
	if first, twice := places[value]; twice {
		v.report(path, shown+" is at "+first+" already", "keep one of the two")
		return
	}
	places[value] = path
}

func (v *validator) forwarding() {
	f := v.Forwarding
	// 253 to 255 are the kernel's default, main and local tables.
	if low, high := 1 <= f.Table && f.Table <= 251, 256 <= f.Table && f.Table <= 1<<31-2; !low && !high {
		v.report("forwarding.table", strconv.Itoa(f.Table)+" is not a table that can be used with the one after it",
			"write a number from 1 to 251 or from 256 to 2147483646; 253 to 255 are the kernel's own")
	}
	// The rule for the main table is 32766, and ours take 64 numbers before it.
	if f.Priority < 1 || f.Priority > 32700 {
		v.report("forwarding.priority", strconv.Itoa(f.Priority)+" is out of range",
			"write a number from 1 to 32700, so that 64 rules fit before that of the main table")
	}
	v.rate("forwarding.answers.per_subscriber", f.Answers.PerSubscriber, 1_000_000)
	v.rate("forwarding.answers.total", f.Answers.Total, 10_000_000)
}

// rate checks a limit in packets a second. Below the first attempts that a mail
// program makes in one go, it would keep normal users waiting.
func (v *validator) rate(path string, n, most int) {
	const least = 16
	if n != 0 && (n < least || n > most) {
		v.report(path, strconv.Itoa(n)+" packets a second are out of range",
			fmt.Sprintf("write 0 for no limit, or a number from %d to %d", least, most))
	}
}

func (v *validator) tunnel() {
	t := v.Tunnel
	if t.MTU != 0 && (t.MTU < 1280 || t.MTU > 65535) {
		v.report("tunnel.mtu", t.MTU.String()+" bytes are out of range", "write auto, or a number from 1280 to 65535")
	}
	if t.BusyPoll < 0 || t.BusyPoll > 1000 {
		v.report("tunnel.busy_poll", fmt.Sprintf("%d is out of range", t.BusyPoll), "write a number of microseconds from 0 (off) to 1000")
	}
	if t.Queues < 0 || t.Queues > 16 {
		v.report("tunnel.queues", t.Queues.String()+" is out of range", "write auto, or a number from 1 to 16")
	}
	if len(t.Addresses) > maxAddresses {
		v.report("tunnel.addresses", fmt.Sprintf("has %d addresses", len(t.Addresses)), fmt.Sprintf("write at most %d; subscribers' addresses belong in policy.pools", maxAddresses))
		return
	}
	places := map[netip.Addr]string{}
	for i, addr := range t.Addresses {
		path := fmt.Sprintf("tunnel.addresses[%d]", i)
		v.address(path, addr)
		seen(v, places, addr, path, addr.String())
	}
}

// address checks one that the gateway answers on.
func (v *validator) address(path string, addr netip.Addr) {
	switch {
	case !addr.IsValid():
		return // decoding said so
	case addr.Zone() != "":
		v.report(path, input.Quote(addr.String())+" has a zone", "write a global address, without %")
		return
	case addr.Is4In6():
		v.report(path, addr.String()+" is an IPv4 address written as IPv6", "write "+addr.Unmap().String())
		return
	}
	if b, ok := v.reserved(netip.PrefixFrom(addr, addr.BitLen())); ok {
		v.report(path, addr.String()+" is inside "+b.String(), "write a unicast address that is routed to this machine")
		return
	}
	for i, pool := range v.Policy.Pools {
		for j, p := range pool.Prefixes {
			if p.Contains(addr) {
				at := v.origin.prefixAt(fmt.Sprintf("policy.pools[%d].prefixes", i), j)
				v.report(path, fmt.Sprintf("%s is inside %s, at %s", addr, p, at), "write an address that no subscriber can get")
				return
			}
		}
	}
}
