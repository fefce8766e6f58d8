// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/rawfile"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// nic is a TUN interface as a NIC of netstack: what link/fdbased is, which speaks
// struct virtio_net_hdr to sockets only. Without that header a TUN hands out, and
// takes, no packet longer than its MTU.
//
// Each queue has a goroutine that reads a packet and runs it through the stack,
// which ends in WritePackets of the other NIC.
type nic struct {
	queues     []int // descriptors, non-blocking
	failed     chan<- error
	dispatcher netstack.NetworkDispatcher // nil until Attach
}

// openNIC makes the interface with one queue for each processor. It is not up.
func openNIC(name string, bulk bool, failed chan<- error) (*nic, error) {
	n := &nic{failed: failed}
	for range runtime.NumCPU() {
		fd, err := openQueue(name, bulk)
		if err != nil {
			return nil, fmt.Errorf("create %s: %w", name, err)
		}
		n.queues = append(n.queues, fd)
	}
	return n, nil
}

func openQueue(name string, bulk bool) (int, error) {
	const tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, err
	}
	if !bulk {
		return fd, nil
	}
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tso|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return fd, nil
	}
	return fd, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tso) // a kernel before 6.2
}

const (
	// headerSize is the length of struct virtio_net_hdr, in octets.
	headerSize = 10
	// smallView holds a packet that is none of several in one, largeView the rest
	// of those.
	smallView, largeView = 2048, 64 << 10
)

// read runs what one queue receives through the stack, until reading fails.
func (n *nic) read(fd int) error {
	var virtio [headerSize]byte
	views := [2]*buffer.View{buffer.NewViewSize(smallView), buffer.NewViewSize(largeView)}
	for {
		vectors := [3]unix.Iovec{rawfile.IovecFromBytes(virtio[:]),
			rawfile.IovecFromBytes(views[0].AsSlice()), rawfile.IovecFromBytes(views[1].AsSlice())}
		size, err := readv(fd, vectors[:])
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		size -= headerSize
		payload := buffer.MakeWithView(take(&views[0], min(size, smallView)))
		if size > smallView {
			if err := payload.Append(take(&views[1], size-smallView)); err != nil {
				return fmt.Errorf("put packet together: %w", err)
			}
		}
		pkt := netstack.NewPacketBuffer(netstack.PacketBufferOptions{Payload: payload})
		pkt.Mark = markOf(virtio)
		n.dispatcher.DeliverNetworkPacket(header.IPv4ProtocolNumber, pkt)
		pkt.DecRef()
	}
}

// take returns the view, cut to size, and puts a fresh one in its place.
func take(v **buffer.View, size int) *buffer.View {
	taken := *v
	*v = buffer.NewViewSize(taken.Size())
	taken.CapLength(size)
	return taken
}

// readv blocks until there is a packet.
func readv(fd int, vectors []unix.Iovec) (int, error) {
	for {
		n, errno := rawfile.BlockingReadvUntilStopped(-1, fd, vectors)
		switch {
		case errno == 0 && n >= headerSize:
			return n, nil
		case errno != 0 && !errors.Is(errno, unix.EINTR):
			return 0, errno
		}
	}
}

// The offloads of a packet cross the stack in its mark, the only field that netstack
// copies when it forwards: flags, gso_type and gso_size of struct virtio_net_hdr,
// eight, eight and sixteen bits. What else is in there follows from the packet.
const (
	flagNeedsChecksum = 1
	gsoTypeNone       = 0
)

func markOf(virtio [headerSize]byte) uint32 {
	return uint32(virtio[0]) | uint32(virtio[1])<<8 | uint32(binary.NativeEndian.Uint16(virtio[4:]))<<16
}

// virtioOf is the reverse of markOf, with the packet's headers. The network header
// is IPv4.
func virtioOf(pkt *netstack.PacketBuffer) (virtio [headerSize]byte) {
	flags, gsoType, gsoSize := byte(pkt.Mark), byte(pkt.Mark>>8), uint16(pkt.Mark>>16)
	if flags&flagNeedsChecksum == 0 {
		return virtio
	}
	network, transport := pkt.NetworkHeader().Slice(), pkt.TransportHeader().Slice()
	checksumAt := uint16(6) // UDP
	if pkt.TransportProtocolNumber == header.TCPProtocolNumber {
		checksumAt = 16
	}
	virtio[0], virtio[1] = flagNeedsChecksum, gsoType
	if gsoType != gsoTypeNone {
		binary.NativeEndian.PutUint16(virtio[2:], uint16(len(network)+len(transport)))
		binary.NativeEndian.PutUint16(virtio[4:], gsoSize)
	}
	binary.NativeEndian.PutUint16(virtio[6:], uint16(len(network)))
	binary.NativeEndian.PutUint16(virtio[8:], checksumAt)
	return virtio
}

// WritePackets implements netstack.LinkWriter.
func (n *nic) WritePackets(list netstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		virtio := virtioOf(pkt)
		vectors := append(make([]unix.Iovec, 0, 8), rawfile.IovecFromBytes(virtio[:]))
		for _, part := range pkt.AsSlices() {
			vectors = append(vectors, rawfile.IovecFromBytes(part))
		}
		// What the kernel does not take is lost.
		_ = rawfile.NonBlockingWriteIovec(n.queues[0], vectors)
	}
	return list.Len(), nil
}

// Attach implements netstack.NetworkLinkEndpoint. Reading begins here: the
// interface is down yet.
func (n *nic) Attach(dispatcher netstack.NetworkDispatcher) {
	if n.IsAttached() || dispatcher == nil {
		return
	}
	n.dispatcher = dispatcher
	for _, fd := range n.queues {
		go func() { n.failed <- n.read(fd) }()
	}
}

// IsAttached implements netstack.NetworkLinkEndpoint.
func (n *nic) IsAttached() bool { return n.dispatcher != nil }

// MTU implements netstack.NetworkLinkEndpoint. It is that of the longest packet:
// the kernel cuts them to the interface's.
func (n *nic) MTU() uint32 { return maxPacket }

// Capabilities implements netstack.NetworkLinkEndpoint. Checksums are the kernel's.
func (n *nic) Capabilities() netstack.LinkEndpointCapabilities {
	return netstack.CapabilityRXChecksumOffload | netstack.CapabilityTXChecksumOffload
}

// The rest of netstack.NetworkLinkEndpoint means nothing to a TUN.

// SetMTU implements netstack.NetworkLinkEndpoint.
func (n *nic) SetMTU(uint32) {}

// MaxHeaderLength implements netstack.NetworkLinkEndpoint.
func (n *nic) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements netstack.NetworkLinkEndpoint.
func (n *nic) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements netstack.NetworkLinkEndpoint.
func (n *nic) SetLinkAddress(tcpip.LinkAddress) {}

// Wait implements netstack.NetworkLinkEndpoint.
func (n *nic) Wait() {}

// ARPHardwareType implements netstack.NetworkLinkEndpoint.
func (n *nic) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements netstack.NetworkLinkEndpoint.
func (n *nic) AddHeader(*netstack.PacketBuffer) {}

// ParseHeader implements netstack.NetworkLinkEndpoint.
func (n *nic) ParseHeader(*netstack.PacketBuffer) bool { return true }

// Close implements netstack.NetworkLinkEndpoint. The interface lives as long as the
// process.
func (n *nic) Close() {}

// SetOnCloseAction implements netstack.NetworkLinkEndpoint.
func (n *nic) SetOnCloseAction(func()) {}
