// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Forwarding is off on a machine that was no router before. It is switched on while
// op25b runs, and off again afterwards.

const (
	setting6                   = "net.ipv6.conf.all.forwarding"
	setting4Begin, setting4End = "net.ipv4.conf.", ".forwarding"
)

// enableForwarding remembers what it changed.
func (h *Host) enableForwarding() error {
	if err := h.enableForwarding4(); err != nil {
		return err
	}
	if !h.plan.IPv6 {
		return nil
	}
	if v, err := readInt(ipv6Forwarding); err != nil || v != 0 {
		return nil //nolint:nilerr // no such switch: no IPv6
	}
	return h.enableForwarding6()
}

func (h *Host) enableForwarding4() error {
	for _, iface := range h.plan.realInterfaces() {
		switched, err := switchOn4(iface)
		if err != nil {
			return err
		}
		if switched {
			h.remember(setting4Begin + iface + setting4End)
		}
	}
	return nil
}

// switchOn4 reports whether forwarding was off.
func switchOn4(iface string) (switched bool, err error) {
	if v, err := confForwarding(1).read(iface); err != nil || v == 1 {
		return false, nil //nolint:nilerr // the interface is gone, which is told elsewhere
	}
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return false, fmt.Errorf("find %s: %w", iface, err)
	}
	return true, confForwarding(1).set(link)
}

// enableForwarding6 leaves a machine alone that has its own default route from
// router advertisements: as a router it would lose it.
func (h *Host) enableForwarding6() error {
	const fix = "type: sysctl -w net.ipv6.conf.all.forwarding=1"
	routes, err := netlink.RouteListFiltered(unix.AF_INET6, &netlink.Route{Protocol: unix.RTPROT_RA}, netlink.RT_FILTER_PROTOCOL)
	if err == nil && len(routes) > 0 {
		h.log.Warn("IPv6 forwarding is off, and switching it on would remove the default route that this machine "+
			"learned from router advertisements: subscribers have no IPv6", zap.String("fix",
			"sysctl -w net.ipv6.conf."+h.plan.Upstream+".accept_ra=2 net.ipv6.conf.all.forwarding=1"))
		return nil
	}
	if err := writeInt(ipv6Forwarding, 1); err != nil {
		h.log.Warn("IPv6 forwarding is off and cannot be switched on: subscribers have no IPv6",
			zap.Error(err), zap.String("fix", fix))
		return nil
	}
	h.remember(setting6)
	return nil
}

func (h *Host) remember(what string) {
	h.log.Warn("forwarding was off; it is on while op25b runs and off again afterwards",
		zap.String("setting", what), zap.String("fix", "to keep it on, put "+what+" = 1 into /etc/sysctl.d/"))
	h.restore = append(h.restore, what)
}

// reforward switches on again what somebody has switched off since, or what is off
// on an interface that went and came back.
func (h *Host) reforward() (healed []string, err error) {
	var errs []error
	for _, iface := range h.plan.realInterfaces() {
		switched, err := switchOn4(iface)
		errs = append(errs, err)
		if switched && err == nil {
			healed = append(healed, "sysctl -w "+setting4Begin+iface+setting4End+"=1")
		}
	}
	v, err := readInt(ipv6Forwarding)
	switch {
	case !h.plan.IPv6 || err != nil:
	case v != 0:
		h.forwards6 = true
	case h.forwards6: // and is off now
		if err := writeInt(ipv6Forwarding, 1); err != nil {
			errs = append(errs, err)
			break
		}
		healed = append(healed, "sysctl -w "+setting6+"=1")
	}
	return healed, errors.Join(errs...)
}

// switchOff puts one of the settings back that remember was told of. An interface
// that is gone has none.
func switchOff(what string) error {
	if what == setting6 {
		return writeInt(ipv6Forwarding, 0)
	}
	iface := strings.TrimSuffix(strings.TrimPrefix(what, setting4Begin), setting4End)
	link, err := netlink.LinkByName(iface)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = confForwarding(0).set(link)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore %s: %w", what, err)
	}
	return nil
}
