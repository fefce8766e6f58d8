// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// sighting is a packet that a tap saw.
type sighting struct {
	ip   []byte
	sent bool // by the node itself
}

// tap sees every IP packet on a link, and can put packets there.
type tap struct {
	fd    int
	index int
	peer  net.HardwareAddr // who is at the other end
	own   net.HardwareAddr
	ended chan struct{}

	mu   sync.Mutex
	stop bool
	seen []sighting
	last time.Time
}

const (
	vnetHeader = 10 // struct virtio_net_hdr
	ethernet   = 14
)

// openTap opens a tap on a link of the node. The other end of the cable is the link
// far of another node.
func openTap(t *testing.T, node *lab.Node, link string, other *lab.Node, far string) *tap {
	t.Helper()
	c := &tap{ended: make(chan struct{}), last: time.Now()}
	err := node.Do(func() error {
		i, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		c.index, c.own = i.Index, i.HardwareAddr
		all := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		const room = 64 << 20
		moment := unix.NsecToTimeval(int64(50 * time.Millisecond))
		return errors.Join(
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room),
			unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
			unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &moment),
			unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: c.index}),
		)
	})
	if err == nil {
		err = other.Do(func() error {
			i, err := net.InterfaceByName(far)
			if err == nil {
				c.peer = i.HardwareAddr
			}
			return err
		})
	}
	if err != nil {
		t.Fatalf("open a tap on %s in %s: %v", link, node.Name(), err)
	}
	go c.watch()
	t.Cleanup(func() {
		c.mu.Lock()
		c.stop = true
		c.mu.Unlock()
		<-c.ended
		unix.Close(c.fd)
	})
	return c
}

// watch reads until the tap is closed.
func (c *tap) watch() {
	defer close(c.ended)
	b := make([]byte, 1<<17)
	for {
		n, from, err := unix.Recvfrom(c.fd, b, 0)
		c.mu.Lock()
		if c.stop {
			c.mu.Unlock()
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && n > vnetHeader+ethernet {
			kind := binary.BigEndian.Uint16(b[vnetHeader+12:])
			if kind == unix.ETH_P_IP || kind == unix.ETH_P_IPV6 {
				c.seen = append(c.seen, sighting{slices.Clone(b[vnetHeader+ethernet : n]), link.Pkttype == unix.PACKET_OUTGOING})
				c.last = time.Now()
			}
		}
		c.mu.Unlock()
	}
}

// take returns what was seen so far.
func (c *tap) take() []sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

func (c *tap) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}

// quietFor returns how long nothing has been seen.
func (c *tap) quietFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.last)
}

// send puts a packet on the link, addressed to the other end.
func (c *tap) send(f lab.Family, s step) error {
	kind := uint16(unix.ETH_P_IP)
	if f == lab.IPv6 {
		kind = unix.ETH_P_IPV6
	}
	frame := make([]byte, vnetHeader, vnetHeader+ethernet+len(s.packet))
	if s.partial {
		copy(frame, vnetFrame(s))
		start := binary.NativeEndian.Uint16(frame[6:]) + ethernet
		binary.NativeEndian.PutUint16(frame[6:], start)
	}
	frame = append(append(frame, c.peer...), c.own...)
	frame = binary.BigEndian.AppendUint16(frame, kind)
	frame = append(frame, s.packet...)
	return unix.Sendto(c.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: c.index, Halen: 6, Addr: [8]byte(append(slices.Clone(c.peer), 0, 0))})
}

// tcpOf returns the destination and the TCP header of a packet that has nothing in
// between.
func tcpOf(b []byte) (dst netip.Addr, tcp []byte, ok bool) {
	switch {
	case len(b) >= 40 && b[0] == 0x45 && b[9] == 6:
		return netip.AddrFrom4([4]byte(b[16:20])), b[20:], true
	case len(b) >= 60 && b[0]>>4 == 6 && b[6] == 6:
		return netip.AddrFrom16([16]byte(b[24:40])), b[40:], true
	default:
		return dst, nil, false
	}
}

// sourceOf returns the source of any IP packet.
func sourceOf(b []byte) netip.Addr {
	if len(b) >= 40 && b[0]>>4 == 6 {
		return netip.AddrFrom16([16]byte(b[8:24]))
	}
	if len(b) >= 20 {
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return netip.Addr{}
}

// destinationOf returns the destination of any IP packet.
func destinationOf(b []byte) netip.Addr {
	if len(b) >= 40 && b[0]>>4 == 6 {
		return netip.AddrFrom16([16]byte(b[24:40]))
	}
	if len(b) >= 20 {
		return netip.AddrFrom4([4]byte(b[16:20]))
	}
	return netip.Addr{}
}

func hopsOf(b []byte) byte {
	if b[0]>>4 == 6 {
		return b[7]
	}
	return b[8]
}

// isICMP reports whether the packet is ICMP of its family, and returns what it
// quotes if it is an error.
func isICMP(b []byte) (quoted []byte, ok bool) {
	switch {
	case len(b) >= 28 && b[0] == 0x45 && b[9] == 1:
		return b[28:], true
	case len(b) >= 48 && b[0]>>4 == 6 && b[6] == 58:
		return b[48:], true
	default:
		return nil, false
	}
}

// trimmed cuts what no length counts, as the kernel does before it forwards.
func trimmed(b []byte) []byte {
	length := int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 == 6 {
		length = 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	return b[:min(length, len(b))]
}
