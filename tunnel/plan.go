// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Protocol is the origin that marks rules and routes as ours (rtnetlink(7):
// rtm_protocol, FRA_PROTOCOL), as `ip rule show proto 25` prints it.
const Protocol = 25

// OnExit is what the kernel does with subscribers' traffic while the gateway is
// down. What enforces it is put in place at the start and stays there, so that
// a crash finds it already in force.
type OnExit uint8

const (
	// OnExitRejectSMTP forwards everything but connections to the blocked
	// ports, which the kernel refuses by itself.
	OnExitRejectSMTP OnExit = iota
	// OnExitForward forwards everything.
	OnExitForward
	// OnExitBlackhole forwards nothing that the gateway would have seen.
	OnExitBlackhole
)

// Plan says what the kernel around the two ports must look like. It is data:
// [Host] puts it in force, Commands shows it.
type Plan struct {
	// Subscribers and Upstream are the real interfaces.
	Subscribers []string
	Upstream    string
	// SubscriberPort and UpstreamPort are the names of the two TUN interfaces.
	SubscriberPort string
	UpstreamPort   string
	// MTU of the TUN interfaces; 0 follows the smallest real interface.
	MTU int
	// Table holds the default route into SubscriberPort, Table+1 the one into
	// UpstreamPort.
	Table int
	// Priority of the first rule.
	Priority int
	// Capture limits what enters the TUN to TCP to these ports; empty means
	// everything. The kernel forwards the rest.
	Capture []uint16
	// Addresses are the gateway's own, which nobody else on this machine has: what
	// subscribers send to them enters the TUN in any case.
	Addresses []netip.Addr
	// ReturnPath sends what comes from the upstream through the gateway too.
	ReturnPath bool
	// IPv4 and IPv6 say which families the machine has.
	IPv4, IPv6 bool
	OnExit     OnExit
	Guard      Guard
}

// rule is one policy rule of ours.
type rule struct {
	family, priority, table int
	iif                     string
	proto                   int    // 0: any
	dport, sport            uint16 // 0: any
	mark                    uint32 // 0: any
}

// route is one default route of ours; no device means blackhole.
type route struct {
	family, table, metric int
	dev                   string
}

// blackholeMetric is behind every route through a device.
const blackholeMetric = 4096

func (p *Plan) families() []int {
	var f []int
	if p.IPv4 {
		f = append(f, unix.AF_INET)
	}
	if p.IPv6 {
		f = append(f, unix.AF_INET6)
	}
	return f
}

func (p *Plan) rules() []rule {
	var rules []rule
	for _, family := range p.families() {
		for _, iif := range p.Subscribers {
			out := rule{family: family, priority: p.Priority, table: p.Table, iif: iif}
			if p.OnExit == OnExitBlackhole { // the rule has to outlive the mark
				rules = append(rules, out.perPort(p.Capture, func(r *rule, port uint16) { r.dport = port })...)
				continue
			}
			// By the mark alone: the reverse path filter asks without it, and
			// with the same interface (fib_validate_source takes the way out
			// for the way in), so it would find the answer in our table.
			out.mark = mark
			rules = append(rules, out)
		}
		if p.ReturnPath {
			in := rule{family: family, priority: p.Priority + 1, table: p.Table + 1, iif: p.Upstream}
			if p.OnExit == OnExitBlackhole {
				rules = append(rules, in.perPort(p.Capture, func(r *rule, port uint16) { r.sport = port })...)
				continue
			}
			in.mark = mark
			rules = append(rules, in)
		}
	}
	return rules
}

// perPort returns r itself, or one TCP rule for each port and one for what is
// marked as able to hide such a packet.
func (r rule) perPort(ports []uint16, set func(*rule, uint16)) []rule {
	if len(ports) == 0 {
		return []rule{r}
	}
	var rules []rule
	for _, port := range ports {
		one := r
		one.proto = unix.IPPROTO_TCP
		set(&one, port)
		rules = append(rules, one)
	}
	marked := r
	marked.mark = mark
	return append(rules, marked)
}

// routes returns what lasts, a blackhole, before what goes away with a device.
func (p *Plan) routes() []route {
	var routes []route
	for _, family := range p.families() {
		if p.OnExit == OnExitBlackhole {
			routes = append(routes, route{family: family, table: p.Table, metric: blackholeMetric})
		}
		routes = append(routes, route{family: family, table: p.Table, metric: 1, dev: p.SubscriberPort})
		if p.ReturnPath {
			routes = append(routes, route{family: family, table: p.Table + 1, metric: 1, dev: p.UpstreamPort})
		}
	}
	return routes
}

func (r rule) netlink() *netlink.Rule {
	n := netlink.NewRule()
	n.Family, n.Priority, n.Table = r.family, r.priority, r.table
	n.IifName, n.IPProto, n.Protocol = r.iif, r.proto, Protocol
	if r.dport != 0 {
		n.Dport = netlink.NewRulePortRange(r.dport, r.dport)
	}
	if r.sport != 0 {
		n.Sport = netlink.NewRulePortRange(r.sport, r.sport)
	}
	if r.mark != 0 {
		ours := uint32(markMask)
		n.Mark, n.Mask = r.mark, &ours
	}
	return n
}

// is reports whether n, as the kernel lists it, is this rule.
func (r rule) is(n netlink.Rule) bool {
	port := func(p *netlink.RulePortRange) uint16 {
		if p == nil || p.Start != p.End {
			return 0
		}
		return p.Start
	}
	return r == rule{
		family: r.family, priority: n.Priority, table: n.Table, iif: n.IifName,
		proto: n.IPProto, dport: port(n.Dport), sport: port(n.Sport), mark: n.Mark,
	}
}

func family(f int) string {
	if f == unix.AF_INET6 {
		return "-6"
	}
	return "-4"
}

// command returns what a person would type.
func (r rule) command() string {
	s := fmt.Sprintf("ip %s rule add pref %d iif %s", family(r.family), r.priority, r.iif)
	if r.proto != 0 {
		s += " ipproto tcp"
	}
	if r.dport != 0 {
		s += fmt.Sprintf(" dport %d", r.dport)
	}
	if r.sport != 0 {
		s += fmt.Sprintf(" sport %d", r.sport)
	}
	if r.mark != 0 {
		s += fmt.Sprintf(" fwmark %#x/%#x", r.mark, uint32(markMask))
	}
	return s + fmt.Sprintf(" lookup %d protocol %d", r.table, Protocol)
}

func (r route) command() string {
	target := "dev " + r.dev
	kind := ""
	if r.dev == "" {
		kind, target = "blackhole ", ""
	}
	s := fmt.Sprintf("ip %s route add %sdefault", family(r.family), kind)
	if target != "" {
		s += " " + target
	}
	return s + fmt.Sprintf(" table %d metric %d protocol %d", r.table, r.metric, Protocol)
}

// Commands returns the shell commands that would set up by hand what [Host]
// applies, in order, for people to read.
func (p *Plan) Commands() []string {
	var c []string
	for _, port := range p.ports() {
		c = append(c,
			"ip tuntap add dev "+port+" mode tun multi_queue vnet_hdr",
			p.linkCommand(port),
			fmt.Sprintf("ip addr add %s dev %s scope host", portAddress().IPNet, port))
		for _, s := range portSysctls() {
			c = append(c, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.%s=%d", port, s.name, s.value))
		}
	}
	for _, iface := range p.realInterfaces() {
		c = append(c, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.forwarding=1", iface))
	}
	if p.IPv6 {
		c = append(c, "sysctl -w net.ipv6.conf.all.forwarding=1")
	}
	if p.guarded() {
		c = append(c, "nft -f - <<'EOF'\n"+p.guardScript()+"EOF")
	}
	c = append(c, "nft -f - <<'EOF'\n"+p.divertScript()+"EOF")
	for _, port := range p.ports() {
		c = append(c, "ip link set dev "+port+" up")
	}
	for _, r := range p.routes() {
		c = append(c, r.command())
	}
	for _, r := range p.rules() {
		c = append(c, r.command())
	}
	return c
}

func (p *Plan) linkCommand(port string) string {
	c := fmt.Sprintf("ip link set dev %s mtu %d txqueuelen %d multicast off", port, p.MTU, queueLength)
	if p.IPv6 {
		c += " addrgenmode none"
	}
	return c
}

func (p *Plan) ports() []string { return []string{p.SubscriberPort, p.UpstreamPort} }

func (p *Plan) realInterfaces() []string { return append(slices.Clone(p.Subscribers), p.Upstream) }
