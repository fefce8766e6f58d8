// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// unfinished is the name of an interface until it is complete: the kernel puts the first
// number that is free in the place of %d, so that it is never one that is there already.
const unfinished = "op25b-new%d"

// rename gives an interface that is unfinished its name. It waits for one of that
// name that is going away.
func rename(links *netlink.Handle, link netlink.Link, name string) error {
	err := links.LinkSetName(link, name)
	if !errors.Is(err, unix.EEXIST) {
		return nameHint(name, err)
	}
	if _, running := Running(name); !running {
		err = links.LinkSetName(link, name)
	}
	return nameHint(name, err)
}

// Interface returns the name of the TUN interface that f is a queue of, one like
// those that this package makes.
func Interface(f *os.File) (string, error) {
	ifr, err := unix.NewIfreq("?") // the kernel fills it in
	if err != nil {
		return "", fmt.Errorf("ask for an interface's name: %w", err)
	}
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNGETIFF, ifr); err != nil {
		return "", fmt.Errorf("%s is no queue of a TUN interface: %w", f.Name(), err)
	}
	const kind = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE
	if flags := ifr.Uint16(); flags&kind != kind {
		return "", fmt.Errorf("%s is a queue of %s, which has other flags: %#x", f.Name(), ifr.Name(), flags)
	}
	return ifr.Name(), nil
}

// adopt takes descriptors over that are queues of the interface.
func adopt(name string, files []*os.File) (fds []int, err error) {
	for _, f := range files {
		found, err := Interface(f)
		if err == nil && found != name {
			err = fmt.Errorf("%s is a queue of %s", f.Name(), found)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(fds))
		}
		// A copy, since the file closes its own.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			fds, err = append(fds, fd), unix.SetNonblock(fd, false)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, errors.Join(fmt.Errorf("adopt a queue: %w", err), closeAll(fds))
		}
	}
	return fds, nil
}

func closeAll(fds []int) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// openQueue opens one more queue of the interface name, or the first of a new one. It
// returns a blocking descriptor, and the name that the interface has.
func openQueue(name string) (fd int, given string, err error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return -1, "", fmt.Errorf("name the interface: %w", err)
	}
	if fd, err = unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return -1, "", openHint(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, "", errors.Join(attachHint(err), unix.Close(fd))
	}
	return fd, ifr.Name(), nil
}

func openHint(err error) error {
	wrapped := fmt.Errorf("open %s: %w", clonePath, err)
	switch {
	case errors.Is(err, unix.ENOENT):
		return &Hint{wrapped, "the kernel module is not loaded or the container lacks the device; type: modprobe tun, " +
			"or start the container with --device /dev/net/tun"}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &Hint{wrapped, "the device node is there but no driver answers; type: modprobe tun"}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &Hint{wrapped, "run as root, or with CAP_NET_ADMIN and access to the device " +
			"(systemd: DeviceAllow=/dev/net/tun rw; containers: --device /dev/net/tun)"}
	default:
		return wrapped
	}
}

func attachHint(err error) error {
	wrapped := fmt.Errorf("create interface: %w", err)
	if errors.Is(err, unix.EPERM) {
		return &Hint{wrapped, "run as root or give the program CAP_NET_ADMIN " +
			"(systemd: AmbientCapabilities=CAP_NET_ADMIN; containers: --cap-add NET_ADMIN)"}
	}
	return wrapped
}

func nameHint(name string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("name the interface: %w", err)
	if errors.Is(err, unix.EEXIST) {
		return &Hint{wrapped, takenBy(name) + ", or choose other names in tunnel.subscriber and tunnel.upstream"}
	}
	return wrapped
}

// takenBy says who has the interface name, and what to do about it.
func takenBy(name string) string {
	if pid := Holder(name); pid != 0 {
		return fmt.Sprintf("process %d has the interface %s; stop it", pid, name)
	}
	return fmt.Sprintf("an interface named %s exists already; type: ip link del %s", name, name)
}
