// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// conf is one net.ipv4.conf.IFACE setting. It is read from /proc and written
// through netlink, which needs CAP_NET_ADMIN only and works where systemd has
// made /proc/sys read-only (ProtectKernelTunables).
type conf struct {
	name  string
	id    int // IPV4_DEVCONF_* (linux/ip.h)
	value int
}

const iflaInetConf = 1 // IFLA_INET_CONF (linux/if_link.h)

func confForwarding(value int) conf { return conf{"forwarding", 1, value} }

// portSysctls are the settings of our own two interfaces.
func portSysctls() []conf {
	return []conf{
		confForwarding(1),
		// The kernel never sends redirects for what it routes into the TUN.
		{"send_redirects", 6, 0},
		// What leaves the TUN comes from anywhere: strict reverse-path filtering
		// would drop it all (RFC 3704, section 2.4, is loose mode). The effective
		// mode is the larger of this and net.ipv4.conf.all.rp_filter.
		{"rp_filter", 8, 2},
		// ICMP errors that the gateway sends carry one of the machine's own
		// addresses as source.
		{"accept_local", 23, 1},
	}
}

func (c conf) path(iface string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", iface, c.name)
}

// read returns the value in force.
func (c conf) read(iface string) (int, error) { return readInt(c.path(iface)) }

// set writes c.value for the interface.
func (c conf) set(link netlink.Link) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index) //nolint:gosec // an interface index
	req.AddData(msg)
	var value [4]byte
	binary.NativeEndian.PutUint32(value[:], uint32(c.value)) //nolint:gosec // 0, 1 or 2
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil).AddRtAttr(c.id, value[:])
	req.AddData(spec)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("set net.ipv4.conf.%s.%s to %d: %w", link.Attrs().Name, c.name, c.value, err)
	}
	return nil
}

const ipv6Forwarding = "/proc/sys/net/ipv6/conf/all/forwarding"

// HasIPv6 reports whether IPv6 is enabled on the interface. A kernel without
// IPv6 has it nowhere.
func HasIPv6(iface string) bool {
	v, err := readInt(disableIPv6(iface))
	return err == nil && v == 0
}

func disableIPv6(iface string) string {
	return filepath.Join("/proc/sys/net/ipv6/conf", iface, "disable_ipv6")
}

func readInt(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read setting: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return v, nil
}

func writeInt(path string, value int) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(value)), 0o644); err != nil {
		return fmt.Errorf("write setting: %w", err)
	}
	return nil
}
