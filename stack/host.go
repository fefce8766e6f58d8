// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"op25b/filter"
)

// host is the router's own host side: a netstack with one NIC for each port,
// both with the router's addresses. It answers echo requests, and refuses TCP
// and UDP to its ports as any host without listeners does. It is not in the way
// of forwarded packets.
type host struct {
	log   *zap.Logger
	stack *netstack.Stack
	nics  [filter.NumDirections]*channel.Endpoint
	out   [filter.NumDirections]Lane // answers go back on
	limit *rate.Limiter
	fail  throttle
}

const (
	// hostQueue is how many answers may wait in a NIC.
	hostQueue = 256
	// hostRate and hostBurst limit what the host side takes, in packets a
	// second: a subscriber who floods it must not slow the others down.
	hostRate  = 5000
	hostBurst = 500
	// hostShare is how much of that one subscriber may have on each queue.
	hostShare = 300
)

func newHost(addresses []netip.Addr, ports [filter.NumDirections]Port, log *zap.Logger) (*host, error) {
	h := &host{
		log: log, limit: rate.NewLimiter(hostRate, hostBurst), fail: newThrottle(log),
		stack: netstack.New(netstack.Options{
			NetworkProtocols: []netstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []netstack.TransportProtocolFactory{
				tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
			},
		}),
	}
	for dir, port := range ports {
		nic := channel.New(hostQueue, uint32(port.MTU()), "") //nolint:gosec // an MTU
		h.nics[dir], h.out[dir] = nic, port.Lanes[0]
		if err := h.addNIC(nicID(filter.Direction(dir)), nic, addresses); err != nil {
			h.close()
			return nil, err
		}
	}
	return h, nil
}

// nicID numbers the NICs from 1: 0 stands for "any" in netstack.
func nicID(d filter.Direction) tcpip.NICID { return tcpip.NICID(d) + 1 }

func (h *host) addNIC(id tcpip.NICID, nic netstack.LinkEndpoint, addresses []netip.Addr) error {
	if err := h.stack.CreateNIC(id, nic); err != nil {
		return fmt.Errorf("make host NIC: %w", stackError(err))
	}
	for _, a := range addresses {
		address := tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()
		err := h.stack.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: networkOf(a), AddressWithPrefix: address},
			netstack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("give host NIC the address %s: %w", a, stackError(err))
		}
	}
	h.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: id})
	h.stack.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: id})
	return nil
}

// receive gives the host side a packet that came in by direction d, and reports
// whether it took it. The packet is copied. Workers call it at the same time.
func (h *host) receive(d filter.Direction, pkt []byte) bool {
	if !h.limit.Allow() {
		return false
	}
	inject(h.nics[d], pkt)
	return true
}

// inject gives a NIC a copy of a packet, as if it had come in there.
func inject(nic *channel.Endpoint, pkt []byte) {
	proto := header.IPv6ProtocolNumber
	if header.IPVersion(pkt) == header.IPv4Version {
		proto = header.IPv4ProtocolNumber
	}
	buf := netstack.NewPacketBuffer(netstack.PacketBufferOptions{Payload: buffer.MakeWithData(pkt)})
	defer buf.DecRef()
	nic.InjectInbound(proto, buf)
}

// run writes the host side's answers to the ports until ctx ends, and then
// takes the stack down.
func (h *host) run(ctx context.Context) {
	var running sync.WaitGroup
	for d := range h.nics {
		running.Go(func() { drainNIC(ctx, h.nics[d], h.out[d], filter.Direction(d), &h.fail) }) //nolint:gosec // two of them
	}
	running.Wait()
	h.close()
}

// drainNIC writes what leaves by a NIC back to the port that it stands for, until ctx
// ends.
func drainNIC(ctx context.Context, nic *channel.Endpoint, out Lane, d filter.Direction, fail *throttle) {
	var buf [FrameSize]byte
	for {
		pkt := nic.ReadContext(ctx)
		if pkt == nil {
			return
		}
		n := HeaderSize
		for _, part := range pkt.AsSlices() {
			n += copy(buf[n:], part)
		}
		pkt.DecRef()
		if err := out.Answer(buf[:n]); err != nil {
			fail.warn("a packet of the router's own could not be written and is lost", d, err)
		}
	}
}

func (h *host) close() {
	h.stack.Close()
	h.stack.Wait()
}

// stackError makes an error of netstack's own error type.
func stackError(err tcpip.Error) error { return fmt.Errorf("netstack: %s", err) }
