// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"op25b/config"
	"op25b/filter"
	"op25b/stack"
	"op25b/tunnel"
)

// This file turns the operator's configuration into what each room wants.

func tunnelGuard(c *config.Config, policy *filter.Policy) tunnel.Guard {
	guard := tunnel.Guard{Ports: c.Policy.Ports, Sources: policy.Refused(), Relays: policy.Reachable()}
	if c.Forwarding.Answers.PerSubscriber > 0 { // else nothing is limited
		guard.Answers = c.Forwarding.Answers.Total
	}
	return guard
}

func tunnelPlan(c *config.Config, policy *filter.Policy) tunnel.Plan {
	plan := tunnel.Plan{
		Subscribers:    c.Interfaces.Subscriber,
		Upstream:       c.Interfaces.Upstream,
		SubscriberPort: c.Tunnel.Subscriber,
		UpstreamPort:   c.Tunnel.Upstream,
		MTU:            int(c.Tunnel.MTU),
		Table:          c.Forwarding.Table,
		Priority:       c.Forwarding.Priority,
		ReturnPath:     c.Forwarding.ReturnPath == config.ReturnPathRouter,
		IPv4:           true,
		OnExit:         onExit(c.Forwarding.OnExit),
		Guard:          tunnelGuard(c, policy),
		Addresses:      c.Tunnel.Addresses,
	}
	if c.Forwarding.Capture == config.CaptureSMTP {
		plan.Capture = c.Policy.Ports
	}
	for _, iface := range c.Interfaces.Subscriber {
		plan.IPv6 = plan.IPv6 || tunnel.HasIPv6(iface)
	}
	return plan
}

// dropsIPv6 reports whether no IPv6 packet of a subscriber can pass.
func dropsIPv6(c *config.Config) bool {
	isIPv6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	listed := slices.ContainsFunc(c.Policy.Pools, func(p config.Pool) bool { return slices.ContainsFunc(p.Prefixes, isIPv6) })
	return !listed && c.Forwarding.SourceValidation == config.SourceValidationStrict
}

func onExit(o config.OnExit) tunnel.OnExit {
	switch o {
	case config.OnExitForward:
		return tunnel.OnExitForward
	case config.OnExitBlackhole:
		return tunnel.OnExitBlackhole
	default:
		return tunnel.OnExitRejectSMTP
	}
}

func portOptions(c *config.Config, name string, mtu int) tunnel.PortOptions {
	const mostQueues = 16
	opts := tunnel.PortOptions{Name: name, MTU: mtu, Queues: int(c.Tunnel.Queues)}
	if opts.Queues == 0 {
		opts.Queues = min(runtime.NumCPU(), mostQueues)
	}
	if c.Tunnel.Offload != config.FeatureOff {
		opts.Offload = tunnel.Offload{Checksum: true, TSO: true, USO: true}
	}
	return opts
}

func hop(h config.Hop) stack.Hop {
	if h == config.HopTransparent {
		return stack.HopTransparent
	}
	return stack.HopDecrement
}

func laneOptions(c *config.Config, batch bool) tunnel.LaneOptions {
	return tunnel.LaneOptions{Batch: batch, BusyPoll: time.Duration(c.Tunnel.BusyPoll) * time.Microsecond}
}

// stackPort presents a TUN port as the router wants it, with lanes to the other
// one. addresses are those that its ICMP errors may come from, the preferred ones
// first.
func stackPort(p, other *tunnel.Port, opts tunnel.LaneOptions, addresses []netip.Addr) stack.Port {
	port := stack.Port{MTU: p.MTU, Interrupt: p.Interrupt, Addresses: onePerFamily(addresses)}
	for i, q := range p.Queues() {
		port.Lanes = append(port.Lanes, tunnel.NewLane(q, other.Queues()[i], opts))
	}
	return port
}

func onePerFamily(addresses []netip.Addr) []netip.Addr {
	var one []netip.Addr
	have := map[bool]bool{}
	for _, a := range addresses {
		if !have[a.Is4()] {
			have[a.Is4()] = true
			one = append(one, a)
		}
	}
	return one
}

// errorAddresses returns the addresses that ICMP errors towards one side may
// come from: the gateway's own, then those of the real interfaces there.
func errorAddresses(c *config.Config, ifaces ...string) ([]netip.Addr, error) {
	addresses := append([]netip.Addr(nil), c.Tunnel.Addresses...)
	for _, iface := range ifaces {
		of, err := tunnel.Addresses(iface)
		if err != nil {
			return nil, fmt.Errorf("find an address for ICMP errors: %w", err)
		}
		addresses = append(addresses, of...)
	}
	return addresses, nil
}
