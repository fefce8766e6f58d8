// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"op25b/lab"
)

// portIperf is where iperf3 measures unless a test wants another port.
const portIperf = 5201

// TestBulk has iperf3 load the gateway in every mode. Its figures go to the log.
func TestBulk(t *testing.T) {
	needTools(t, "iperf3")
	for _, opts := range modes("auto", "off") {
		t.Run(modeName(opts), func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			g := startGateway(t, n, opts)
			bulk := "-n 50M"
			if opts.Offload == "off" {
				bulk = "-n 10M"
			}
			for _, f := range n.Families() {
				a := f.Addrs()
				for _, args := range []string{
					bulk, bulk + " -R", bulk + " -P 8", bulk + " -P 8 -R", "-u -b 200M -n 5M", "-u -b 200M -n 5M -R",
				} {
					t.Logf("%s %-18s %s", f, args, iperf(t, n.Dynamic, n.Internet, at(a.Internet, portIperf), args))
				}
				// Who may send mail sends it through the gateway in any mode.
				t.Logf("%s mail, static       %s", f, iperf(t, n.Static, n.Internet, at(a.MX, lab.PortSMTP), "-n 20M"))
			}
			out, in := stopAndCount(t, g)
			t.Logf("outbound %s; inbound %s", out, in)
			const few = 20
			if out.frames < few {
				t.Errorf("%d frames went out through the gateway", out.frames)
			}
			if router := opts.ReturnPath == "router"; router != (in.frames > few) {
				t.Errorf("%d frames came back through the gateway with return_path: %s", in.frames, opts.ReturnPath)
			}
		})
	}
}

// TestCaptureSMTP proves that with this mode traffic that is no mail costs the
// gateway nothing: it does not see it.
func TestCaptureSMTP(t *testing.T) {
	t.Parallel()
	needTools(t, "iperf3")
	n := newNetwork(t, lab.Options{})
	g := startGateway(t, n, lab.ConfigOptions{Capture: "smtp", ReturnPath: "router"})
	for _, f := range n.Families() {
		iperf(t, n.Dynamic, n.Internet, at(f.Addrs().Internet, portIperf), "-n 10M")
		iperf(t, n.Dynamic, n.Internet, at(f.Addrs().Internet, portIperf), "-n 1M -u -b 100M -R")
	}
	const few = 20
	if out, in := stopAndCount(t, g); out.frames+in.frames > few {
		t.Errorf("the gateway saw traffic that is no mail: outbound %s; inbound %s", out, in)
	}
}

// TestQuiet proves that the kernel itself has nothing to say on our interfaces: no
// router solicitations, no multicast reports, which would enter the loop.
func TestQuiet(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	g := startGateway(t, n, lab.ConfigOptions{ReturnPath: "router"})
	time.Sleep(silence) // such reports come within a second, twice
	if out, in := stopAndCount(t, g); out.frames+in.frames > 0 {
		t.Errorf("without any traffic the gateway saw: outbound %s; inbound %s", out, in)
	}
}

// TestTCPSuperPackets proves that bulk TCP passes in super-packets, which is what
// makes it fast, and that offload: off really is off. Each gateway sees one
// transfer in one direction: the other one has the ACKs.
func TestTCPSuperPackets(t *testing.T) {
	needTools(t, "iperf3")
	n := newNetwork(t, lab.Options{})
	for _, offload := range []string{"auto", "on", "off"} {
		for _, f := range n.Families() {
			for _, args := range []string{"-n 100M", "-n 100M -R"} {
				t.Run(fmt.Sprint(offload, " ", f, " ", args), func(t *testing.T) {
					g := startGateway(t, n, lab.ConfigOptions{Offload: offload, ReturnPath: "router"})
					speed := iperf(t, n.Dynamic, n.Internet, at(f.Addrs().Internet, portIperf), args)
					bulk, back := stopAndCount(t, g)
					if strings.Contains(args, "-R") {
						bulk, back = back, bulk
					}
					t.Logf("%s; bulk %s; ACKs %s", speed, bulk, back)
					const most = 1500 + 10 // MTU and virtio_net_hdr
					switch mean := bulk.mean(); {
					case offload == "off" && mean > most:
						t.Errorf("frames are %d octets long on average, want at most %d", mean, most)
					case offload != "off" && mean < 5*most:
						t.Errorf("frames are %d octets long on average: super-packets do not pass whole", mean)
					}
				})
			}
		}
	}
}

// TestUDPSuperPackets proves the same for UDP (USO): what a program hands to its
// kernel at once passes the gateway as one frame, and arrives in pieces as it
// wanted.
func TestUDPSuperPackets(t *testing.T) {
	t.Parallel()
	const bursts, pieces, size = 25, 40, 1200
	n := newNetwork(t, lab.Options{})
	for _, offload := range []string{"auto", "off"} {
		for _, f := range n.Families() {
			t.Run(fmt.Sprint(offload, " ", f), func(t *testing.T) {
				g := startGateway(t, n, lab.ConfigOptions{Offload: offload})
				ready, err := g.WaitLog(t.Context(), "ready", 1)
				if err != nil {
					t.Fatal(err)
				}
				sink, err := n.Internet.ListenPacket("udp", at(f.Addrs().Internet, 4000).String())
				if err != nil {
					t.Fatal(err)
				}
				defer sink.Close()
				source := dialUDP(t, n.Dynamic, at(f.Addrs().Internet, 4000), func(fd int) error {
					return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, size)
				})
				for i := range bursts {
					sent := numbered(i, pieces*size)
					if _, err := source.Write(sent); err != nil {
						t.Fatalf("send UDP super-packet: %v", err)
					}
					wantNumbered(t, n, sink, sent, size)
				}
				want := uint64(bursts)
				if granted, _ := ready["offload"].(string); !strings.Contains(granted, "uso") {
					want *= pieces // each piece is a frame
					if offload == "auto" {
						t.Logf("this kernel has no UDP segmentation offload for TUN: %s", granted)
					}
				}
				if out, _ := stopAndCount(t, g); out.fates["forwarded"] != want {
					t.Errorf("forwarded in %s, want %d frames", out, want)
				}
			})
		}
	}
}

// TestLargePing sends echo requests that fill a packet, exceed it by one octet,
// and come in forty fragments.
func TestLargePing(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			g := startGateway(t, n, lab.ConfigOptions{ReturnPath: returnPath})
			for _, f := range n.Families() {
				for _, from := range []*lab.Node{n.Dynamic, n.Static} {
					for _, size := range []string{"16", "1472", "1473", "60000"} {
						wantPing(t, from, f.Addrs().Internet, "-s", size)
					}
				}
				wantPing(t, n.Internet, f.Addrs().Dynamic, "-s", "60000")
			}
			stopAndCount(t, g)
		})
	}
}

// TestTraceroute counts the hops: the gateway is there once, whatever carries the
// question, also on the way to a port that is refused.
func TestTraceroute(t *testing.T) {
	t.Parallel()
	needTools(t, "traceroute")
	for _, opts := range modes("auto") {
		t.Run(modeName(opts), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			if _, err := n.StartWeb(); err != nil {
				t.Fatal(err)
			}
			g := startGateway(t, n, opts)
			for _, f := range n.Families() {
				a := f.Addrs()
				way := []netip.Addr{a.GatewayDynamic, a.TransitGateway, a.Web}
				for _, args := range []string{"-U", "-I", "-T -p 80"} {
					if diff := cmp.Diff(way, traceroute(t, n.Dynamic, a.Web, args), byString()); diff != "" {
						t.Errorf("traceroute %s to %s (-want +got):\n%s", args, a.Web, diff)
					}
				}
				// The gateway answers in the server's name where it would be next.
				refusal := []netip.Addr{a.GatewayDynamic, a.MX}
				if diff := cmp.Diff(refusal, traceroute(t, n.Dynamic, a.MX, "-T -p 25"), byString()); diff != "" {
					t.Errorf("traceroute to a refused port (-want +got):\n%s", diff)
				}
			}
			stopAndCount(t, g)
		})
	}
}

// TestHopLimit looks at what packets arrive with: the gateway takes one like any
// router, or nothing.
func TestHopLimit(t *testing.T) {
	t.Parallel()
	needTools(t, "ping", "tcpdump")
	const sent = 40
	for _, tt := range []struct {
		returnPath, hop string
		out, in         int // what is left, with the transit router's one taken
	}{
		{"kernel", "decrement", sent - 2, sent - 2},
		{"router", "decrement", sent - 2, sent - 2},
		{"kernel", "transparent", sent - 1, sent - 2}, // the kernel forwards the way back
		{"router", "transparent", sent - 1, sent - 1},
	} {
		t.Run(tt.returnPath+" "+tt.hop, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			g := startGateway(t, n, lab.ConfigOptions{ReturnPath: tt.returnPath, Hop: tt.hop})
			for _, f := range n.Families() {
				a := f.Addrs()
				if got := arrivesWith(t, f, sent, n.Dynamic, n.Internet, a.Internet); got != tt.out {
					t.Errorf("%s: sent with hop limit %d, arrives in the internet with %d, want %d", f, sent, got, tt.out)
				}
				if got := arrivesWith(t, f, sent, n.Internet, n.Dynamic, a.Dynamic); got != tt.in {
					t.Errorf("%s: sent with hop limit %d, arrives at the subscriber with %d, want %d", f, sent, got, tt.in)
				}
			}
			stopAndCount(t, g)
		})
	}
}

var seenHopLimit = regexp.MustCompile(`(?:ttl|hlim) (\d+)`)

// arrivesWith sends an echo request, a datagram and a SYN with the hop limit and
// returns the one that all of them arrive with.
func arrivesWith(t *testing.T, f lab.Family, limit int, from, to *lab.Node, destination netip.Addr) int {
	t.Helper()
	limited := func(fd int) error {
		if f == lab.IPv6 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, limit)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, limit)
	}
	seen := startCapture(t, to, lab.LinkHost, fmt.Sprintf("dst host %s and not icmp6[0] >= 133", destination)) // no neighbor discovery
	wantPing(t, from, destination, "-t", strconv.Itoa(limit))
	if _, err := dialUDP(t, from, at(destination, 4000), limited).Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := dialWith(t, from, at(destination, 4000), limited); got != refused {
		t.Errorf("SYN to a closed port: %s", got)
	}
	var limits []int
	for _, match := range seenHopLimit.FindAllStringSubmatch(seen.stop(t, 3), -1) {
		left, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, left)
	}
	if len(slices.Compact(slices.Clone(limits))) != 1 {
		t.Errorf("packets arrive with different hop limits: %v", limits)
	}
	return limits[0]
}

// modes returns every combination of capture, return path and the offloads.
func modes(offloads ...string) []lab.ConfigOptions {
	var all []lab.ConfigOptions
	for _, capture := range []string{"all", "smtp"} {
		for _, returnPath := range []string{"kernel", "router"} {
			for _, offload := range offloads {
				all = append(all, lab.ConfigOptions{Capture: capture, ReturnPath: returnPath, Offload: offload})
			}
		}
	}
	return all
}

func modeName(o lab.ConfigOptions) string {
	return fmt.Sprintf("capture %s, return path %s, offload %s", o.Capture, o.ReturnPath, o.Offload)
}

// byString compares addresses as they are written.
func byString() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

// transfer is what iperf3 measured where the octets arrive.
type transfer struct {
	bits          float64 // a second
	octets        float64
	packets, lost float64 // UDP only
}

func (r transfer) String() string {
	s := fmt.Sprintf("%6.3f Gbit/s", r.bits/1e9)
	if r.packets > 0 {
		s += fmt.Sprintf(", %.0f of %.0f datagrams lost", r.lost, r.packets)
	}
	return s
}

// iperf runs iperf3 between two nodes with these arguments. A transfer that ends
// with an error, or brings nothing over, fails the test. With many flows iperf3
// itself leaves behind what is still in the sender's buffers.
func iperf(t testing.TB, client, server *lab.Node, to netip.AddrPort, args string) transfer {
	t.Helper()
	port := strconv.Itoa(int(to.Port()))
	// Bound to the address: over UDP it would answer from another one of the node's.
	listening := start(t, server, "iperf3", "--server", "--one-off", "--forceflush", "--bind", to.Addr().String(), "--port", port)
	listening.waitOutput(t, "Server listening")
	words := append([]string{"--json", "--connect-timeout", "5000", "--port", port, "--client", to.Addr().String()}, strings.Fields(args)...)
	said := runIn(t, client, "iperf3", words...)
	type sum struct {
		Bits    float64 `json:"bits_per_second"`
		Octets  float64 `json:"bytes"`
		Packets float64 `json:"packets"`
		Lost    float64 `json:"lost_packets"`
	}
	var report struct {
		Error string
		End   struct {
			Received sum `json:"sum_received"`
			Sum      sum `json:"sum"` // UDP: what was sent
		}
	}
	if err := json.Unmarshal([]byte(said.stdout), &report); err != nil || report.Error != "" || said.code != 0 {
		t.Fatalf("iperf3 %s: exit code %d: %s\n%s", args, said.code, report.Error, said.stderr)
	}
	listening.wait(t)
	r := transfer{bits: report.End.Received.Bits, octets: report.End.Received.Octets}
	if udp := report.End.Sum; udp.Packets > 0 {
		arrived := 1 - udp.Lost/udp.Packets
		r = transfer{bits: udp.Bits * arrived, octets: udp.Octets * arrived, packets: udp.Packets, lost: udp.Lost}
	}
	if r.octets == 0 {
		t.Errorf("iperf3 %s: nothing arrived", args)
	}
	return r
}

// pings sends one echo request and reports whether it is answered. It is one, since
// ping waits only for the first answer as long as it is told to.
func pings(t testing.TB, from *lab.Node, to netip.Addr, args ...string) (answered bool, said string) {
	t.Helper()
	args = append(append([]string{"-n", "-c", "1", "-W", "3"}, args...), to.String())
	out := runIn(t, from, "ping", args...)
	return out.code == 0, fmt.Sprintf("%s: ping %s:\n%s%s", from.Name(), strings.Join(args, " "), out.stdout, out.stderr)
}

// wantPing is pings for a request that must be answered.
func wantPing(t testing.TB, from *lab.Node, to netip.Addr, args ...string) {
	t.Helper()
	if answered, said := pings(t, from, to, args...); !answered {
		t.Error(said)
	}
}

var tracerouteHop = regexp.MustCompile(`(?m)^ *\d+ +(\S+)`)

// traceroute returns who answers on the way; silence is the zero address.
func traceroute(t testing.TB, from *lab.Node, to netip.Addr, args string) []netip.Addr {
	t.Helper()
	words := append(strings.Fields(args), "-n", "-q", "1", "-w", "2", "-m", "6", to.String())
	var hops []netip.Addr
	for _, match := range tracerouteHop.FindAllStringSubmatch(mustRun(t, from, "traceroute", words...), -1) {
		hop, _ := netip.ParseAddr(match[1])
		hops = append(hops, hop)
	}
	return hops
}

// dialer returns a dialer that prepares each socket by its descriptor.
func dialer(prepare func(fd int) error) *net.Dialer {
	return &net.Dialer{Timeout: silence, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if control := c.Control(func(fd uintptr) { err = prepare(int(fd)) }); control != nil {
			return control
		}
		return err
	}}
}

// dialUDP returns a prepared socket, closed with the test.
func dialUDP(t testing.TB, from *lab.Node, to netip.AddrPort, prepare func(fd int) error) net.Conn {
	t.Helper()
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = dialer(prepare).DialContext(t.Context(), "udp", to.String())
		return err
	})
	if err != nil {
		t.Fatalf("dial from %s: %v", from.Name(), err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dialWith is dial with a prepared socket.
func dialWith(t testing.TB, from *lab.Node, to netip.AddrPort, prepare func(fd int) error) (outcome string) {
	t.Helper()
	err := from.Do(func() error {
		conn, err := dialer(prepare).DialContext(t.Context(), "tcp", to.String())
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		return outcomeOf(err)
	}
	return connected
}

// capture is tcpdump at work on one link.
type capture struct{ *program }

// startCapture has tcpdump decode every packet that the filter matches. It sees
// the link when startCapture returns.
func startCapture(t testing.TB, node *lab.Node, link, filter string) capture {
	t.Helper()
	// A buffer of 64 MiB for about a thousand packets of any size: the traffic is
	// faster than tcpdump writes.
	p := start(t, node, "tcpdump", "-i", link, "-nn", "-l", "-vvv", "--immediate-mode", "-s", "65600", "-B", "65536", filter)
	p.waitOutput(t, "listening on")
	return capture{p}
}

// newPacket is how tcpdump begins a packet's first line.
var newPacket = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d+ `)

// stop waits for n packets at least, ends tcpdump and returns what it decoded.
func (c capture) stop(t testing.TB, n int) string {
	t.Helper()
	eventually(t, fmt.Sprintf("capture of %d packets", n), func() bool {
		return len(newPacket.FindAllString(c.output(), n)) >= n
	})
	c.signal(t, unix.SIGINT)
	return c.output()
}
