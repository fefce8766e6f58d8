// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/lab"
)

// TestHundredStarts starts and stops the gateway a hundred times on one machine,
// and wants to find that as it was: rules, routes, links, addresses, sysctls,
// netfilter, processes.
func TestHundredStarts(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "nft", "sysctl")
	times := 100
	if testing.Short() {
		times = 10
	}
	n := newNetwork(t, lab.Options{NoForwarding: true}) // then there is more to undo
	before := kernelState(n.Gateway)
	rules := mustRun(t, n.Gateway, "ip", "rule")
	all := modes("auto")
	begun := time.Now()
	for i := range times {
		g, err := n.StartGateway(t.Context(), binaryPath, n.GatewayConfig(all[i%len(all)]), nil)
		if err != nil {
			t.Fatalf("start %d: %v\n%s", i+1, err, kernelState(n.Gateway))
		}
		if err := g.Stop(); err != nil {
			t.Fatalf("stop %d: %v\n%s", i+1, err, g.Logs())
		}
		if diff := cmp.Diff(rules, mustRun(t, n.Gateway, "ip", "rule")); diff != "" {
			t.Fatalf("rules after %d starts and stops (-before +after):\n%s", i+1, diff)
		}
	}
	took := time.Since(begun)
	t.Logf("%d starts and stops took %s, %s each", times, took, took/time.Duration(times))
	cleanUp(t, n)
	wantState(t, n, before)
	if pids := mustRun(t, nil, "ip", "netns", "pids", n.Gateway.Name()); pids != "" {
		t.Errorf("processes that stayed: %s", pids)
	}
}

// wantState wants the gateway's kernel to be as it was before.
func wantState(t testing.TB, n *lab.Network, before string) {
	t.Helper()
	if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
		t.Errorf("the machine is not as it was (-before +after):\n%s", diff)
	}
}

// TestDescriptors counts what a running gateway holds open while it is reloaded,
// heals, refuses and forwards.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	needTools(t, "ip")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := startGateway(t, n, withAddresses(lab.ConfigOptions{ReturnPath: "router"}))
	work := func() {
		for _, f := range n.Families() {
			wantServed(t, n.Dynamic, f)
			wantRefused(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
			wantPing(t, n.Dynamic, routerAddress(f))
		}
		if err := g.Reload(); err != nil {
			t.Fatal(err)
		}
		mustRun(t, n.Gateway, "ip", "rule", "del", "pref", "2500", "iif", lab.LinkDynamic)
		eventually(t, "rule is back", func() bool {
			return strings.Contains(mustRun(t, n.Gateway, "ip", "rule"), "iif "+lab.LinkDynamic+" lookup 25")
		})
	}
	work() // opens what is opened once
	before := descriptors(t, g.Pid())
	for range 5 {
		work()
	}
	eventually(t, "as many descriptors as before", func() bool { return descriptors(t, g.Pid()) <= before })
}

func descriptors(t testing.TB, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// TestRejectSMTP is on_exit: reject-smtp, the default: everything flows and port 25
// is shut with the gateway up, after kill -9, and after a clean stop, until cleanup.
func TestRejectSMTP(t *testing.T) {
	t.Parallel()
	needTools(t, "ping", "nmap", "tcpdump")
	for _, opts := range modes("auto") {
		t.Run(modeName(opts), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startServer(t, n)
			before := kernelState(n.Gateway)
			// The probes find what they look for when nothing is in their way.
			for _, fragments := range []string{"-f", "-ff", "--mtu 24"} {
				scan(t, n, fragments).waitOutput(t, "25/tcp open")
			}
			if opened := openedByFragments(t, n); len(opened) < 3 {
				t.Errorf("without a gateway only these fragments open port 25: %v", opened)
			}
			check := func(when string) {
				t.Log(when)
				wantPolicy(t, n)
				wantNoEvasion(t, n)
			}
			g := startGateway(t, n, opts)
			check("up")
			kill(t, n, g)
			check("killed")
			g = startGateway(t, n, opts)
			check("up again")
			stopAndCount(t, g)
			check("stopped")
			cleanUp(t, n)
			wantConnected(t, n.Dynamic, at(lab.IPv4.Addrs().MX, lab.PortSMTP))
			wantState(t, n, before)
		})
	}
}

// TestForwardOnExit is on_exit: forward: without the gateway nothing is shut.
func TestForwardOnExit(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	before := kernelState(n.Gateway)
	opts := lab.ConfigOptions{OnExit: "forward"}
	open := func(when string) {
		for _, f := range n.Families() {
			wantServed(t, n.Dynamic, f)
			t.Log(when)
			wantConnected(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
		}
	}
	g := startGateway(t, n, opts)
	wantPolicy(t, n)
	kill(t, n, g)
	open("killed")
	g = startGateway(t, n, opts)
	wantPolicy(t, n)
	stopAndCount(t, g)
	open("stopped")
	wantState(t, n, before) // nothing is left to clean up
}

// TestBlackhole is on_exit: blackhole: without the gateway nothing passes, until it
// runs again or cleanup.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startServer(t, n)
			before := kernelState(n.Gateway)
			opts := lab.ConfigOptions{OnExit: "blackhole", ReturnPath: returnPath}
			shut := func(when string) {
				for _, f := range n.Families() {
					for _, from := range []*lab.Node{n.Dynamic, n.Static} {
						if answered, said := pings(t, from, f.Addrs().Internet, "-W", "0.2"); answered {
							t.Errorf("%s: %s", when, said)
						}
					}
				}
			}
			g := startGateway(t, n, opts)
			wantPolicy(t, n)
			kill(t, n, g)
			shut("killed")
			g = startGateway(t, n, opts)
			wantPolicy(t, n)
			stopAndCount(t, g)
			shut("stopped")
			cleanUp(t, n)
			wantServed(t, n.Dynamic, lab.IPv4)
			wantState(t, n, before)
		})
	}
}

// TestLeftovers has a crash cleaned up: by cleanup, which says what it removed, and
// by the next start, also one with another configuration.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "nft", "sysctl")
	for _, onExit := range []string{"reject-smtp", "forward", "blackhole"} {
		t.Run(onExit, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			before := kernelState(n.Gateway)
			rich := lab.ConfigOptions{OnExit: onExit, ReturnPath: "router", Capture: "smtp"}
			plain := lab.ConfigOptions{OnExit: onExit}
			g := startGateway(t, n, plain)
			want := mustRun(t, n.Gateway, "ip", "rule") + mustRun(t, n.Gateway, "ip", "-6", "rule")
			stopAndCount(t, g)
			cleanUp(t, n)

			if err := startGateway(t, n, rich).Kill(); err != nil {
				t.Fatal(err)
			}
			g = startGateway(t, n, plain)
			if diff := cmp.Diff(want, mustRun(t, n.Gateway, "ip", "rule")+mustRun(t, n.Gateway, "ip", "-6", "rule")); diff != "" {
				t.Errorf("rules after a crash and another start (-want +got):\n%s", diff)
			}
			stopAndCount(t, g)
			cleanUp(t, n)
			wantState(t, n, before)

			if err := startGateway(t, n, rich).Kill(); err != nil {
				t.Fatal(err)
			}
			if said := cleanUp(t, n); !strings.Contains(said, "removed: ip -6 rule pref 2500 iif "+lab.LinkDynamic) {
				t.Errorf("cleanup does not name the rules: %q", said)
			}
			wantState(t, n, before)
		})
	}
}

// TestLoss counts what a stream of a thousand datagrams a second loses when the
// gateway comes and goes.
func TestLoss(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		returnPath string
		inbound    bool
	}{{"kernel", false}, {"router", true}} {
		name := "outbound, " + tt.returnPath
		if tt.inbound {
			name = "inbound, " + tt.returnPath
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			from, to, target := n.Dynamic, n.Internet, lab.IPv4.Addrs().Internet
			if tt.inbound {
				from, to, target = n.Internet, n.Dynamic, lab.IPv4.Addrs().Dynamic
			}
			s := startStream(t, from, to, at(target, 4000))
			opts := lab.ConfigOptions{ReturnPath: tt.returnPath}
			var g *lab.Gateway
			for _, step := range []struct {
				name   string
				do     func()
				strict bool
			}{
				{"start", func() { g = startGateway(t, n, opts) }, true},
				{"kill -9", func() {
					kill(t, n, g)
				}, false},
				{"start after the crash", func() { g = startGateway(t, n, opts) }, true},
				{"stop", func() { stopAndCount(t, g) }, true},
			} {
				first := s.next()
				step.do()
				last := s.next() + 700 // datagrams
				s.waitFor(t, last)
				lost := s.lost(first, last)
				t.Logf("%-22s %d of %d datagrams lost", step.name, lost, last-first)
				if step.strict && lost*100 > last-first {
					t.Errorf("%s: %d of %d datagrams lost, want less than 1%%", step.name, lost, last-first)
				}
			}
		})
	}
}

// wantPolicy wants all that subscribers may do to work, and the dynamic one to be
// refused on port 25 at once.
func wantPolicy(t testing.TB, n *lab.Network) {
	t.Helper()
	for _, f := range n.Families() {
		a := f.Addrs()
		for _, from := range []*lab.Node{n.Dynamic, n.Static} {
			wantServed(t, from, f)
			wantConnected(t, from, at(a.MSA, lab.PortSMTP))
		}
		wantConnected(t, n.Static, at(a.MX, lab.PortSMTP))
		t.Logf("%s: refused after %s", f, wantRefused(t, n.Dynamic, at(a.MX, lab.PortSMTP)))
	}
}

// wantNoEvasion wants port 25 to stay shut for a SYN in pieces.
func wantNoEvasion(t testing.TB, n *lab.Network) {
	t.Helper()
	var scans []*program
	for _, fragments := range []string{"-f", "-ff", "--mtu 24"} {
		scans = append(scans, scan(t, n, fragments))
	}
	for _, s := range scans {
		if code := s.wait(t); code != 0 || strings.Contains(s.output(), "25/tcp open") {
			t.Errorf("port 25 is open to fragments, or nmap failed with %d:\n%s", code, s.output())
		}
	}
	if opened := openedByFragments(t, n); len(opened) > 0 {
		t.Errorf("IPv6 fragments open port 25: %v", opened)
	}
}

// scan has nmap look at port 25 from the dynamic subscriber, beside the test.
func scan(t testing.TB, n *lab.Network, fragments string) *program {
	t.Helper()
	args := append(strings.Fields(fragments), "-n", "-Pn", "-p", "25", "--max-retries", "1",
		"--initial-rtt-timeout", "150ms", "--max-rtt-timeout", "300ms", lab.IPv4.Addrs().MX.String())
	return start(t, n.Dynamic, "nmap", args...)
}

// cuts are the ways in which openedByFragments cuts a TCP header of 40 octets up,
// in octets; the order is that of sending.
func cuts() map[string][][2]int {
	return map[string][][2]int{
		"8 and the rest":            {{0, 8}, {8, 40}},
		"16 and the rest":           {{0, 16}, {16, 40}},
		"24 and the rest":           {{0, 24}, {24, 40}},
		"24 and the rest, reversed": {{24, 40}, {0, 24}},
		"all eights":                {{0, 8}, {8, 16}, {16, 24}, {24, 32}, {32, 40}},
		"one":                       {{0, 40}},
	}
}

// openedByFragments sends IPv6 SYNs to port 25 in fragments from the dynamic
// subscriber and returns which of them were answered by a SYN and ACK.
func openedByFragments(t testing.TB, n *lab.Network) (opened []string) {
	t.Helper()
	if len(n.Families()) == 1 {
		return nil
	}
	a := lab.IPv6.Addrs()
	seen := startCapture(t, n.Dynamic, lab.LinkHost, "ip6 and tcp and ip6[53] & 0x12 == 0x12")
	ports := map[uint16]string{}
	err := n.Dynamic.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := unix.SockaddrInet6{Addr: a.MX.As16()}
		for name, cut := range cuts() {
			port := 40_000 + uint16(len(ports))
			ports[port] = name
			segment := syn(a.Dynamic, a.MX, port)
			for _, c := range cut {
				last := c[1] == len(segment)
				if err := unix.Sendto(fd, fragment(a.Dynamic, a.MX, uint32(port), segment[c[0]:c[1]], c[0], last), 0, &to); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("send fragments: %v", err)
	}
	// What is answered is answered before this, which opens a connection as well,
	// and tcpdump writes it down before.
	wantConnected(t, n.Dynamic, at(a.Internet, lab.PortEcho))
	seen.waitOutput(t, fmt.Sprintf("%s.%d > ", a.Internet, lab.PortEcho))
	said := seen.stop(t, 1)
	for port, name := range ports {
		if strings.Contains(said, fmt.Sprintf(".25 > %s.%d:", a.Dynamic, port)) {
			opened = append(opened, name)
		}
	}
	return opened
}

// syn builds a SYN to port 25 with 20 octets of options.
func syn(from, to netip.Addr, port uint16) []byte {
	const size = header.TCPMinimumSize + 20
	segment := make(header.TCP, size)
	segment.Encode(&header.TCPFields{
		SrcPort: port, DstPort: lab.PortSMTP, SeqNum: 1000, DataOffset: size,
		Flags: header.TCPFlagSyn, WindowSize: 64_000,
	})
	for i := header.TCPMinimumSize; i < size; i++ {
		segment[i] = header.TCPOptionNOP
	}
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, tcpip.AddrFrom16(from.As16()), tcpip.AddrFrom16(to.As16()), size)
	segment.SetChecksum(^segment.CalculateChecksum(sum))
	return segment
}

// fragment builds an IPv6 packet with a piece of a TCP segment that begins at
// offset, in octets.
func fragment(from, to netip.Addr, id uint32, piece []byte, offset int, last bool) []byte {
	const fragmentHeader, fragmentSize = 44, 8
	packet := make([]byte, header.IPv6MinimumSize+fragmentSize+len(piece))
	header.IPv6(packet).Encode(&header.IPv6Fields{
		PayloadLength: uint16(fragmentSize + len(piece)), TransportProtocol: fragmentHeader, HopLimit: 64,
		SrcAddr: tcpip.AddrFrom16(from.As16()), DstAddr: tcpip.AddrFrom16(to.As16()),
	})
	more := 1
	if last {
		more = 0
	}
	f := packet[header.IPv6MinimumSize:]
	f[0] = unix.IPPROTO_TCP
	f[2], f[3] = byte(offset>>8), byte(offset|more) // the offset is in units of eight octets, shifted by three
	f[4], f[5], f[6], f[7] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
	copy(f[fragmentSize:], piece)
	return packet
}

// stream is a datagram with a number each millisecond, from one node to another.
type stream struct {
	mu   sync.Mutex
	sent int          // the number of the next one
	got  map[int]bool // that arrived
}

// startStream sends until the end of the test.
func startStream(t testing.TB, from, to *lab.Node, target netip.AddrPort) *stream {
	t.Helper()
	const room = 8 << 20 // octets: the receiver loses nothing while it waits for a processor
	sink, err := to.ListenPacket("udp", target.String())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sink.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if control := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) }); control != nil || err != nil {
		t.Fatalf("make room for datagrams: %v, %v", control, err)
	}
	source := dialUDP(t, from, target, func(int) error { return nil })
	s := &stream{got: map[int]bool{}}
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() { s.send(source, stop) })
	running.Go(func() { s.receive(sink) })
	t.Cleanup(func() {
		close(stop)
		_ = sink.Close()
		running.Wait()
	})
	s.waitFor(t, 200)
	if lost := s.lost(0, 200); lost > 0 {
		t.Fatalf("%d datagrams lost before anything happened", lost)
	}
	return s
}

func (s *stream) send(conn net.Conn, stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		number := s.sent
		s.sent++
		s.mu.Unlock()
		_, _ = conn.Write([]byte(strconv.Itoa(number))) // an error is a datagram lost
	}
}

func (s *stream) receive(conn net.PacketConn) {
	buf := make([]byte, 64)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if number, err := strconv.Atoi(string(buf[:n])); err == nil {
			s.mu.Lock()
			s.got[number] = true
			s.mu.Unlock()
		}
	}
}

// next returns the number of the next datagram.
func (s *stream) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// waitFor waits until a datagram with this number or a higher one has arrived, and
// those before it with it.
func (s *stream) waitFor(t testing.TB, number int) {
	t.Helper()
	const late = 50 // datagrams that may still be on their way
	eventually(t, fmt.Sprintf("datagram %d", number), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for n := number + late; n < s.sent; n++ {
			if s.got[n] {
				return true
			}
		}
		return false
	})
}

// lost returns how many of the datagrams from first to last-1 have not arrived.
func (s *stream) lost(first, last int) (lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := first; n < last; n++ {
		if !s.got[n] {
			lost++
		}
	}
	return lost
}
