// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// BenchmarkGateway measures op25b beside the kernel's own forwarding, in one network
// and one run: each round gives every peer its turn, beginning with another one, and
// what is compared are the medians. It judges nothing.
//
// OP25B_BENCH_ROUNDS (3) and OP25B_BENCH_SECONDS (2, for each figure) make it longer,
// OP25B_BENCH_JSON names a file for the results.
func BenchmarkGateway(b *testing.B) {
	needTools(b, "iperf3", "nft")
	rounds, seconds := benchSetting(b, "OP25B_BENCH_ROUNDS", 3), benchSetting(b, "OP25B_BENCH_SECONDS", 2)
	n := newNetwork(b, lab.Options{})
	report := newBenchReport(rounds, seconds)
	for b.Loop() {
		for round := range rounds {
			all := peers()
			for i := range all {
				p := all[(round+i)%len(all)]
				stop := p.start(b, n)
				for _, f := range figures() {
					report.add(p.name, f.name, f.measure(b, n, seconds))
				}
				stop()
			}
		}
	}
	report.finish()
	fmt.Fprint(os.Stdout, report.table())
	for _, p := range report.Peers {
		for name, ratio := range p.Ratios {
			if p.Name != kernelPeer {
				b.ReportMetric(ratio, p.Name+":"+name+"/kernel")
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	if path := os.Getenv("OP25B_BENCH_JSON"); path != "" {
		if err := report.write(path); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSetting(b *testing.B, variable string, fallback int) int {
	b.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		b.Fatalf("%s=%q is no number above zero", variable, value)
	}
	return n
}

// figure is one thing to measure.
type figure struct {
	name    string // as in reports
	title   string // the same for people, with its unit
	measure func(b *testing.B, n *lab.Network, seconds int) float64
}

func figures() []figure {
	bulk := func(args string) func(*testing.B, *lab.Network, int) float64 {
		return func(b *testing.B, n *lab.Network, seconds int) float64 {
			b.Helper()
			to := at(lab.IPv4.Addrs().Internet, portIperf)
			return iperf(b, n.Dynamic, n.Internet, to, fmt.Sprintf("-t %d %s", seconds, args)).bits / 1e9
		}
	}
	return []figure{
		{"tcp_up", "TCP up, Gbit/s", bulk("")},
		{"tcp_down", "TCP down, Gbit/s", bulk("-R")},
		{"udp_64", "64 B UDP, packets/s", smallPackets},
		{"refusals", "refusals/s", refusals},
	}
}

// smallPackets sends UDP packets that fill an Ethernet frame of 64 octets as fast as
// one processor can, and returns how many arrive in the internet in a second.
func smallPackets(b *testing.B, n *lab.Network, seconds int) float64 {
	b.Helper()
	const warmUp = 200 * time.Millisecond
	to := at(lab.IPv4.Addrs().Internet, 4000)
	// Nobody reads: a full socket costs the receiver the least.
	sink, err := n.Internet.ListenPacket("udp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	var stop atomic.Bool
	sent := make(chan error, 1)
	go func() { sent <- n.Dynamic.Do(func() error { return flood(to, &stop) }) }()
	time.Sleep(warmUp)
	before, begun := received(b, n.Internet), time.Now()
	time.Sleep(time.Duration(seconds) * time.Second)
	arrived, took := received(b, n.Internet)-before, time.Since(begun)
	stop.Store(true)
	if err := <-sent; err != nil {
		b.Fatalf("send small packets: %v", err)
	}
	return float64(arrived) / took.Seconds()
}

// received returns how many packets have come in by a host's link.
func received(b *testing.B, node *lab.Node) uint64 {
	b.Helper()
	link, err := node.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		b.Fatal(err)
	}
	return link.Attrs().Statistics.RxPackets
}

// messageHeader is the kernel's struct mmsghdr.
type messageHeader struct {
	header unix.Msghdr
	sent   uint32
	_      [4]byte
}

// flood sends by sendmmsg(2), many packets a call, until stop.
func flood(to netip.AddrPort, stop *atomic.Bool) error {
	const payload, batch = 64 - 4 - 8 - 20 - 14, 64 // octets behind UDP, IPv4 and Ethernet
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
		return err
	}
	data := make([]byte, payload)
	vector := unix.Iovec{Base: &data[0]}
	vector.SetLen(payload)
	messages := make([]messageHeader, batch)
	for i := range messages {
		messages[i].header.Iov = &vector
		messages[i].header.SetIovlen(1)
	}
	for !stop.Load() {
		_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), batch, 0, 0, 0)
		if errno != 0 && errno != unix.ENOBUFS && errno != unix.EAGAIN {
			return errno
		}
	}
	runtime.KeepAlive(data)
	return nil
}

// refusals has as many clients as there are processors, two at least, try to connect
// to port 25 again and again, and returns how many attempts end in "connection
// refused" in a second.
func refusals(b *testing.B, n *lab.Network, seconds int) float64 {
	b.Helper()
	to := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	var refused, other atomic.Uint64
	var clients sync.WaitGroup
	begun := time.Now()
	deadline := begun.Add(time.Duration(seconds) * time.Second)
	for range max(2, runtime.NumCPU()) {
		clients.Go(func() {
			_ = n.Dynamic.Do(func() error { // an error shows as an attempt with another end
				for time.Now().Before(deadline) {
					if errors.Is(tryConnect(to), unix.ECONNREFUSED) {
						refused.Add(1)
					} else {
						other.Add(1)
					}
				}
				return nil
			})
		})
	}
	clients.Wait()
	if other.Load() > 0 {
		b.Logf("%d of %d attempts on port 25 ended otherwise", other.Load(), refused.Load()+other.Load())
	}
	return float64(refused.Load()) / time.Since(begun).Seconds()
}

func tryConnect(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// benchReport is what BenchmarkGateway found out, as it is written to a file.
type benchReport struct {
	SchemaVersion int    `json:"schema_version"`
	Machine       string `json:"machine"`
	Processors    int    `json:"processors"`
	Kernel        string `json:"kernel"`
	Rounds        int    `json:"rounds"`
	Seconds       int    `json:"seconds"` // for each figure
	// Units of the figures, by their names.
	Units map[string]string `json:"units"`
	Peers []*peerReport     `json:"peers"`
}

// peerReport holds one peer's figures by their names.
type peerReport struct {
	Name    string               `json:"name"`
	Mode    string               `json:"mode"`
	Samples map[string][]float64 `json:"samples"` // by round
	Medians map[string]float64   `json:"medians"`
	Ratios  map[string]float64   `json:"ratios"` // of the medians, to the kernel's
}

func newBenchReport(rounds, seconds int) *benchReport {
	r := &benchReport{
		SchemaVersion: 1, Machine: processorModel(), Processors: runtime.NumCPU(), Kernel: kernelRelease(),
		Rounds: rounds, Seconds: seconds, Units: map[string]string{},
	}
	for _, f := range figures() {
		r.Units[f.name] = f.title
	}
	for _, p := range peers() {
		r.Peers = append(r.Peers, &peerReport{
			Name: p.name, Mode: p.mode, Samples: map[string][]float64{}, Medians: map[string]float64{}, Ratios: map[string]float64{},
		})
	}
	return r
}

func (r *benchReport) peer(name string) *peerReport {
	return r.Peers[slices.IndexFunc(r.Peers, func(p *peerReport) bool { return p.Name == name })]
}

func (r *benchReport) add(peer, figure string, value float64) {
	p := r.peer(peer)
	p.Samples[figure] = append(p.Samples[figure], value)
}

// finish computes the medians and the ratios.
func (r *benchReport) finish() {
	for _, p := range r.Peers {
		for name, samples := range p.Samples {
			p.Medians[name] = median(samples)
		}
	}
	kernel := r.peer(kernelPeer)
	for _, p := range r.Peers {
		for name, value := range p.Medians {
			if kernel.Medians[name] > 0 {
				p.Ratios[name] = value / kernel.Medians[name]
			}
		}
	}
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// table renders the medians, each with its ratio to the kernel's.
func (r *benchReport) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, %d processors, Linux %s; medians of %d rounds of %d s, in brackets the ratio to the kernel's own\n\n",
		r.Machine, r.Processors, r.Kernel, r.Rounds, r.Seconds)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "forwarding")
	for _, f := range figures() {
		fmt.Fprint(w, "\t", f.title)
	}
	fmt.Fprintln(w)
	for _, p := range r.Peers {
		fmt.Fprint(w, p.Mode)
		for _, f := range figures() {
			value := fmt.Sprintf("%.0f", p.Medians[f.name])
			if p.Medians[f.name] < 1000 {
				value = fmt.Sprintf("%.2f", p.Medians[f.name])
			}
			fmt.Fprintf(w, "\t%s (%.2f)", value, p.Ratios[f.name])
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	return b.String() + "\n"
}

func (r *benchReport) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func processorModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
