// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/lab"
)

// floodPool is where a flood comes from: a part of the dynamic pool that is routed
// to the dynamic subscriber, who has none of its addresses himself.
var floodPool = netip.MustParsePrefix("100.66.0.0/16")

// unlimited answers every refusal.
func unlimited() lab.ConfigOptions {
	return lab.ConfigOptions{Set: map[string]string{"forwarding.answers": "{per_subscriber: 0, total: 0}"}}
}

// TestFloodAnswered sends SYNs from many subscribers, and each must be answered once.
// How many a second are is for BenchmarkFlood.
func TestFloodAnswered(t *testing.T) {
	t.Parallel()
	const sources, ports = 200, 10
	n := newNetwork(t, lab.Options{})
	routeFlood(t, n)
	g := startGateway(t, n, unlimited())
	heard := listenResets(t, n.Dynamic)
	f := newFlood(t, n, sources, ports)
	// No more than the TUN's queue holds are under way, however busy the machine is.
	for sent := 0; sent < sources*ports; {
		count, err := f.send(min(batch, sources*ports-sent))
		if err != nil {
			t.Fatalf("send SYNs: %v", err)
		}
		sent += count
		eventually(t, "an answer to every SYN", func() bool { return heard.count.Load() >= int64(sent) })
	}
	time.Sleep(50 * time.Millisecond) // what comes twice comes right after
	answers := heard.stop(t)
	if len(answers) != sources*ports {
		t.Errorf("%d connections were answered, want %d", len(answers), sources*ports)
	}
	for _, c := range slices.SortedFunc(maps.Keys(answers), netip.AddrPort.Compare) {
		if times := answers[c]; times != 1 || !floodPool.Contains(c.Addr()) {
			t.Errorf("%s was answered %d times", c, times)
		}
	}
	if out, _ := stopAndCount(t, g); out.frames != sources*ports {
		t.Errorf("%s, want %d frames", out, sources*ports)
	}
}

// TestFloodShed floods a gateway with a low limit: the kernel drops most of it before it
// is read, everybody's first attempts are answered, and each SYN is in some counter.
func TestFloodShed(t *testing.T) {
	t.Parallel()
	const sources, ports, first = 20, 100, 16
	n := newNetwork(t, lab.Options{})
	routeFlood(t, n)
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"forwarding.answers": "{per_subscriber: 100, total: 16}"}}))
	heard := listenResets(t, n.Dynamic)
	f := newFlood(t, n, sources, ports)
	err := n.Dynamic.Do(func() error {
		for sent := 0; sent < sources*ports; {
			count, err := f.send(min(batch, sources*ports-sent))
			if err != nil {
				return err
			}
			sent += count
		}
		return nil
	})
	if err != nil {
		t.Fatalf("send SYNs: %v", err)
	}
	eventually(t, "an answer to everybody's first attempts", func() bool { return heard.count.Load() >= sources*first })
	shed := l.status(t).Shed
	answers := map[netip.Addr]int{}
	for c, times := range heard.stop(t) {
		answers[c.Addr()] += times
	}
	for source, times := range answers {
		if times < first {
			t.Errorf("%s was answered %d times, want its first %d attempts to be", source, times, first)
		}
	}
	if len(answers) != sources {
		t.Errorf("%d sources were answered, want %d", len(answers), sources)
	}
	l.reload(t) // the kernel's count begins anew, ours does not
	if again := l.status(t).Shed; again != shed {
		t.Errorf("%d shed, %d after a reload", shed, again)
	}
	out := l.stopConserved(t)["outbound"]
	t.Logf("%s, %d shed", out, shed)
	if read := out.fates["answered_reset"] + out.fates["dropped_by_limit"]; shed < sources*ports/2 || read+shed != sources*ports {
		t.Errorf("%d read, %d shed of %d", read, shed, sources*ports)
	}
}

// BenchmarkFlood sends SYNs to port 25 from a whole pool, and reports how many of
// them are answered without limits, and what a second subscriber keeps of his bulk
// TCP with the default ones. Senders, receivers and the gateway share the machine, so
// what sending alone takes away is measured too: the same flood, dropped where it
// enters the gateway.
//
// Settings: OP25B_BENCH_ROUNDS (5), OP25B_BENCH_SECONDS (2), OP25B_FLOOD_RATE in
// SYNs a second (50000).
func BenchmarkFlood(b *testing.B) {
	needTools(b, "iperf3", "nft")
	rounds, seconds := benchSetting(b, "OP25B_BENCH_ROUNDS", 5), benchSetting(b, "OP25B_BENCH_SECONDS", 2)
	rate := float64(benchSetting(b, "OP25B_FLOOD_RATE", 50_000))
	n := newNetwork(b, lab.Options{})
	routeFlood(b, n)
	f := newFlood(b, n, 2048, 8)
	found := newSamples()
	const answered, quiet, flooded, dropped = "SYN flood, no limits", "TCP of the other, quiet", "TCP of the other, flood", "TCP of the other, flood dropped at the link"
	for b.Loop() {
		for range rounds {
			g := startGateway(b, n, unlimited())
			sent, back := measureAnswers(b, n, f, rate, seconds)
			found.add(answered, "SYN/s", sent/float64(seconds))
			found.add(answered, "answered/sent", back/sent)
			halt(b, g)

			g = startGateway(b, n, lab.ConfigOptions{})
			bulk := func(name string, rate float64) {
				v, sent := measureBystander(b, n, f, rate, seconds)
				found.add(name, "Gbit/s", v)
				found.add(name, "SYN/s", sent)
			}
			bulk(quiet, 0)
			bulk(flooded, rate)
			loadRules(b, n.Gateway, `
				table netdev flood {
					chain in {
						type filter hook ingress device "dyn0" priority 0; policy accept;
						ip saddr 100.66.0.0/16 drop
					}
				}`)
			bulk(dropped, rate)
			mustRun(b, n.Gateway, "nft", "delete", "table", "netdev", "flood")
			halt(b, g)
		}
	}
	b.ReportMetric(0, "ns/op") // of no interest
	b.ReportMetric(found.median(answered, "answered/sent"), "answered/sent")
	b.ReportMetric(found.median(answered, "SYN/s"), "SYN/s")
	of := func(name, than string) float64 { return found.median(name, "Gbit/s") / found.median(than, "Gbit/s") }
	b.ReportMetric(of(flooded, quiet), "kept")
	b.ReportMetric(of(dropped, quiet), "kept-by-sending")
	b.ReportMetric(of(flooded, dropped), "kept-by-gateway")
	found.print()
}

// measureAnswers counts the packets that come back to the flooder. Nothing else does.
func measureAnswers(b *testing.B, n *lab.Network, f *synFlood, rate float64, seconds int) (sent, back float64) {
	b.Helper()
	const settle = 200 * time.Millisecond
	before := received(b, n.Dynamic)
	err := n.Dynamic.Do(func() error {
		count, err := f.pace(rate, int(rate)*seconds)
		sent = float64(count)
		return err
	})
	if err != nil {
		b.Fatalf("send SYNs: %v", err)
	}
	time.Sleep(settle)
	return sent, float64(received(b, n.Dynamic) - before)
}

// measureBystander moves bulk TCP of the static subscriber while the flood runs; at
// rate 0 none does. It returns Gbit/s and the flood's true rate.
func measureBystander(b *testing.B, n *lab.Network, f *synFlood, rate float64, seconds int) (gbits, syns float64) {
	b.Helper()
	var done atomic.Bool
	type outcome struct {
		sent uint64
		err  error
	}
	flooding, begun := make(chan outcome, 1), time.Now()
	go func() {
		var o outcome
		o.err = n.Dynamic.Do(func() (err error) {
			for !done.Load() && rate > 0 && err == nil {
				var sent uint64
				sent, err = f.pace(rate, int(rate/20)) // a twentieth of a second
				o.sent += sent
			}
			return err
		})
		flooding <- o
	}()
	moved := iperf(b, n.Static, n.Internet, at(lab.IPv4.Addrs().Internet, portIperf), fmt.Sprintf("-t %d", seconds))
	done.Store(true)
	o := <-flooding
	if o.err != nil {
		b.Fatalf("send SYNs: %v", o.err)
	}
	return moved.bits / 1e9, float64(o.sent) / time.Since(begun).Seconds()
}

// routeFlood leads what is addressed to the flood's sources to the flooder.
func routeFlood(t testing.TB, n *lab.Network) {
	t.Helper()
	mustRun(t, n.Gateway, "ip", "route", "add", floodPool.String(), "via", lab.IPv4.Addrs().Dynamic.String())
}

// synFlood sends SYNs of many connections, many a system call, past the IP stack. It
// starts over once each was sent.
type synFlood struct {
	fd       int
	frames   [][]byte
	vectors  []unix.Iovec
	messages []messageHeader
	next     int
}

// newFlood makes a flood from as many sources, with as many ports each, to port 25 of
// the mail server.
func newFlood(t testing.TB, n *lab.Network, sources, ports int) *synFlood {
	t.Helper()
	target, err := n.Gateway.Netlink().LinkByName(lab.LinkDynamic)
	if err != nil {
		t.Fatal(err)
	}
	f := &synFlood{fd: packetSocket(t, n.Dynamic)}
	to := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	for port := range ports { // the sources take turns
		from := floodPool.Addr()
		for range sources {
			from = from.Next()
			syn := buildTCP(from, to.Addr(), &header.TCPFields{
				SrcPort: uint16(1024 + port), DstPort: to.Port(), SeqNum: uint32(port),
				DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1024,
			}, "")
			frame := append(slices.Concat(target.Attrs().HardwareAddr, make(net.HardwareAddr, 6)), 0x08, 0x00) // ETH_P_IP
			f.frames = append(f.frames, append(frame, syn...))
		}
	}
	f.vectors, f.messages = make([]unix.Iovec, len(f.frames)), make([]messageHeader, len(f.frames))
	for i := range f.frames {
		f.vectors[i].Base = &f.frames[i][0]
		f.vectors[i].SetLen(len(f.frames[i]))
		f.messages[i].header.Iov = &f.vectors[i]
		f.messages[i].header.SetIovlen(1)
	}
	return f
}

// packetSocket opens a socket on the node's link that takes and gives whole frames.
func packetSocket(t testing.TB, node *lab.Node) (fd int) {
	t.Helper()
	link, err := node.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		t.Fatal(err)
	}
	err = node.Do(func() (err error) {
		// No protocol yet: it would receive what comes before it is bound.
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index})
	})
	if err != nil {
		t.Fatalf("open a packet socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// pace sends n SYNs at a rate, in SYNs a second, and returns how many it has sent
// within the time that this takes. It is due every fifth of a millisecond; one that is
// a little late makes up for it, since a flood comes in bursts anyway.
func (f *synFlood) pace(rate float64, n int) (sent uint64, err error) {
	const interval, most = 200 * time.Microsecond, 20 * time.Millisecond
	defer preciseSleep()()
	begun := time.Now()
	end := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	forgiven := 0.0 // what was due while the machine did not let us run
	for int(sent) < n {
		now := time.Now()
		if now.After(end) {
			now = end
		}
		due := min(float64(n), rate*now.Sub(begun).Seconds()) - forgiven - float64(sent)
		if late := due - rate*most.Seconds(); late > 0 {
			forgiven += late
			due -= late
		}
		if due < 1 {
			if now.Equal(end) {
				break
			}
			sleep(interval)
			continue
		}
		count, err := f.send(min(batch, int(due)))
		if err != nil {
			return sent, err
		}
		sent += uint64(count)
	}
	return sent, nil
}

func (f *synFlood) send(n int) (int, error) {
	defer runtime.KeepAlive(f)
	n = min(n, len(f.messages)-f.next)
	sent, err := sendMessages(f.fd, f.messages[f.next:f.next+n])
	f.next = (f.next + sent) % len(f.messages)
	return sent, err
}

// resets are the RSTs that come in by a node's link.
type resets struct {
	count   atomic.Int64
	stopped atomic.Bool
	done    chan error
	answers map[netip.AddrPort]int // how often, by who was answered; valid once done
}

// listenResets listens until it is stopped.
func listenResets(t testing.TB, node *lab.Node) *resets {
	t.Helper()
	const buffer = 16 << 20
	fd := packetSocket(t, node)
	link, err := node.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(overdue.Nanoseconds())
	ip := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: ip}),
	)
	if err != nil {
		t.Fatal(err)
	}
	r := &resets{done: make(chan error, 1), answers: map[netip.AddrPort]int{}}
	go func() { r.done <- r.listen(fd) }()
	return r
}

func (r *resets) listen(fd int) error {
	const ethernet = 14
	frame := make([]byte, 1<<16)
	for !r.stopped.Load() {
		n, _, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			if nothingCame(err) {
				continue
			}
			return fmt.Errorf("receive: %w", err)
		}
		if n < ethernet+header.IPv4MinimumSize+header.TCPMinimumSize {
			continue
		}
		p, ok := parsePacket(frame[ethernet:n])
		if ok && p.tcp.Flags()&header.TCPFlagRst != 0 {
			r.answers[at(p.dst, p.tcp.DestinationPort())]++
			r.count.Add(1)
		}
	}
	return nil
}

func (r *resets) stop(t testing.TB) map[netip.AddrPort]int {
	t.Helper()
	r.stopped.Store(true)
	if err := <-r.done; err != nil {
		t.Fatalf("listen for RSTs: %v", err)
	}
	return r.answers
}
