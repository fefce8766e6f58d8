// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// Names of the gateway's links.
const (
	LinkDynamic  = "dyn0"  // to the dynamic subscriber
	LinkStatic   = "stat0" // to the static subscriber
	LinkUpstream = "up0"   // to the transit router
)

// LinkHost is the name of the only link of a subscriber and of the internet.
const LinkHost = "eth0"

// Names of the transit router's links.
const (
	LinkTransitGateway  = "gw0"   // to the gateway
	LinkTransitInternet = "inet0" // to the internet
)

// Ports of the services.
const (
	PortEcho        = 7   // UDP, see [Network.StartEcho]
	PortSMTP        = 25  // mail between servers, what the gateway guards
	PortWeb         = 80  // HTTP, see [Network.StartWeb]
	PortSubmissions = 465 // submission over implicit TLS, RFC 8314 section 3.3
	PortSubmission  = 587 // submission with STARTTLS, RFC 6409
)

// Family is an address family: [IPv4] or [IPv6].
type Family int

// The two address families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "IPv4" or "IPv6".
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Addrs are the addresses of one family in every network.
type Addrs struct {
	Dynamic         netip.Addr // the dynamic subscriber
	Static          netip.Addr // the static subscriber
	GatewayDynamic  netip.Addr // the gateway, on the dynamic subscriber's link
	GatewayStatic   netip.Addr // the gateway, on the static subscriber's link
	GatewayUpstream netip.Addr // the gateway, on the transit link
	TransitGateway  netip.Addr // the transit router, on the gateway's link
	TransitInternet netip.Addr // the transit router, on the internet's link
	Internet        netip.Addr // the internet host itself, and its UDP echo
	MX              netip.Addr // a mail provider: 25, 465 and 587
	Web             netip.Addr // a web server: 80
	MSA             netip.Addr // the ISP's own submission server: 25 and 587
}

// Addrs returns the family's addresses.
func (f Family) Addrs() Addrs {
	a := netip.MustParseAddr
	if f == IPv6 {
		return Addrs{
			Dynamic:         a("2001:db8:a:1::2"),
			Static:          a("2001:db8:a:ffff::2"),
			GatewayDynamic:  a("2001:db8:a:1::1"),
			GatewayStatic:   a("2001:db8:a:ffff::1"),
			GatewayUpstream: a("2001:db8:ff::1"),
			TransitGateway:  a("2001:db8:ff::2"),
			TransitInternet: a("2001:db8:cafe::1"),
			Internet:        a("2001:db8:cafe::10"),
			MX:              a("2001:db8:cafe::25"),
			Web:             a("2001:db8:cafe::80"),
			MSA:             a("2001:db8:25::25"),
		}
	}
	return Addrs{
		Dynamic:         a("100.64.0.2"),
		Static:          a("100.65.0.2"),
		GatewayDynamic:  a("100.64.0.1"),
		GatewayStatic:   a("100.65.0.1"),
		GatewayUpstream: a("198.51.100.1"),
		TransitGateway:  a("198.51.100.2"),
		TransitInternet: a("203.0.113.1"),
		Internet:        a("203.0.113.10"),
		MX:              a("203.0.113.25"),
		Web:             a("203.0.113.80"),
		MSA:             a("192.0.2.25"),
	}
}

// prefixes are the lengths and the blocks of one family.
type prefixes struct {
	subscriber, upstream, internet, host int          // lengths, in bits
	any, dynamicPool, staticPool         netip.Prefix // blocks
}

func (f Family) prefixes() prefixes {
	p := netip.MustParsePrefix
	if f == IPv6 {
		return prefixes{
			subscriber: 64, upstream: 64, internet: 64, host: 128,
			any:         p("::/0"),
			dynamicPool: p("2001:db8:a::/48"),
			staticPool:  p("2001:db8:a:ffff::/64"),
		}
	}
	return prefixes{
		subscriber: 24, upstream: 30, internet: 24, host: 32,
		any:         p("0.0.0.0/0"),
		dynamicPool: p("100.64.0.0/10"),
		staticPool:  p("100.65.0.0/24"),
	}
}
