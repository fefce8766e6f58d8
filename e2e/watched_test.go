// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/census"
	"op25b/control"
	"op25b/journal"
	"op25b/lab"
)

// BenchmarkWatched measures what it costs the packet path that somebody looks: bulk TCP
// in turns with nobody looking and with everything at once: metrics scraped every
// second, a browser's requests on the console every two, `op25b top` every second, a
// tail, and a report of a week every five seconds. It judges nothing.
//
// Settings: OP25B_BENCH_ROUNDS (9), OP25B_BENCH_SECONDS of each turn (5), and
// OP25B_BENCH_WATCHERS, of metrics, console, top, report and tail, separated by commas
// (all).
func BenchmarkWatched(b *testing.B) {
	needTools(b, "iperf3")
	rounds, seconds := benchSetting(b, "OP25B_BENCH_ROUNDS", 9), benchSetting(b, "OP25B_BENCH_SECONDS", 5)
	n := newNetwork(b, lab.Options{})
	kept, page := filepath.Join(n.Dir(), "journal.db"), filepath.Join(n.Dir(), "console.sock")
	writeWeek(b, kept)
	l := newLineage(b, n, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{
		"control.metrics": strconv.Quote(scraped), "console.listen": strconv.Quote("unix:" + page), "journal.path": kept,
	}}))
	waitReached(b, n)
	to := at(lab.IPv4.Addrs().Internet, portIperf)
	found := newSamples()
	ratios := map[string][]float64{}
	for b.Loop() {
		for round := range rounds {
			for _, way := range []string{"", "-R"} {
				rate := map[bool]float64{}
				for i := range 2 {
					watched := (round+i)%2 == 1
					w := &watchers{b: b, n: n, client: l.client, page: page}
					if watched {
						w.start()
					}
					t := &turn{B: b, pid: l.pid}
					spent := t.meter()
					moved := iperf(b, n.Dynamic, n.Internet, to, fmt.Sprintf("-t %d %s", seconds, way))
					_, process := spent()
					w.stop()
					name := map[string]string{"": "up", "-R": "down"}[way] + map[bool]string{false: ", nobody looks", true: ", watched"}[watched]
					found.add("TCP "+name, "Gbit/s", moved.bits/1e9)
					found.add("TCP "+name, "s of the process for each GB", process/(moved.octets/1e9))
					if watched {
						found.add("asked while watched, "+way, "scrapes", float64(w.scrapes.Load()))
						found.add("asked while watched, "+way, "console requests", float64(w.pages.Load()))
						found.add("asked while watched, "+way, "reports", float64(w.reports.Load()))
					}
					rate[watched] = moved.bits
				}
				ratios[way] = append(ratios[way], rate[true]/rate[false])
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of no interest
	b.ReportMetric(median(ratios[""]), "watched/unwatched-up")
	b.ReportMetric(median(ratios["-R"]), "watched/unwatched-down")
	found.print()
	l.stopConserved(b)
}

// watchers are all who look at a gateway at once.
type watchers struct {
	b      *testing.B
	n      *lab.Network
	client *control.Client
	page   string // the console's socket

	cancel                  context.CancelFunc
	looking                 sync.WaitGroup
	scrapes, pages, reports atomic.Int64
}

func (w *watchers) start() {
	ctx, cancel := context.WithCancel(w.b.Context())
	w.cancel = cancel
	every := func(d time.Duration, look func() error) {
		w.looking.Go(func() {
			for tick := time.NewTicker(d); ; {
				if err := look(); err != nil && ctx.Err() == nil {
					w.b.Errorf("look: %v", err)
					return
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	beside := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = w.n.Gateway.Do(func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}}}
	browser := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.page)
	}}}
	for _, one := range selected(w.b, "OP25B_BENCH_WATCHERS", []watcher{
		{"metrics", time.Second, func() error { w.scrapes.Add(1); return get(ctx, beside, "http://"+scraped+"/metrics") }},
		{"console", 2 * time.Second, func() error { w.pages.Add(1); return get(ctx, browser, "http://localhost/") }},
		{"top", time.Second, func() error { _, err := w.client.Top(ctx, control.TopOptions{Most: 20}); return err }},
		{"report", 5 * time.Second, func() error {
			w.reports.Add(1)
			_, err := w.client.Report(ctx, control.ReportOptions{})
			return err
		}},
		{"tail", time.Hour, func() error {
			return w.client.Tail(ctx, control.TailOptions{}, func(control.TailEvent) error { return nil })
		}},
	}, func(one watcher) string { return one.name }) {
		every(one.interval, one.look)
	}
}

// watcher is one who looks.
type watcher struct {
	name     string
	interval time.Duration
	look     func() error
}

func (w *watchers) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.looking.Wait()
}

func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// writeWeek fills a journal with a week of a network of 10,000 subscribers, of whom 3 %
// try port 25 in ten hours of each day.
func writeWeek(b *testing.B, path string) {
	b.Helper()
	j, err := journal.Open(journal.Options{Path: path, Log: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	const hours, subscribers = 7 * 24, 300
	now := time.Now().UTC().Truncate(time.Hour)
	for h := range hours {
		hour := now.Add(-time.Duration(h+1) * time.Hour)
		if hour.Hour() < 8 || hour.Hour() >= 18 {
			continue
		}
		var records []census.Record
		for i := range subscribers {
			r := census.Record{
				Hour: hour, Subscriber: netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}), 32), Pool: "residential",
				Packets: 24, Destinations: 2, Minutes: 0xf0f,
			}
			r.Attempts[census.Refused] = 8
			for d := range 2 {
				r.Top = append(r.Top, census.Destination{
					Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(d)}), 32), Port: 25, Attempts: 4, Packets: 12,
					First: hour, Last: hour.Add(50 * time.Minute),
				})
			}
			records = append(records, r)
		}
		j.AddRecords(records)
		if err := j.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}
