// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"strings"

	"op25b/config/input"
)

// LeaseSource tells who had an address at some time. It changes no verdict. Which
// of its keys are set depends on the kind.
type LeaseSource struct {
	// Name is unique among lease sources; it shows up in explanations and logs.
	Name string    `mapstructure:"name"`
	Kind LeaseKind `mapstructure:"kind"`
	// File is the path of the file where a DHCP server keeps its leases, for
	// [LeaseDnsmasq], [LeaseISC] and [LeaseKea]. Empty for the others. A relative
	// one was resolved by [Load].
	File string `mapstructure:"file"`
	// Socket is the path of a DHCP server's unix socket, 107 bytes at most, for
	// [LeaseKeaSocket]. Empty for the others. A relative one was resolved by [Load].
	Socket string `mapstructure:"socket"`
	// Listen is where accounting is received over UDP, for [LeaseRADIUS]. Zero for
	// the others.
	Listen netip.AddrPort `mapstructure:"listen"`
	// Clients are the access servers that are listened to, for [LeaseRADIUS], where
	// empty is refused. Empty for the others.
	Clients []Client `mapstructure:"clients"`
	// SecretFile is the path of the file with the secret that is shared with the
	// clients, for [LeaseRADIUS]. Empty for the others. A relative one was resolved
	// by [Load].
	SecretFile string `mapstructure:"secret_file"`
}

// Client is who may send accounting: a masked prefix, which is written as an
// address if it holds only one.
type Client struct{ netip.Prefix }

func parseClient(text string) (Client, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return Client{netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	if !strings.Contains(text, "/") {
		return Client{}, &mistake{input.Quote(text) + " is neither an IP address nor a prefix", `write one such as 192.0.2.10 or "2001:db8::/64"`}
	}
	p, err := parsePrefix(text)
	return Client{p}, err
}

func parseAddrPort(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, &mistake{input.Quote(text) + " is not an address and a port", `write both, as in 192.0.2.1:1813 or "[2001:db8::1]:1813"`}
	}
	return a, nil
}
