// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"op25b/lab"
)

// BenchmarkGateway measures op25b beside the kernel's own forwarding and beside other
// ways through a TUN, in one network and one run: each round gives every peer its
// turn, beginning with another one, and what is compared are the medians. It judges
// nothing but that the peer was really in the way.
//
// `make bench` gives it the time that it needs, which is more than go test's ten
// minutes. Settings, all from the environment:
//
//	OP25B_BENCH_ROUNDS   how often each peer has its turn (5)
//	OP25B_BENCH_SECONDS  how long each measurement takes (2)
//	OP25B_BENCH_JSON     a file for the results
//	OP25B_BENCH_PEERS    only these, separated by commas, as in the report
//	OP25B_BENCH_FIGURES  only these measurements: tcp_up, udp_64, rtt_idle, ...
func BenchmarkGateway(b *testing.B) {
	needTools(b, "cc", "ip", "iperf3", "nft")
	rounds, seconds := benchSetting(b, "OP25B_BENCH_ROUNDS", 5), benchSetting(b, "OP25B_BENCH_SECONDS", 2)
	all := selected(b, "OP25B_BENCH_PEERS", peers(), func(p peer) string { return p.name })
	what := selected(b, "OP25B_BENCH_FIGURES", measurements(), func(m measurement) string { return m.name })
	n := newNetwork(b, lab.Options{})
	report := newBenchReport(all, what, rounds, seconds)
	for b.Loop() {
		for round := range rounds {
			fmt.Fprintf(os.Stdout, "round %d of %d\n", round+1, rounds)
			for i := range all {
				p := all[(round+i)%len(all)]
				pid, stop := p.start(b, n)
				turn := &turn{B: b, network: n, peer: p, pid: pid, seconds: seconds}
				for _, m := range what {
					report.add(p.name, turn.measure(m))
				}
				stop()
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of no interest
	report.finish()
	fmt.Fprint(os.Stdout, report.table())
	if path := os.Getenv("OP25B_BENCH_JSON"); path != "" {
		if err := report.write(path); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSetting(b testing.TB, variable string, fallback int) int {
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

// selected returns those of all that the variable names, or all.
func selected[T any](b *testing.B, variable string, all []T, name func(T) string) []T {
	b.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return all
	}
	var known []string
	for _, one := range all {
		known = append(known, name(one))
	}
	wanted := strings.Split(value, ",")
	for _, w := range wanted {
		if !slices.Contains(known, w) {
			b.Fatalf("%s: there is no %q among %s", variable, w, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(one T) bool { return !slices.Contains(wanted, name(one)) })
}

// turn is a peer in force, to be measured.
type turn struct {
	*testing.B
	network *lab.Network
	peer    peer
	pid     int // the process that forwards; 0 where the kernel does
	seconds int // for each measurement
}

// measure runs one measurement and fails unless its packets went through the peer.
func (t *turn) measure(m measurement) values {
	t.Helper()
	before := t.count()
	v := m.run(t)
	after := t.count()
	if t.peer.smtpOnly && !m.smtp {
		return v
	}
	for _, way := range []struct{ from, through string }{
		{lab.LinkDynamic, t.peer.subscriber}, {lab.LinkUpstream, t.peer.upstream},
	} {
		// Some come that belong to nobody, such as ARP's.
		const strangers = 100
		came, went := after[way.from]-before[way.from], after[way.through]-before[way.through]
		if way.through != "" && float64(went)+strangers < 0.9*float64(came) {
			t.Errorf("%s, %s: %d packets came in by %s, but only %d went through %s", t.peer.name, m.name, came, way.from, went, way.through)
		}
	}
	return v
}

// count returns how many packets have come in by each of the gateway's real links,
// and how many the kernel has sent into each TUN, or dropped there.
func (t *turn) count() map[string]uint64 {
	t.Helper()
	links, err := t.network.Gateway.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, link := range links {
		a := link.Attrs()
		if counts[a.Name] = a.Statistics.RxPackets; link.Type() == "tuntap" {
			counts[a.Name] = a.Statistics.TxPackets + a.Statistics.TxDropped
		}
	}
	return counts
}
