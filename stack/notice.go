// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"op25b/filter"
)

// The bounds of the notice. What is above them gets the RST that it would have got
// without a notice: a mail program then says less, and nobody waits.
const (
	noticeOpen      = 256 // connections at once
	noticeEach      = 4   // of one subscriber
	noticeRate      = 200 // new ones a second
	noticeBurst     = 200
	noticeHandshake = 5 * time.Second
	noticeLife      = 10 * time.Second // from the greeting on
	noticeLines     = 20               // that a client may say
	noticeLine      = 512              // octets of a line (RFC 5321, section 4.5.3.1.4)
	// noticeLinger is how long segments of a connection that is over are still taken:
	// those that are on their way.
	noticeLinger = 2 * time.Second
)

// notice accepts connections that are refused, in the name of whoever they are for, to
// say in words why. It greets with 554, and then answers QUIT and nothing else (RFC
// 5321, section 3.1): it takes no sender and no recipient, so that no mail is ever lost
// in it. It is a netstack of its own, with one NIC that takes every address.
type notice struct {
	text  atomic.Pointer[string]
	stack *netstack.Stack
	nic   *channel.Endpoint
	out   Lane
	limit *rate.Limiter
	fail  throttle

	open              atomic.Int32 // flows; looked at before every lookup
	greeted, fellBack atomic.Uint64

	mu    sync.Mutex
	flows map[flow]*session
	each  map[[16]byte]int // flows by subscriber, without those that are over
}

// flow is a connection as its client's packets have it.
type flow struct {
	src, dst netip.AddrPort
}

// session is a connection that was let in.
type session struct {
	subscriber [16]byte
	expires    time.Time
	over       bool // only what is on its way is still taken
}

// NoticeStats are what became of connections that were offered a notice.
type NoticeStats struct {
	Open              int
	Greeted, FellBack uint64
}

// newNotice makes one that talks to subscribers. text follows "554 5.7.1 ".
func newNotice(text string, subscribers Port, log *zap.Logger) (*notice, error) {
	n := &notice{
		out: subscribers.Lanes[0], limit: rate.NewLimiter(noticeRate, noticeBurst), fail: newThrottle(log),
		flows: map[flow]*session{}, each: map[[16]byte]int{},
		nic: channel.New(hostQueue, uint32(subscribers.MTU()), ""), //nolint:gosec // an MTU
		stack: netstack.New(netstack.Options{
			NetworkProtocols:   []netstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []netstack.TransportProtocolFactory{tcp.NewProtocol},
		}),
	}
	n.text.Store(&text)
	if err := n.configure(); err != nil {
		n.stack.Close()
		n.stack.Wait()
		return nil, fmt.Errorf("make the notice: %w", err)
	}
	forwarder := tcp.NewForwarder(n.stack, 4*noticeLine, noticeOpen, n.accept)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forwarder.HandlePacket)
	return n, nil
}

func (n *notice) configure() error {
	const id = 1
	synRetries, timeWait := tcpip.TCPSynRetriesOption(1), tcpip.TCPTimeWaitTimeoutOption(noticeLinger)
	for _, do := range []func() tcpip.Error{
		func() tcpip.Error { return n.stack.CreateNIC(id, n.nic) },
		func() tcpip.Error { return n.stack.SetPromiscuousMode(id, true) },
		func() tcpip.Error { return n.stack.SetSpoofing(id, true) },
		func() tcpip.Error { return n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &synRetries) },
		func() tcpip.Error { return n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &timeWait) },
	} {
		if err := do(); err != nil {
			return stackError(err)
		}
	}
	n.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: id})
	n.stack.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: id})
	return nil
}

// admits takes a SYN whose sender is to be told, or leaves it to be reset. Nothing of
// the frame is kept.
func (n *notice) admits(f frame) bool {
	at, ok := flowOf(f.packet())
	if !ok || f.segmented() || !n.enter(at, f.packet()) {
		n.fellBack.Add(1)
		return false
	}
	n.inject(f)
	return true
}

// has takes a segment of a connection that was let in.
func (n *notice) has(f frame) bool {
	if n == nil || n.open.Load() == 0 || f.segmented() {
		return false
	}
	at, ok := flowOf(f.packet())
	if !ok {
		return false
	}
	n.mu.Lock()
	_, known := n.flows[at]
	n.mu.Unlock()
	if known {
		n.inject(f)
	}
	return known
}

func (n *notice) enter(at flow, pkt []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.flows[at] != nil { // a SYN that is sent again
		return true
	}
	s := &session{expires: time.Now().Add(noticeHandshake)}
	copy(s.subscriber[:], subscriber(pkt))
	if len(n.flows) >= noticeOpen || n.each[s.subscriber] >= noticeEach || !n.limit.Allow() {
		return false
	}
	n.flows[at] = s
	n.each[s.subscriber]++
	n.open.Add(1)
	return true
}

// extend gives a session more time.
func (n *notice) extend(at flow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.flows[at]; s != nil {
		s.expires = time.Now().Add(noticeLife + noticeLinger)
	}
}

// leave ends a session.
func (n *notice) leave(at flow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.flows[at]; s != nil {
		n.endSession(s)
		s.expires = time.Now().Add(noticeLinger)
	}
}

// endSession gives its subscriber room for another. n.mu is held.
func (n *notice) endSession(s *session) {
	if s.over {
		return
	}
	s.over = true
	if n.each[s.subscriber]--; n.each[s.subscriber] == 0 {
		delete(n.each, s.subscriber)
	}
}

// sweep forgets the flows whose time is over.
func (n *notice) sweep(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at, s := range n.flows {
		if now.Before(s.expires) {
			continue
		}
		delete(n.flows, at)
		n.open.Add(-1)
		n.endSession(s)
	}
}

func (n *notice) inject(f frame) {
	f.complete()
	inject(n.nic, f.packet())
}

// accept finishes the handshake. Netstack calls it on a goroutine of its own.
func (n *notice) accept(r *tcp.ForwarderRequest) {
	id := r.ID()
	at := flow{addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)}
	var queue waiter.Queue
	ep, err := r.CreateEndpoint(&queue)
	if err != nil {
		r.Complete(false)
		n.leave(at)
		return
	}
	r.Complete(false)
	n.extend(at)
	defer n.leave(at)
	conn := gonet.NewTCPConn(&queue, ep)
	defer conn.Close()
	n.greeted.Add(1)
	// A client that hangs is cut off: nothing of it is left in netstack.
	cut := time.AfterFunc(noticeLife, ep.Abort)
	defer cut.Stop()
	n.talk(conn)
}

// talk says why, and waits for QUIT, as RFC 5321 (section 3.1) asks of a server that
// greets with 554.
func (n *notice) talk(conn net.Conn) {
	if err := conn.SetDeadline(time.Now().Add(noticeLife)); err != nil {
		return
	}
	if _, err := fmt.Fprintf(conn, "554 5.7.1 %s\r\n", *n.text.Load()); err != nil {
		return
	}
	lines := bufio.NewReaderSize(conn, noticeLine)
	for range noticeLines {
		line, err := lines.ReadSlice('\n')
		if err != nil { // the line is too long, the client has gone, or its time is over
			return
		}
		if verb, _, _ := strings.Cut(strings.TrimSpace(string(line)), " "); strings.EqualFold(verb, "QUIT") {
			_, _ = fmt.Fprint(conn, "221 2.0.0 Bye\r\n")
			return
		}
		if _, err := fmt.Fprint(conn, "503 5.5.1 Bad sequence of commands: only QUIT is accepted here\r\n"); err != nil {
			return
		}
	}
}

// run sends netstack's packets to the subscribers, and forgets what is over, until ctx
// ends.
func (n *notice) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				n.sweep(now)
			case <-ctx.Done():
				return
			}
		}
	})
	running.Go(func() { drainNIC(ctx, n.nic, n.out, filter.Outbound, &n.fail) })
	running.Wait()
	n.stack.Close()
	n.stack.Wait()
}

func (n *notice) stats() NoticeStats {
	return NoticeStats{Open: int(n.open.Load()), Greeted: n.greeted.Load(), FellBack: n.fellBack.Load()}
}

// flowOf reads the addresses and ports of a TCP segment right behind its IP header, the
// only kind that gets a notice.
func flowOf(pkt []byte) (flow, bool) {
	size := networkSize(pkt)
	proto := pkt[6] // of IPv6
	if header.IPVersion(pkt) == header.IPv4Version {
		proto = header.IPv4(pkt).Protocol()
	}
	if tcpip.TransportProtocolNumber(proto) != header.TCPProtocolNumber || len(pkt) < size+header.TCPMinimumSize {
		return flow{}, false
	}
	src, dst := packetAddresses(pkt)
	segment := header.TCP(pkt[size:])
	return flow{netip.AddrPortFrom(src, segment.SourcePort()), netip.AddrPortFrom(dst, segment.DestinationPort())}, true
}

func packetAddresses(pkt []byte) (src, dst netip.Addr) {
	if header.IPVersion(pkt) == header.IPv4Version {
		return netip.AddrFrom4([4]byte(pkt[12:16])), netip.AddrFrom4([4]byte(pkt[16:20]))
	}
	return netip.AddrFrom16([16]byte(pkt[8:24])), netip.AddrFrom16([16]byte(pkt[24:40]))
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(addr, port)
}
