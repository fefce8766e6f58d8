// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is how many connections may wait to be accepted. Netstack answers more with
// SYN cookies.
const backlog = 128

// ErrNoHost is that the router has no address of its own.
var ErrNoHost = errors.New("the router has no host side: it has no address of its own")

// Listen accepts TCP connections to one of the router's own addresses, from both sides.
// The listener is the caller's to close, before the router ends or after; either ends it
// with net.ErrClosed. Its connections know deadlines, and share what the host side takes in packets a second.
func (r *Router) Listen(at netip.AddrPort) (net.Listener, error) {
	if r.host == nil {
		return nil, ErrNoHost
	}
	return r.host.listen(at)
}

func (h *host) listen(at netip.AddrPort) (net.Listener, error) {
	var queue waiter.Queue
	ep, err := h.stack.NewEndpoint(tcp.ProtocolNumber, networkOf(at.Addr()), &queue)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, stackError(err))
	}
	if err = ep.Bind(tcpip.FullAddress{Addr: tcpip.AddrFromSlice(at.Addr().AsSlice()), Port: at.Port()}); err == nil {
		err = ep.Listen(backlog)
	}
	if err != nil {
		ep.Close()
		return nil, fmt.Errorf("listen on %s, which has to be one of the router's own addresses: %w", at, stackError(err))
	}
	return listener{gonet.NewTCPListener(h.stack, &queue, ep)}, nil
}

// listener is one of netstack's that says what has happened as net's do.
type listener struct{ *gonet.TCPListener }

// Accept fails with net.ErrClosed once the listener is closed or the router has ended:
// netstack has no other reason.
func (l listener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	return conn, nil
}

// networkOf returns the network protocol of an address.
func networkOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}
