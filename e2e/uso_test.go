// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

const (
	// segmentSize is the payload of a datagram in a super-packet, in octets: what
	// QUIC and VPNs fill a packet of 1500 with.
	segmentSize = 1400
	// segments is how many datagrams a program hands to its kernel at once.
	segments = 20
)

// arrival is a way for UDP to come in by the gateway's subscriber interface.
type arrival struct {
	name string
	// whole says that super-packets leave the sender as they are, as between two
	// virtual machines. Otherwise each datagram is a packet, as on a cable.
	whole bool
	// features are those of the gateway's interface, as ethtool -K takes them.
	features string
	offload  string // tunnel.offload
	// merged says that the gateway reads super-packets, with a kernel that has them.
	merged bool
}

func arrivals() []arrival {
	return []arrival{
		{"super-packets", true, "gro off", "auto", true},
		{"super-packets, offload off", true, "gro off", "off", false},
		{"datagrams", false, "gro on rx-udp-gro-forwarding off rx-gro-list off", "auto", false},
		{"datagrams, rx-udp-gro-forwarding", false, "gro on rx-udp-gro-forwarding on rx-gro-list off", "auto", true},
		{"datagrams, rx-gro-list", false, "gro on rx-udp-gro-forwarding on rx-gro-list on", "auto", false},
		{"datagrams, rx-udp-gro-forwarding, offload off", false, "gro on rx-udp-gro-forwarding on rx-gro-list off", "off", false},
	}
}

// set prepares the subscriber's link.
func (a *arrival) set(t testing.TB, n *lab.Network) {
	t.Helper()
	setFeatures(t, n.Gateway, lab.LinkDynamic, a.features)
	state := "off"
	if a.whole {
		state = "on"
	}
	setFeatures(t, n.Dynamic, lab.LinkHost, "tx-udp-segmentation "+state)
}

func setFeatures(t testing.TB, node *lab.Node, link, features string) {
	t.Helper()
	mustRun(t, node, "ethtool", append([]string{"-K", link}, strings.Fields(features)...)...)
}

// TestUDPArrivals sends datagrams in each way, and looks at every octet of what
// comes out and at how many frames the gateway read for it.
func TestUDPArrivals(t *testing.T) {
	t.Parallel()
	needTools(t, "ethtool")
	const sends = 10
	n := newNetwork(t, lab.Options{})
	for _, a := range arrivals() {
		for _, f := range n.Families() {
			t.Run(a.name+", "+f.String(), func(t *testing.T) {
				a.set(t, n)
				g := startGateway(t, n, lab.ConfigOptions{Offload: a.offload})
				ready, err := g.WaitLog(t.Context(), "ready", 1)
				if err != nil {
					t.Fatal(err)
				}
				granted, _ := ready["offload"].(string)
				to := at(f.Addrs().Internet, portSink)
				sink, err := n.Internet.ListenPacket("udp", to.String())
				if err != nil {
					t.Fatal(err)
				}
				defer sink.Close()
				source := dialUDP(t, n.Dynamic, to, segmented)
				for i := range sends {
					// The last one is shorter, as the end of a message is.
					sent := numbered(i, segments*segmentSize-segmentSize/2)
					if _, err := source.Write(sent); err != nil {
						t.Fatalf("send a UDP super-packet: %v", err)
					}
					wantNumbered(t, n, sink, sent, segmentSize)
				}
				out, _ := stopAndCount(t, g)
				merged, all := a.merged && strings.Contains(granted, "uso"), uint64(sends*segments)
				t.Logf("offload %s: %d frames for %d datagrams", granted, out.frames, all)
				switch {
				case merged && a.whole && out.frames != sends:
					t.Errorf("%s, want %d frames", out, sends)
				case merged && out.frames > all/4: // the kernel may see a part of a burst first
					t.Errorf("%s, want far fewer than %d frames", out, all)
				case !merged && out.frames != all:
					t.Errorf("%s, want %d frames", out, all)
				}
			})
		}
	}
}

// segmented has the kernel, or what comes after it, cut what is sent.
func segmented(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, segmentSize)
}

// numbered returns octets of which no two datagrams are the same, whole or cut short.
func numbered(send, octets int) []byte {
	b := make([]byte, octets)
	for i := range len(b) / 8 {
		binary.BigEndian.PutUint64(b[8*i:], uint64(send)<<32|uint64(i))
	}
	return b
}

// wantNumbered receives what was sent in segments of this size, every octet and each once.
// They may come in any order: between namespaces a packet waits for the processor that it
// was sent on, and a thread that moves to another one overtakes its own packets. That a
// lane keeps the order is TestLaneKeepsOrder's.
func wantNumbered(t *testing.T, n *lab.Network, conn net.PacketConn, sent []byte, size int) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	missing := make(map[string]int)
	for d := range slices.Chunk(sent, size) {
		missing[string(d)] = len(missing) + 1
	}
	got := make([]byte, 1<<16)
	for len(missing) > 0 {
		length, _, err := conn.ReadFrom(got)
		if err != nil {
			t.Fatalf("%v; missing: %v; dropped in front of the gateway: %.0f",
				err, slices.Sorted(maps.Values(missing)), droppedAtTUN(t, n))
		}
		if _, wanted := missing[string(got[:length])]; !wanted {
			t.Fatalf("%d octets that were not sent, or twice; missing: %v\n%s",
				length, slices.Sorted(maps.Values(missing)), hex.Dump(got[:length]))
		}
		delete(missing, string(got[:length]))
	}
}

// BenchmarkReceive measures what the features are worth that `op25b check --live`
// gives advice about, in interleaved rounds: how many datagrams, or how much of TCP,
// goes through the gateway, and what it costs the machine.
//
// Settings: OP25B_BENCH_ROUNDS (5), OP25B_BENCH_SECONDS (2).
func BenchmarkReceive(b *testing.B) {
	needTools(b, "ethtool", "iperf3")
	rounds, seconds := benchSetting(b, "OP25B_BENCH_ROUNDS", 5), benchSetting(b, "OP25B_BENCH_SECONDS", 2)
	n := newNetwork(b, lab.Options{})
	found := newSamples()
	for b.Loop() {
		for range rounds {
			for _, a := range arrivals() {
				measureArrival(b, n, a, seconds, found)
			}
			for _, features := range []string{"gro off rx-gro-list off", "gro on rx-gro-list off", "gro on rx-gro-list on"} {
				measureSegments(b, n, features, seconds, found)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of no interest
	found.print()
}

func measureArrival(b *testing.B, n *lab.Network, a arrival, seconds int, found *samples) {
	b.Helper()
	a.set(b, n)
	g := startGateway(b, n, lab.ConfigOptions{Offload: a.offload})
	t := &turn{B: b, network: n, pid: g.Pid(), seconds: seconds}
	to := at(lab.IPv4.Addrs().Internet, portSink)
	sink, err := n.Internet.ListenPacket("udp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	source := dialUDP(b, n.Dynamic, to, segmented)
	var stop atomic.Bool
	sent := make(chan error, 1)
	go func() {
		data := numbered(0, segments*segmentSize)
		for !stop.Load() {
			if _, err := source.Write(data); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	time.Sleep(200 * time.Millisecond)
	spent, before, begun := t.meter(), datagramsReceived(b, n.Internet), time.Now()
	time.Sleep(time.Duration(seconds) * time.Second)
	arrived, took := datagramsReceived(b, n.Internet)-before, time.Since(begun)
	machine, process := spent()
	stop.Store(true)
	if err := <-sent; err != nil {
		b.Fatalf("send: %v", err)
	}
	_ = sink.Close()
	halt(b, g)
	name := "UDP, " + a.name
	found.add(name, "datagrams/s", arrived/took.Seconds())
	found.add(name, "s of machine/million", machine/(arrived/1e6))
	found.add(name, "s of process/million", process/(arrived/1e6))
}

// datagramsReceived returns how many datagrams of segmentSize have come in by a
// host's link, by their octets: the kernel counts a super-packet as one packet.
func datagramsReceived(t testing.TB, node *lab.Node) float64 {
	t.Helper()
	const headers = 14 + 20 + 8
	link, err := node.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		t.Fatal(err)
	}
	s := link.Attrs().Statistics
	return (float64(s.RxBytes) - headers*float64(s.RxPackets)) / segmentSize
}

// measureSegments moves bulk TCP that reaches the gateway in single segments.
func measureSegments(b *testing.B, n *lab.Network, features string, seconds int, found *samples) {
	b.Helper()
	setFeatures(b, n.Gateway, lab.LinkDynamic, features)
	setFeatures(b, n.Dynamic, lab.LinkHost, "tso off gso off")
	defer setFeatures(b, n.Dynamic, lab.LinkHost, "tso on gso on")
	g := startGateway(b, n, lab.ConfigOptions{})
	t := &turn{B: b, network: n, pid: g.Pid(), seconds: seconds}
	spent := t.meter()
	moved := iperf(b, n.Dynamic, n.Internet, at(lab.IPv4.Addrs().Internet, portIperf), fmt.Sprintf("-t %d", seconds))
	machine, process := spent()
	halt(b, g)
	name := "TCP, segments, " + features
	found.add(name, "Gbit/s", moved.bits/1e9)
	found.add(name, "s of machine/GB", machine/(moved.octets/1e9))
	found.add(name, "s of process/GB", process/(moved.octets/1e9))
}
