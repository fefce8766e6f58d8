// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// Roles of the nodes, the last part of their names.
const (
	roleDynamic  = "dynamic"
	roleStatic   = "static"
	roleGateway  = "gateway"
	roleTransit  = "transit"
	roleInternet = "internet"
)

func roles() []string {
	return []string{roleDynamic, roleStatic, roleGateway, roleTransit, roleInternet}
}

// nodePlan is what one node is to look like.
type nodePlan struct {
	role    string
	forward bool // routes between its links
	ipv6    bool
	rpf     int // rp_filter
	addrs   []planAddr
	routes  []planRoute
}

type planAddr struct {
	link   string
	prefix netip.Prefix
}

type planRoute struct {
	link string
	to   netip.Prefix
	via  netip.Addr
}

func (p *nodePlan) addr(link string, addr netip.Addr, bits int) {
	p.addrs = append(p.addrs, planAddr{link: link, prefix: netip.PrefixFrom(addr, bits)})
}

func (p *nodePlan) route(link string, to netip.Prefix, via netip.Addr) {
	p.routes = append(p.routes, planRoute{link: link, to: to, via: via})
}

// cable is a veth pair: near is made in its node, far appears in the other.
type cable struct {
	near, far cableEnd
	mtu       int // bytes
}

type cableEnd struct{ role, link string }

func planCables(opts Options) []cable {
	return []cable{
		{near: cableEnd{roleGateway, LinkDynamic}, far: cableEnd{roleDynamic, LinkHost}, mtu: defaultMTU},
		{near: cableEnd{roleGateway, LinkStatic}, far: cableEnd{roleStatic, LinkHost}, mtu: defaultMTU},
		{near: cableEnd{roleGateway, LinkUpstream}, far: cableEnd{roleTransit, LinkTransitGateway}, mtu: opts.UpstreamMTU},
		{near: cableEnd{roleTransit, LinkTransitInternet}, far: cableEnd{roleInternet, LinkHost}, mtu: opts.InternetMTU},
	}
}

// planNodes returns the plan of each role, in both families as far as a node has
// them.
func planNodes(opts Options) []nodePlan {
	plans := []nodePlan{
		{role: roleDynamic},
		{role: roleStatic},
		{role: roleGateway, forward: !opts.NoForwarding, rpf: opts.ReversePathFilter},
		{role: roleTransit, forward: true},
		{role: roleInternet},
	}
	for i := range plans {
		p := &plans[i]
		p.ipv6 = opts.IPv6 == IPv6On || (opts.IPv6 == IPv6OffGateway && p.role != roleGateway)
		p.plan(IPv4)
		if p.ipv6 {
			p.plan(IPv6)
		}
	}
	return plans
}

// plan adds one family to the node.
func (p *nodePlan) plan(f Family) {
	a, b := f.Addrs(), f.prefixes()
	switch p.role {
	case roleDynamic:
		p.addr(LinkHost, a.Dynamic, b.subscriber)
		p.route(LinkHost, b.any, a.GatewayDynamic)
	case roleStatic:
		p.addr(LinkHost, a.Static, b.subscriber)
		p.route(LinkHost, b.any, a.GatewayStatic)
	case roleGateway:
		p.addr(LinkDynamic, a.GatewayDynamic, b.subscriber)
		p.addr(LinkStatic, a.GatewayStatic, b.subscriber)
		p.addr(LinkUpstream, a.GatewayUpstream, b.upstream)
		p.route(LinkUpstream, b.any, a.TransitGateway)
	case roleTransit:
		p.addr(LinkTransitGateway, a.TransitGateway, b.upstream)
		p.addr(LinkTransitInternet, a.TransitInternet, b.internet)
		p.route(LinkTransitInternet, netip.PrefixFrom(a.MSA, b.host), a.Internet)
		p.route(LinkTransitGateway, b.dynamicPool, a.GatewayUpstream) // holds the static pool, too
	case roleInternet:
		for _, addr := range []netip.Addr{a.Internet, a.MX, a.Web} {
			p.addr(LinkHost, addr, b.internet)
		}
		p.addr(linkLoopback, a.MSA, b.host)
		p.route(LinkHost, b.any, a.TransitInternet)
	}
}
