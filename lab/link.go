// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const linkLoopback = "lo"

// linkTimeout bounds the wait for a link to carry packets.
const linkTimeout = 5 * time.Second

// SetLinkUp brings a link up. The kernel forgets the IPv6 addresses of a link
// that goes down, and the routes through it; SetLinkUp puts back those that [New]
// made, as a host's network manager would. Packets flow after [Node.WaitLink].
func (n *Node) SetLinkUp(link string) error {
	if err := n.changeLink(link, n.handle.LinkSetUp); err != nil {
		return fmt.Errorf("bring up %s in %s: %w", link, n.name, err)
	}
	return n.configure(link)
}

// SetLinkDown takes a link down. The other end of the cable loses its carrier.
func (n *Node) SetLinkDown(link string) error {
	if err := n.changeLink(link, n.handle.LinkSetDown); err != nil {
		return fmt.Errorf("take down %s in %s: %w", link, n.name, err)
	}
	return nil
}

// SetMTU sets a link's MTU, in bytes. The other end keeps its own. Below 1280 the
// kernel takes IPv6 off the link (RFC 8200 section 5).
func (n *Node) SetMTU(link string, mtu int) error {
	set := func(l netlink.Link) error { return n.handle.LinkSetMTU(l, mtu) }
	if err := n.changeLink(link, set); err != nil {
		return fmt.Errorf("set MTU %d of %s in %s: %w", mtu, link, n.name, err)
	}
	return nil
}

func (n *Node) changeLink(name string, change func(netlink.Link) error) error {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return err
	}
	return change(link)
}

// configure gives a link the addresses and routes of the plan, as far as it does
// not have them.
func (n *Node) configure(name string) error {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("configure %s in %s: %w", name, n.name, err)
	}
	for _, a := range n.plan.addrs {
		if a.link != name {
			continue
		}
		if err := n.handle.AddrReplace(link, &netlink.Addr{IPNet: ipNet(a.prefix)}); err != nil {
			return fmt.Errorf("add address %s to %s in %s: %w", a.prefix, name, n.name, err)
		}
	}
	for _, r := range n.plan.routes {
		if r.link != name {
			continue
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.to), Gw: r.via.AsSlice()}
		if err := n.handle.RouteReplace(route); err != nil {
			return fmt.Errorf("add route to %s via %s in %s: %w", r.to, r.via, n.name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// connect makes the veth pair, both ends in their nodes and up.
func connect(c cable, near, far *Node) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.near.link
	attrs.MTU = c.mtu
	veth := netlink.NewVeth(attrs)
	veth.PeerName = c.far.link
	veth.PeerNamespace = netlink.NsFd(far.ns)
	if err := near.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("connect %s in %s to %s: %w", c.near.link, near.name, far.name, err)
	}
	if err := near.changeLink(c.near.link, near.handle.LinkSetUp); err != nil {
		return fmt.Errorf("bring up %s in %s: %w", c.near.link, near.name, err)
	}
	if err := far.changeLink(c.far.link, far.handle.LinkSetUp); err != nil {
		return fmt.Errorf("bring up %s in %s: %w", c.far.link, far.name, err)
	}
	return nil
}

// WaitLink waits, for five seconds at most, until a link carries packets: both
// ends are up, and its IPv6 addresses are usable, the link-local one among them.
// The kernel does both in the background, and until then it loses packets: a first
// SYN or neighbor solicitation would only be repeated a second later.
func (n *Node) WaitLink(name string) error {
	for deadline := time.Now().Add(linkTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		ready, err := n.linkReady(name)
		if err != nil {
			return fmt.Errorf("wait for %s in %s: %w", name, n.name, err)
		}
		if ready {
			return nil
		}
	}
	return fmt.Errorf("wait for %s in %s: not ready after %s", name, n.name, linkTimeout)
}

// waitLinks waits for every link of the plan.
func (n *Node) waitLinks() error {
	for _, a := range n.plan.addrs {
		if err := n.WaitLink(a.link); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) linkReady(name string) (bool, error) {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return false, err
	}
	loopback := link.Attrs().Flags&net.FlagLoopback != 0 // has no carrier and no link-local address
	if !loopback && link.Attrs().OperState != netlink.OperUp {
		return false, nil
	}
	if !n.plan.ipv6 {
		return true, nil
	}
	addrs, err := n.handle.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, err
	}
	tentative := func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 }
	linkLocal := func(a netlink.Addr) bool { return a.IP.IsLinkLocalUnicast() }
	return !slices.ContainsFunc(addrs, tentative) && (loopback || slices.ContainsFunc(addrs, linkLocal)), nil
}

// setKernelParameters makes the node independent of the host's settings, which a
// new namespace inherits in part (net.core.devconf_inherit_init_net). It comes
// before the links: they take their values from "default".
func (n *Node) setKernelParameters() error {
	settings := []struct{ key, value string }{
		{"net.ipv4.ip_forward", digit(n.plan.forward)},
		{"net.ipv4.conf.all.rp_filter", strconv.Itoa(n.plan.rpf)},
		{"net.ipv4.conf.default.rp_filter", strconv.Itoa(n.plan.rpf)},
	}
	if kernelHasIPv6() {
		settings = append(settings, []struct{ key, value string }{
			{"net.ipv6.conf.all.disable_ipv6", digit(!n.plan.ipv6)},
			{"net.ipv6.conf.default.disable_ipv6", digit(!n.plan.ipv6)},
			{"net.ipv6.conf.all.forwarding", digit(n.plan.forward)},
			// No duplicate address detection (RFC 4862 section 5.4): it takes a
			// second. Not by the addresses' nodad flag: one that has it never
			// shows as tentative, so nobody could see when it is usable.
			{"net.ipv6.conf.default.accept_dad", "0"},
		}...)
	}
	for _, s := range settings {
		if err := n.SetSysctl(s.key, s.value); err != nil {
			return err
		}
	}
	return nil
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
