// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cleanup removes what a gateway that is gone has left in this network
// namespace: rules and routes with our protocol number in table and table+1,
// and the guard. It returns what it removed, in words. Ports need no cleaning:
// they die with their process.
func Cleanup(table int) (removed []string, err error) {
	rules, err := ourRules(table)
	if err != nil {
		return nil, err
	}
	routes, err := ourRoutes(table)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range rules {
		if err := netlink.RuleDel(&r); err != nil {
			errs = append(errs, fmt.Errorf("delete rule %d: %w", r.Priority, err))
			continue
		}
		removed = append(removed, fmt.Sprintf("ip %s rule pref %d iif %s lookup %d", family(r.Family), r.Priority, r.IifName, r.Table))
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil {
			errs = append(errs, fmt.Errorf("delete route in table %d: %w", r.Table, err))
			continue
		}
		removed = append(removed, fmt.Sprintf("ip %s route default table %d", family(r.Family), r.Table))
	}
	if guardExists() {
		errs = append(errs, removeGuard())
		removed = append(removed, "nft table inet "+guardTable)
	}
	return removed, errors.Join(errs...)
}

// deathRattle is how long the interface of a gateway that was killed may stay: the
// kernel gives back in the background what io_uring held.
const deathRattle = 2 * time.Second

// Running reports whether a gateway holds the TUN interface name in this network
// namespace, and its process id where that can be seen. It waits for the interface
// of one that was killed to go.
func Running(name string) (pid int, running bool) {
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err != nil || !isTUN(link) {
			return 0, false
		}
		if pid := Holder(name); pid != 0 || time.Since(begun) > deathRattle {
			return pid, true
		}
	}
}

func isTUN(link netlink.Link) bool { return link.Type() == "tuntap" || link.Type() == "tun" }

// OtherGateway returns the interface of a gateway that runs in this network
// namespace with other ports than these, or "". A route of ours through a device
// goes away with its gateway, so one that is there leads into a gateway that
// lives, whatever its table.
func OtherGateway(ports ...string) (string, error) {
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := netlink.RouteListFiltered(f, &netlink.Route{Protocol: Protocol, Table: unix.RT_TABLE_UNSPEC},
			netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return "", fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			link, err := netlink.LinkByIndex(r.LinkIndex)
			if r.Type == unix.RTN_UNICAST && err == nil && isTUN(link) && !slices.Contains(ports, link.Attrs().Name) {
				return link.Attrs().Name, nil
			}
		}
	}
	return "", nil
}

// removeLeftovers deletes rules and routes of ours that the plan does not hold.
// Those that it holds stay, so that a blackhole and a succession have no gap.
func (h *Host) removeLeftovers() error {
	rules, err := ourRules(h.plan.Table)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if h.plan.holds(r) {
			continue
		}
		if err := netlink.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete the rule %d that an earlier run left: %w", r.Priority, err)
		}
	}
	routes, err := ourRoutes(h.plan.Table)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if h.plan.holdsRoute(r) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete the route in table %d that an earlier run left: %w", r.Table, err)
		}
	}
	return nil
}

func (p *Plan) holds(n netlink.Rule) bool {
	for _, r := range p.rules() {
		if r.family == n.Family && r.is(n) {
			return true
		}
	}
	return false
}

func (p *Plan) holdsRoute(n netlink.Route) bool {
	dev := ""
	if link, err := netlink.LinkByIndex(n.LinkIndex); err == nil && n.Type == unix.RTN_UNICAST {
		dev = link.Attrs().Name
	}
	return slices.Contains(p.routes(), route{family: n.Family, table: n.Table, metric: n.Priority, dev: dev})
}

func removeRules(table int) error {
	rules, err := ourRules(table)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rules {
		if err := netlink.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("delete rule %d: %w", r.Priority, err))
		}
	}
	return errors.Join(errs...)
}

// ourRules lists the rules that carry our protocol number and lead to our
// tables.
func ourRules(table int) ([]netlink.Rule, error) {
	var ours []netlink.Rule
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := netlink.RuleList(f)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			if r.Protocol == Protocol && (r.Table == table || r.Table == table+1) {
				r.Family = f
				ours = append(ours, r)
			}
		}
	}
	return ours, nil
}

// checkTables refuses to share a routing table with someone else: their routes
// would catch subscribers' packets, or ours theirs.
func (h *Host) checkTables() error {
	routes, err := routesIn(h.plan.Table)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Protocol != Protocol {
			return &Hint{fmt.Errorf("routing table %d is in use by others: %s", r.Table, r),
				"set forwarding.table to a number that is free, with the next one free as well"}
		}
	}
	return nil
}

func ourRoutes(table int) ([]netlink.Route, error) {
	routes, err := routesIn(table)
	return slices.DeleteFunc(routes, func(r netlink.Route) bool { return r.Protocol != Protocol }), err
}

// routesIn lists what table and table+1 hold.
func routesIn(table int) ([]netlink.Route, error) {
	var all []netlink.Route
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, t := range []int{table, table + 1} {
			routes, err := netlink.RouteListFiltered(f, &netlink.Route{Table: t}, netlink.RT_FILTER_TABLE)
			if errors.Is(err, unix.EAFNOSUPPORT) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list routes: %w", err)
			}
			all = append(all, routes...)
		}
	}
	return all, nil
}

func defaultNet(f int) *net.IPNet {
	if f == unix.AF_INET6 {
		return &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	return &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
}
