// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// figure is one number to report.
type figure struct {
	name  string // as in reports
	title string // for people
	unit  string
}

// values are what a measurement found, by the names of its figures. One is missing
// where it means nothing: the kernel has no process, a relay refuses nobody.
type values map[string]float64

// measurement is one thing to do, and the figures that come of it.
type measurement struct {
	name    string // in OP25B_BENCH_FIGURES
	smtp    bool   // it is all about port 25
	figures []figure
	run     func(t *turn) values
}

func measurements() []measurement {
	return []measurement{
		bulk("tcp_up", "TCP up, 1 flow", ""),
		bulk("tcp_down", "TCP down, 1 flow", "-R"),
		bulk("tcp_up_8", "TCP up, 8 flows", "-P 8"),
		bulk("tcp_down_8", "TCP down, 8 flows", "-P 8 -R"),
		// 64 octets of Ethernet frame, its checksum included; 1400 octets of packet.
		datagrams("udp_64", "64 B UDP", 64-4-14-20-8),
		datagrams("udp_1400", "1400 B UDP", 1400-20-8),
		roundTrips("rtt_idle", "round trip, idle", false),
		roundTrips("rtt_load", "round trip under TCP load", true),
		{"refusals", true, []figure{{"refusals", "refused connections", "1/s"}}, refusals},
		{"memory", false, []figure{{"rss", "memory, resident", "MiB"}, {"rss_peak", "memory, peak", "MiB"}}, memory},
	}
}

// bulk moves as much over TCP as goes.
func bulk(name, title, args string) measurement {
	run := func(t *turn) values {
		to := at(lab.IPv4.Addrs().Internet, portIperf)
		spent := t.meter()
		moved := iperf(t, t.network.Dynamic, t.network.Internet, to, fmt.Sprintf("-t %d %s", t.seconds, args))
		machine, process := spent()
		v := values{name: moved.bits / 1e9, name + "_cpu": machine / (moved.octets / 1e9)}
		if t.pid != 0 {
			v[name+"_process_cpu"] = process / (moved.octets / 1e9)
		}
		return v
	}
	return measurement{name, false, []figure{
		{name, title, "Gbit/s"},
		{name + "_cpu", title + ", CPU of the machine", "s/GB"},
		{name + "_process_cpu", title + ", CPU of the process", "s/GB"},
	}, run}
}

// refusals has as many clients as there are processors, two at least, try to connect
// to port 25 again and again, and counts the attempts that end in "connection
// refused". Somebody listens there: an attempt that nobody refuses succeeds.
func refusals(t *turn) values {
	if !t.peer.refuses {
		return nil
	}
	to := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	listener, err := t.network.Internet.Listen("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var refused, succeeded, other atomic.Uint64
	var clients sync.WaitGroup
	begun := time.Now()
	deadline := begun.Add(time.Duration(t.seconds) * time.Second)
	for range max(2, runtime.NumCPU()) {
		clients.Go(func() {
			_ = t.network.Dynamic.Do(func() error { // an error shows as an attempt with another end
				for time.Now().Before(deadline) {
					switch err := tryConnect(to); {
					case errors.Is(err, unix.ECONNREFUSED):
						refused.Add(1)
					case err == nil:
						succeeded.Add(1)
					default:
						other.Add(1)
					}
				}
				return nil
			})
		})
	}
	clients.Wait()
	if n := succeeded.Load(); n > 0 || refused.Load() == 0 {
		t.Errorf("%s: %d connections to port 25 refused, %d not", t.peer.name, refused.Load(), n)
	}
	if n := other.Load(); n > 0 {
		t.Logf("%s: %d of %d attempts on port 25 ended otherwise", t.peer.name, n, refused.Load()+n)
	}
	return values{"refusals": float64(refused.Load()) / time.Since(begun).Seconds()}
}

// tryConnect opens a connection and closes it again. An attempt that nobody answers
// ends after one repetition of its SYN.
func tryConnect(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(silence.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return err
	}
	return unix.Connect(fd, socketAddress(to))
}

func socketAddress(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}
