// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// maxDatagram is the largest UDP payload, in bytes.
const maxDatagram = 65_507

// Echo is a UDP echo service (RFC 862) in the internet. It sends every datagram
// back to where it came from.
type Echo struct {
	conns  []net.PacketConn
	served sync.WaitGroup
}

// StartEcho starts the echo service at the internet's own address and [PortEcho],
// in every family that works from end to end. It is closed with the network, or
// earlier by the caller.
func (n *Network) StartEcho() (*Echo, error) {
	e := &Echo{}
	for _, f := range n.Families() {
		address := netip.AddrPortFrom(f.Addrs().Internet, PortEcho)
		conn, err := n.Internet.ListenPacket("udp", address.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start UDP echo: %w", err), e.Close())
		}
		e.conns = append(e.conns, conn)
		e.served.Go(func() { echo(conn) })
	}
	if err := n.own(e); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// echo serves one socket until it is closed.
func echo(conn net.PacketConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about an earlier answer
		}
		_, _ = conn.WriteTo(buf[:n], from) // UDP promises nothing
	}
}

// Close stops the service and waits until it is gone. It is safe twice.
func (e *Echo) Close() error {
	for _, conn := range e.conns {
		conn.Close()
	}
	e.served.Wait()
	return nil
}
