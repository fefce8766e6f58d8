// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is the kernel's struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

// ethtoolRequest is the kernel's struct ifreq as SIOCETHTOOL reads it: a name and
// a pointer, in a union of 24 bytes.
type ethtoolRequest struct {
	name  [unix.IFNAMSIZ]byte
	value *ethtoolValue
	_     [16]byte
}

// SetOffloads turns a link's offloads on or off: checksums, scatter-gather,
// segmentation and aggregation. Without them a subscriber sends packets as a real
// network card puts them on the wire: whole checksums, no super-packets.
func (n *Node) SetOffloads(link string, on bool) error {
	commands := []struct {
		name    string
		command uint32
	}{
		// The order matters when turning off: segmentation needs checksums.
		{"GRO", unix.ETHTOOL_SGRO},
		{"GSO", unix.ETHTOOL_SGSO},
		{"TSO", unix.ETHTOOL_STSO},
		{"scatter-gather", unix.ETHTOOL_SSG},
		{"transmit checksum", unix.ETHTOOL_STXCSUM},
		{"receive checksum", unix.ETHTOOL_SRXCSUM},
	}
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket for ethtool in %s: %w", n.name, err)
		}
		defer unix.Close(fd)
		for _, c := range commands {
			if err := ethtool(fd, link, c.command, on); err != nil {
				return fmt.Errorf("set %s of %s in %s: %w", c.name, link, n.name, err)
			}
		}
		return nil
	})
}

// ethtool sets one feature by ioctl. A feature that the driver does not have
// counts as off.
func ethtool(fd int, link string, command uint32, on bool) error {
	value := ethtoolValue{command: command}
	if on {
		value.data = 1
	}
	request := ethtoolRequest{value: &value}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(&value)
	if errno == 0 || (!on && errors.Is(errno, unix.EOPNOTSUPP)) {
		return nil
	}
	return errno
}
