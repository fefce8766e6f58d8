// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

const (
	// few and many are policies' sizes, in prefixes.
	few  = 1_000
	many = 1_000_000
	// startPatience is how long a gateway may take to be ready with many.
	startPatience = 2 * time.Minute
)

// BenchmarkFootprint reports what the gateway needs when nothing is going on, what it
// needs at most under load, how long it takes to start with few and with many
// prefixes, and what a reload of many does to the traffic meanwhile. It judges
// nothing.
//
// Settings: OP25B_FOOTPRINT_PARTS, of memory, start, start_many and reload, separated
// by commas (all).
func BenchmarkFootprint(b *testing.B) {
	needTools(b, "iperf3")
	parts := []footprint{
		{"memory", measureMemory}, {"start", measureStarts}, {"start_many", measureStartMany}, {"reload", measureReload},
	}
	parts = selected(b, "OP25B_FOOTPRINT_PARTS", parts, func(p footprint) string { return p.name })
	n := newNetwork(b, lab.Options{})
	found := newSamples()
	for b.Loop() {
		for _, p := range parts {
			p.measure(b, n, found)
		}
	}
	b.ReportMetric(0, "ns/op") // of no interest
	found.print()
}

// footprint is one part of the benchmark.
type footprint struct {
	name    string
	measure func(b *testing.B, n *lab.Network, found *samples)
}

func measureMemory(b *testing.B, n *lab.Network, found *samples) {
	b.Helper()
	const seconds = 3
	g := startGateway(b, n, lab.ConfigOptions{ReturnPath: "router"})
	t := &turn{B: b, network: n, pid: g.Pid(), seconds: seconds}
	time.Sleep(time.Second)
	found.add("memory, idle", "MiB resident", memory(t)["rss"])

	to := at(lab.IPv4.Addrs().Internet, portSink)
	sink, err := n.Internet.ListenPacket("udp", to.String()) // nobody reads, and nobody refuses
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	var done atomic.Bool
	sent := make(chan error, 1)
	go func() { sent <- n.Dynamic.Do(func() error { return flood(to, 18, &done) }) }()
	moved := iperf(b, n.Static, n.Internet, at(lab.IPv4.Addrs().Internet, portIperf), fmt.Sprintf("-t %d -P 8", seconds))
	done.Store(true)
	if err := <-sent; err != nil {
		b.Fatalf("send packets: %v", err)
	}
	found.add("memory, under load", "MiB at most", memory(t)["rss_peak"])
	found.add("memory, under load", "Gbit/s beside the flood", moved.bits/1e9)
	halt(b, g)
}

func measureStarts(b *testing.B, n *lab.Network, found *samples) {
	b.Helper()
	const starts = 5
	for range starts {
		measureStart(b, n, found, few).signal(b, unix.SIGTERM)
	}
}

func measureStartMany(b *testing.B, n *lab.Network, found *samples) {
	b.Helper()
	measureStart(b, n, found, many).signal(b, unix.SIGTERM)
}

// measureStart starts a gateway with a policy of this size and waits until it is
// ready.
func measureStart(b *testing.B, n *lab.Network, found *samples, prefixes int) *gatewayProgram {
	b.Helper()
	begun := time.Now()
	g := startLarge(b, n, prefixes)
	took := time.Since(begun) - g.writing
	name := fmt.Sprintf("start with %d prefixes", prefixes)
	found.add(name, "ms to ready", float64(took)/float64(time.Millisecond))
	t := &turn{B: b, pid: g.cmd.Process.Pid}
	found.add(name, "MiB resident", memory(t)["rss"])
	found.add(name, "MiB at most", memory(t)["rss_peak"])
	return g
}

// gatewayProgram is a gateway that may take longer than those of the lab.
type gatewayProgram struct {
	*program
	path    string
	writing time.Duration // what it took to write its configuration
}

func startLarge(b *testing.B, n *lab.Network, prefixes int) *gatewayProgram {
	b.Helper()
	begun := time.Now()
	path := filepath.Join(b.TempDir(), "op25b.yaml")
	writeLarge(b, n, path, prefixes)
	g := &gatewayProgram{path: path, writing: time.Since(begun)}
	g.program = start(b, n.Gateway, binaryPath, "run", "-c", path)
	g.waitLine(b, `"ready"`, 1)
	return g
}

// waitLine waits until the log holds something n times.
func (g *gatewayProgram) waitLine(b *testing.B, text string, n int) {
	b.Helper()
	for deadline := time.Now().Add(startPatience); strings.Count(g.output(), text) < n; time.Sleep(time.Millisecond) {
		select {
		case <-g.ended:
			b.Fatalf("the gateway ended (%v):\n%s", g.err, g.output())
		default:
		}
		if time.Now().After(deadline) {
			b.Fatalf("the gateway has not said %s within %s:\n%s", text, startPatience, g.output())
		}
	}
}

// writeLarge replaces the configuration by one with as many prefixes beside the
// usual ones: every other /24 from 1.0.0.0 on, so that no two make one. They are in
// a list beside it, under a name that no other number of them has, so that the two
// always fit together.
func writeLarge(b *testing.B, n *lab.Network, path string, prefixes int) {
	b.Helper()
	config := n.GatewayConfig(lab.ConfigOptions{ReturnPath: "router"})
	const apart = 2 << 8
	address := uint32(1 << 24)
	list := make([]byte, 0, 16*prefixes)
	for range prefixes {
		list = fmt.Appendf(list, "%s/24\n", netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, address))))
		address += apart
	}
	name := fmt.Sprintf("large-%d.txt", prefixes)
	pools, large := "\n  pools:", fmt.Sprintf("\n    - {name: large, assignment: dynamic, prefixes_file: %s}", name)
	if !strings.Contains(config, pools) {
		b.Fatalf("no policy.pools in\n%s", config)
	}
	replaceFile(b, filepath.Join(filepath.Dir(path), name), list)
	replaceFile(b, path, []byte(strings.Replace(config, pools, pools+large, 1)))
}

// measureReload has messages go back and forth, and has the gateway read many
// prefixes anew meanwhile, every other time.
func measureReload(b *testing.B, n *lab.Network, found *samples) {
	b.Helper()
	const rate, steady, around = 10_000, 5 * time.Second, 200 * time.Millisecond
	rounds := benchSetting(b, "OP25B_BENCH_ROUNDS", 3)
	g := startLarge(b, n, many)
	time.Sleep(steady) // the start's own rubbish is collected
	name := fmt.Sprintf("%d messages/s each way", rate)
	for round := range rounds {
		exchange(b, n, found, name, rate, func() { time.Sleep(steady) })
		writeLarge(b, n, g.path, many-1-round)
		exchange(b, n, found, name+" while many prefixes are reloaded", rate, func() {
			time.Sleep(around)
			begun := time.Now()
			if err := g.cmd.Process.Signal(unix.SIGHUP); err != nil {
				b.Fatal(err)
			}
			g.waitLine(b, `"reloaded"`, round+1)
			found.add("reload of many prefixes", "ms", float64(time.Since(begun))/float64(time.Millisecond))
			time.Sleep(around)
		})
	}
	t := &turn{B: b, pid: g.cmd.Process.Pid}
	found.add("reload of many prefixes", "MiB at most", memory(t)["rss_peak"])
	g.signal(b, unix.SIGTERM)
}

// exchange reports what becomes of messages while something happens.
func exchange(b *testing.B, n *lab.Network, found *samples, name string, rate float64, happen func()) {
	b.Helper()
	before := droppedAtTUN(b, n)
	m := newMessages(b, n, rate)
	happen()
	m.end(b)
	m.report(found, name)
	found.add(name, "of them in front of the gateway", droppedAtTUN(b, n)-before)
}

// droppedAtTUN returns how many packets the gateway did not fetch in time.
func droppedAtTUN(b testing.TB, n *lab.Network) (dropped float64) {
	b.Helper()
	links, err := n.Gateway.Netlink().LinkList()
	if err != nil {
		b.Fatal(err)
	}
	for _, link := range links {
		if link.Type() == "tuntap" {
			dropped += float64(link.Attrs().Statistics.TxDropped)
		}
	}
	return dropped
}

// messages go to the internet and back at a rate until they are ended.
type messages struct {
	stop, quit atomic.Bool // the sender; the others
	ended      []chan error
	sent       uint64
	trips      []time.Duration
}

func newMessages(b *testing.B, n *lab.Network, rate float64) *messages {
	b.Helper()
	m := &messages{}
	run := func(node *lab.Node, f func() error) {
		ended := make(chan error, 1)
		m.ended = append(m.ended, ended)
		go func() { ended <- node.Do(f) }()
	}
	to, bound := at(lab.IPv4.Addrs().Internet, portReflect), make(chan struct{})
	var fd int
	err := n.Dynamic.Do(func() (err error) {
		if fd, err = blockingSocket(); err != nil {
			return err
		}
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20), unix.Connect(fd, socketAddress(to)))
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	run(n.Internet, func() error { return reflect(to, bound, &m.quit) })
	<-bound
	run(n.Dynamic, func() error { return m.receive(fd) })
	run(n.Dynamic, func() error { return m.send(fd, rate) })
	return m
}

// send sends messages with the time in them, and does not make up for those that the
// machine kept it from sending.
func (m *messages) send(fd int, rate float64) error {
	defer preciseSleep()()
	gap := time.Duration(float64(time.Second) / rate)
	message := make([]byte, messageSize)
	for due := monotonic(); !m.stop.Load(); {
		now := monotonic()
		if now < due {
			sleep(due - now)
			continue
		}
		binary.NativeEndian.PutUint64(message, uint64(now))
		if _, err := unix.Write(fd, message); err != nil && !nothingCame(err) {
			return fmt.Errorf("send: %w", err)
		}
		m.sent++
		if due += gap; now-due > 10*gap {
			due = now
		}
	}
	return nil
}

func (m *messages) receive(fd int) error {
	message := make([]byte, messageSize)
	for !m.quit.Load() {
		_, err := unix.Read(fd, message)
		switch {
		case err == nil:
			m.trips = append(m.trips, monotonic()-time.Duration(binary.NativeEndian.Uint64(message)))
		case !nothingCame(err):
			return fmt.Errorf("receive: %w", err)
		}
	}
	return nil
}

// monotonic is the time of a clock that never goes back.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // always there
	return time.Duration(now.Nano())
}

// end lets what is under way come back.
func (m *messages) end(b *testing.B) {
	b.Helper()
	m.stop.Store(true)
	time.Sleep(2 * overdue)
	m.quit.Store(true)
	for _, ended := range m.ended {
		if err := <-ended; err != nil {
			b.Fatalf("exchange messages: %v", err)
		}
	}
}

func (m *messages) report(found *samples, name string) {
	slices.SortFunc(m.trips, cmp.Compare[time.Duration])
	found.add(name, "sent", float64(m.sent))
	found.add(name, "lost", float64(m.sent)-float64(len(m.trips)))
	for _, p := range []struct {
		unit  string
		share float64
	}{{"µs p50", 0.5}, {"µs p99", 0.99}, {"µs p99.9", 0.999}, {"µs at most", 1}} {
		if len(m.trips) > 0 {
			found.add(name, p.unit, float64(percentile(m.trips, p.share))/float64(time.Microsecond))
		}
	}
}

// replaceFile writes a file in one step.
func replaceFile(b *testing.B, path string, content []byte) {
	b.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		b.Fatal(err)
	}
}
