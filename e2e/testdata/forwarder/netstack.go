// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"runtime"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// NICs of the stack.
const (
	nicSubscriber tcpip.NICID = iota + 1
	nicUpstream
)

// route has a network stack forward IPv4 between two interfaces, in packets or, with
// bulk, in super-packets.
func route(subscriber, upstream, behind string, bulk bool) error {
	prefix, err := netip.ParsePrefix(behind)
	if err != nil {
		return fmt.Errorf("read prefix: %w", err)
	}
	s := netstack.New(netstack.Options{
		NetworkProtocols:   []netstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []netstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	failed := make(chan error, 2*runtime.NumCPU())
	for id, name := range map[tcpip.NICID]string{nicSubscriber: subscriber, nicUpstream: upstream} {
		if err := addNIC(s, id, name, bulk, failed); err != nil {
			return err
		}
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: subnet(prefix), NIC: nicSubscriber},
		{Destination: header.IPv4EmptySubnet, NIC: nicUpstream},
	})
	if err := s.SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, true); err != nil {
		return fmt.Errorf("switch forwarding on: %s", err)
	}
	ready()
	return <-failed
}

// addNIC makes the interface and puts it into the stack, with an address: netstack
// does not route to a NIC that has none. It is RFC 7600's, which means nobody.
func addNIC(s *netstack.Stack, id tcpip.NICID, name string, bulk bool, failed chan<- error) error {
	nic, err := openNIC(name, bulk, failed)
	if err != nil {
		return err
	}
	if err := s.CreateNIC(id, nic); err != nil {
		return fmt.Errorf("add %s to the stack: %s", name, err)
	}
	address := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFrom4([4]byte{192, 0, 0, 8}).WithPrefix(),
	}
	if err := s.AddProtocolAddress(id, address, netstack.AddressProperties{}); err != nil {
		return fmt.Errorf("give %s an address: %s", name, err)
	}
	return nil
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Masked().Addr().AsSlice()), PrefixLen: p.Bits()}.Subnet()
}
