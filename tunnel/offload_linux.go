// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// HeaderSize is the length of struct virtio_net_hdr, which comes before the IP
// packet in every frame.
const HeaderSize = 10

// Fields of struct virtio_net_hdr (linux/virtio_net.h), in host byte order.
const (
	flagNeedsChecksum = 1
	gsoTCPv4          = 1
	gsoUDPSegments    = 5
)

// setOffload asks the kernel for the offloads wanted, the richest set first,
// and returns what it granted.
func setOffload(fd int, want Offload) (granted Offload, missing string, err error) {
	for _, set := range []Offload{want, {Checksum: want.Checksum, TSO: want.TSO}, {Checksum: want.Checksum}, {}} {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, set.flags())
		if err == nil {
			return set, missing, nil
		}
		missing = fmt.Sprintf("the kernel refuses to read %s: %v", set, err)
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return Offload{}, "", fmt.Errorf("set offloads: %w", err)
}

func (o Offload) flags() int {
	flags := 0
	if o.Checksum {
		flags |= unix.TUN_F_CSUM
	}
	if o.TSO {
		flags |= unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	}
	if o.USO {
		flags |= unix.TUN_F_USO4 | unix.TUN_F_USO6
	}
	return flags
}

// Probe finds out whether the kernel also takes the super-packets that it hands
// out. Some accept the header flag and then refuse such writes with EINVAL
// (a fault that stable kernels carried for months); a gateway that only learns
// it under load loses every large transfer. The link must be up. Each probe has
// a wrong IPv4 checksum, so it ends in the kernel's first look at it.
func (p *Port) Probe() error {
	granted := p.offload
	if granted.TSO && errors.Is(p.queues[0].Write(probe(gsoTCPv4, unix.IPPROTO_TCP, 20, 16)), unix.EINVAL) {
		granted = Offload{Checksum: granted.Checksum}
	}
	if granted.USO && errors.Is(p.queues[0].Write(probe(gsoUDPSegments, unix.IPPROTO_UDP, 8, 6)), unix.EINVAL) {
		granted.USO = false
	}
	if granted == p.offload {
		return nil
	}
	missing := fmt.Sprintf("the kernel hands out %s but refuses to take it back (EINVAL)", p.offload)
	set, _, err := setOffload(p.queues[0].fd, granted)
	if err != nil {
		return err
	}
	p.offload, p.missing = set, missing
	return nil
}

// probe builds a frame of two segments.
func probe(gso, protocol byte, transportSize, checksumOffset int) []byte {
	const ipSize, segment = 20, 100
	frame := make([]byte, HeaderSize+ipSize+transportSize+2*segment)
	frame[0], frame[1] = flagNeedsChecksum, gso
	put := func(at, v int) { binary.NativeEndian.PutUint16(frame[at:], uint16(v)) } //nolint:gosec // small
	put(2, ipSize+transportSize)
	put(4, segment)
	put(6, ipSize)
	put(8, checksumOffset)

	ip := frame[HeaderSize:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip))) //nolint:gosec // small
	ip[8], ip[9] = 1, protocol
	binary.BigEndian.PutUint16(ip[10:], 0xdead) // wrong on purpose
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	if protocol == unix.IPPROTO_TCP {
		ip[ipSize+12] = 5 << 4
	} else {
		binary.BigEndian.PutUint16(ip[ipSize+4:], uint16(transportSize+2*segment)) //nolint:gosec // small
	}
	return frame
}
