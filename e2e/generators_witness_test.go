// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// handshake is one connection attempt as the internet sees it.
type handshake struct {
	client  netip.AddrPort
	service uint16 // the port on the internet host
}

// witness is a Linux TCP listener on the ports 25 and 80 of the internet host, and
// somebody who watches the wire beside it. A connection to a port is open, or half
// open, exactly if a SYN|ACK leaves from there: whatever the generator made of
// the segment on its way.
type witness struct {
	mu       sync.Mutex // protects the fields below
	answered map[handshake]int
	accepted map[uint16]int // connections, by port
}

// newWitness listens until the network is closed.
func newWitness(t testing.TB, n *lab.Network) *witness {
	t.Helper()
	w := &witness{answered: map[handshake]int{}, accepted: map[uint16]int{}}
	for _, f := range n.Families() {
		for _, port := range []uint16{lab.PortSMTP, lab.PortWeb} {
			l, err := n.Internet.Listen("tcp", at(f.Addrs().Internet, port).String())
			if err != nil {
				t.Fatalf("listen: %v", err)
			}
			go w.accept(l, port) // ends with the network
		}
	}
	var fd int
	err := n.Internet.Do(func() (err error) {
		const everything = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, everything&0xffff)
		return err
	})
	if err != nil {
		t.Fatalf("watch the wire: %v", err)
	}
	timeout := unix.Timeval{Usec: 50_000} // how long the watcher takes to see that it is over
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20))
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		w.watch(fd, over)
	}()
	t.Cleanup(func() {
		close(over)
		<-watched
		_ = unix.Close(fd)
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *witness) accept(l net.Listener, port uint16) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.accepted[port]++
		w.mu.Unlock()
		_ = conn.Close()
	}
}

// watch notes the SYN|ACKs that leave.
func (w *witness) watch(fd int, over <-chan struct{}) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			select {
			case <-over:
				return
			default:
				continue
			}
		case err != nil:
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		if h, ok := synAck(buf[:n]); ok {
			w.mu.Lock()
			w.answered[h]++
			w.mu.Unlock()
		}
	}
}

// synAck reads what the internet host's kernel sent: without extension headers, but
// it echoes IPv4 options.
func synAck(pkt []byte) (handshake, bool) {
	var client netip.Addr
	var tcp []byte
	switch {
	case len(pkt) >= 20 && pkt[0]>>4 == 4 && pkt[9] == unix.IPPROTO_TCP:
		client, tcp = netip.AddrFrom4([4]byte(pkt[16:20])), pkt[min(int(pkt[0]&0xf)*4, len(pkt)):]
	case len(pkt) >= 40 && pkt[0]>>4 == 6 && pkt[6] == unix.IPPROTO_TCP:
		client, tcp = netip.AddrFrom16([16]byte(pkt[24:40])), pkt[40:]
	}
	if len(tcp) < 20 {
		return handshake{}, false
	}
	const syn, ack = 2, 16
	if tcp[13]&(syn|ack) != syn|ack {
		return handshake{}, false
	}
	return handshake{at(client, binary.BigEndian.Uint16(tcp[2:])), binary.BigEndian.Uint16(tcp)}, true
}

// opened says whether the service answered that port of the client.
func (w *witness) opened(client netip.AddrPort, service uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered[handshake{client, service}] > 0
}

// total returns how many SYN|ACKs left the service for the client's address or any
// other, and how many connections it has accepted.
func (w *witness) total(service uint16) (answered, accepted int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, n := range w.answered {
		if h.service == service {
			answered += n
		}
	}
	return answered, w.accepted[service]
}
