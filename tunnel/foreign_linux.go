// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What others have on the machine that is not ours to put right, and that packets
// depend on.

// obstacles returns all of it.
func (h *Host) obstacles() error {
	return errors.Join(h.plan.realInterfacesUp(), h.plan.foreignRules(), h.plan.foreignRoutes())
}

// realInterfacesUp tells which of the operator's own interfaces carry nothing.
func (p *Plan) realInterfacesUp() error {
	var errs []error
	say := func(iface, what, fix string) {
		errs = append(errs, &Hint{fmt.Errorf("interface %s %s", iface, what), fix})
	}
	for _, iface := range p.realInterfaces() {
		link, err := netlink.LinkByName(iface)
		switch {
		case errors.As(err, new(netlink.LinkNotFoundError)):
			say(iface, "is gone", "make it again, with this name: op25b goes on with it")
		case err != nil:
			errs = append(errs, fmt.Errorf("find %s: %w", iface, err))
		case link.Attrs().RawFlags&unix.IFF_UP == 0:
			say(iface, "is down", "type: ip link set dev "+iface+" up")
		case link.Attrs().RawFlags&unix.IFF_RUNNING == 0:
			say(iface, "has no link", "look at the cable, and at what is at its other end")
		}
	}
	return errors.Join(errs...)
}

// foreignRules tells which rules of others take subscribers' packets away before ours
// come. A rule that is added without a priority comes before all others, as VPN clients
// do it. One that is for some addresses or ports only is taken for an exception that
// the operator wants.
func (p *Plan) foreignRules() error {
	var errs []error
	for _, family := range p.families() {
		rules, err := netlink.RuleList(family)
		if err != nil {
			errs = append(errs, fmt.Errorf("list rules: %w", err))
			continue
		}
		for _, r := range rules {
			if p.comesBefore(&r) {
				errs = append(errs, &Hint{
					fmt.Errorf("the %s comes before op25b's", ruleText(family, &r)),
					fmt.Sprintf("delete it, or give it a priority above %d", p.Priority+1),
				})
			}
		}
	}
	return errors.Join(errs...)
}

// comesBefore reports whether a rule catches all that comes from a subscriber and has
// our mark.
func (p *Plan) comesBefore(r *netlink.Rule) bool {
	switch {
	case r.Protocol == Protocol, r.Priority <= 0, r.Priority >= p.Priority:
		return false
	case r.Table == unix.RT_TABLE_UNSPEC, r.Table == unix.RT_TABLE_LOCAL: // of a VRF; moved
		return false
	case r.Src != nil, r.Dst != nil, r.OifName != "", r.IPProto != 0, r.Dport != nil, r.Sport != nil, r.UIDRange != nil, r.Tos != 0, r.TunID != 0:
		return false
	case r.IifName != "" && !slices.Contains(p.Subscribers, r.IifName):
		return false
	}
	return matchesMark(r) != r.Invert
}

func matchesMark(r *netlink.Rule) bool {
	bits := ^uint32(0)
	if r.Mask != nil {
		bits = *r.Mask
	}
	return r.Mark == 0 && r.Mask == nil || mark&bits == r.Mark
}

func ruleText(f int, r *netlink.Rule) string {
	s := fmt.Sprintf("rule ip %s rule pref %d", family(f), r.Priority)
	if r.IifName != "" {
		s += " iif " + r.IifName
	}
	return s + fmt.Sprintf(" lookup %d", r.Table)
}

// foreignRoutes tells of routes of others in our tables: they catch subscribers'
// packets.
func (p *Plan) foreignRoutes() error {
	var errs []error
	for _, table := range []int{p.Table, p.Table + 1} {
		for _, f := range p.families() {
			n, err := foreignRoutesIn(f, table)
			if n > 0 {
				err = &Hint{
					fmt.Errorf("routing table %d is in use by others: %d routes", table, n),
					fmt.Sprintf("delete what is not proto %d in: ip %s route show table %d", Protocol, family(f), table),
				}
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// foreignRoutesIn asks the kernel for this table only, since another may hold a million
// routes: with strict checking it heeds what a request for a list asks for.
func foreignRoutesIn(f, table int) (n int, err error) {
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	defer sock.Close()
	if err := unix.SetsockoptInt(sock.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil {
		return 0, fmt.Errorf("list the routes of one table: %w", err)
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: sock}}
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(f)}})                                     //nolint:gosec // AF_INET or AF_INET6
	req.AddData(nl.NewRtAttr(unix.RTA_TABLE, binary.NativeEndian.AppendUint32(nil, uint32(table)))) //nolint:gosec // a table's number
	routes, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil && !errors.Is(err, unix.ENOENT) { // no such table
		return 0, fmt.Errorf("list the routes of table %d: %w", table, err)
	}
	for _, r := range routes {
		if nl.DeserializeRtMsg(r).Protocol != Protocol {
			n++
		}
	}
	return n, nil
}
