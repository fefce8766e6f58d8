// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// healLink puts one of our interfaces right: its name, its settings, and that it is up.
func (h *Host) healLink(port string) (healed []string, err error) {
	link, err := h.findPort(port, &healed)
	if err != nil {
		return healed, err
	}
	down := link.Attrs().RawFlags&unix.IFF_UP == 0
	for _, heal := range []func(netlink.Link, *[]string) error{h.healMTU, healQueueLength, healMulticast, healSysctls, h.heal6, healAddress} {
		if err := heal(link, &healed); err != nil {
			return healed, err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return healed, fmt.Errorf("bring %s up: %w", port, err)
	}
	if down {
		healed = append(healed, "ip link set dev "+port+" up")
	}
	return healed, nil
}

// findPort returns one of our interfaces, with its own name again if somebody has
// given it another.
func (h *Host) findPort(port string, healed *[]string) (netlink.Link, error) {
	link, err := netlink.LinkByName(port)
	if err == nil {
		h.index[port] = link.Attrs().Index
		return link, nil
	}
	err = fmt.Errorf("find %s: %w", port, err)
	index, known := h.index[port]
	if !known || !errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, err
	}
	link, gone := netlink.LinkByIndex(index)
	if gone != nil || !isTUN(link) {
		return nil, &Hint{err, "wait, it is made anew if it was deleted; restart op25b if it was moved to another network namespace"}
	}
	other := link.Attrs().Name
	// Before Linux 6.2 one that is up cannot be renamed.
	if err := errors.Join(netlink.LinkSetDown(link), netlink.LinkSetName(link, port)); err != nil {
		return nil, fmt.Errorf("name %s %s again: %w", other, port, err)
	}
	*healed = append(*healed, "ip link set dev "+other+" name "+port)
	return netlink.LinkByName(port)
}

func (h *Host) healMTU(link netlink.Link, healed *[]string) error {
	mtu, name := link.Attrs().MTU, link.Attrs().Name
	if mtu == h.mtu {
		return nil
	}
	// Below IPv6's minimum the kernel has forgotten IPv6 there, and would begin with
	// an address and say so.
	if h.plan.IPv6 && mtu < ipv6MinimumMTU {
		if err := netlink.LinkSetDown(link); err != nil {
			return fmt.Errorf("take %s down: %w", name, err)
		}
		if err := h.forget6(link); err != nil {
			return err
		}
		if err := h.silence6(link); err != nil {
			return err
		}
	} else if err := netlink.LinkSetMTU(link, h.mtu); err != nil {
		return fmt.Errorf("set MTU of %s to %d: %w", name, h.mtu, err)
	}
	*healed = append(*healed, fmt.Sprintf("ip link set dev %s mtu %d", name, h.mtu))
	return nil
}

// queueLength is how many packets wait in each queue of a port at most. It bridges
// the time from the end of a gateway that was killed until the kernel does not divert
// to it any more, some 50 ms, at up to 20,000 packets a second; and with super-packets
// of 64 KiB it bounds the memory to 64 MiB a queue.
const queueLength = 1000

func healQueueLength(link netlink.Link, healed *[]string) error {
	if link.Attrs().TxQLen == queueLength {
		return nil
	}
	if err := netlink.LinkSetTxQLen(link, queueLength); err != nil {
		return fmt.Errorf("set the queue length of %s: %w", link.Attrs().Name, err)
	}
	*healed = append(*healed, fmt.Sprintf("ip link set dev %s txqueuelen %d", link.Attrs().Name, queueLength))
	return nil
}

func healMulticast(link netlink.Link, healed *[]string) error {
	if link.Attrs().RawFlags&unix.IFF_MULTICAST == 0 {
		return nil
	}
	if err := netlink.LinkSetMulticastOff(link); err != nil {
		return fmt.Errorf("switch multicast off on %s: %w", link.Attrs().Name, err)
	}
	*healed = append(*healed, "ip link set dev "+link.Attrs().Name+" multicast off")
	return nil
}

func healSysctls(link netlink.Link, healed *[]string) error {
	name := link.Attrs().Name
	for _, c := range portSysctls() {
		if v, err := c.read(name); err != nil || v == c.value {
			continue
		}
		if err := c.set(link); err != nil {
			return err
		}
		*healed = append(*healed, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.%s=%d", name, c.name, c.value))
	}
	return nil
}

// heal6 switches IPv6 on again.
func (h *Host) heal6(link netlink.Link, healed *[]string) error {
	name := link.Attrs().Name
	if !h.plan.IPv6 || HasIPv6(name) {
		return nil
	}
	if err := h.silence6(link); err != nil {
		return err
	}
	*healed = append(*healed, "sysctl -w net.ipv6.conf."+name+".disable_ipv6=0")
	return nil
}

func healAddress(link netlink.Link, healed *[]string) error {
	added, err := addPortAddress(link)
	if added {
		*healed = append(*healed, fmt.Sprintf("ip addr add %s dev %s scope host", portAddress().IPNet, link.Attrs().Name))
	}
	return err
}
