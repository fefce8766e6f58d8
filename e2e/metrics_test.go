// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"op25b/control"
	"op25b/lab"
)

// scraped is where the gateway of a test serves metrics: in its own namespace, which
// nobody else is in.
const scraped = "127.0.0.1:9925"

// TestMetrics scrapes a real gateway from beside it: what subscribers do moves the
// counters, and probes see what goes wrong and that it ends.
func TestMetrics(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	a := lab.IPv4.Addrs()
	config := n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"control.metrics": strconv.Quote(scraped)}})
	l := newLineage(t, n, config)

	t.Log("healthy")
	waitReached(t, n)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n", "/readyz?traffic=only": "ready\n"} {
		if code, body := fetch(t, n, path); code != 200 || body != want {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	if code, body := fetch(t, n, "/"); code != 200 || !strings.Contains(body, "/metrics") {
		t.Errorf("/: %d %q", code, body)
	}
	for series, want := range map[string]float64{
		`op25b_state{state="ok"}`:                     1,
		`op25b_problems`:                              0,
		`op25b_policy_generation`:                     1,
		`op25b_policy_prefixes{assignment="dynamic"}`: 2,
		`op25b_policy_prefixes{assignment="static"}`:  2,
		`op25b_policy_port_info{port="25"}`:           1,
		`op25b_config_last_reload_successful`:         1,
	} {
		if got, ok := measure(t, n, series); !ok || got != want {
			t.Errorf("%s: %v (there: %v), want %v", series, got, ok, want)
		}
	}

	t.Log("subscribers try")
	const refusals, relayed = 5, 2
	before := attemptsOf(t, n)
	for i := range refusals {
		if got := dial(t, n.Dynamic, netip.AddrPortFrom(a.MX, lab.PortSMTP)); got.outcome != refused {
			t.Errorf("attempt %d: %s", i, got.outcome)
		}
	}
	for range relayed {
		wantConnected(t, n.Dynamic, netip.AddrPortFrom(a.MSA, lab.PortSMTP))
	}
	waitMeasure(t, n, `op25b_attempts_total{outcome="refused"}`, before.attempts+1) // retries and repetitions are one
	waitMeasure(t, n, `op25b_verdicts_total{action="reset",direction="outbound",reason="blocked_port"}`, before.verdicts+refusals)
	waitMeasure(t, n, `op25b_refused_packets_total`, before.packets+refusals)
	waitMeasure(t, n, `op25b_packets_total{direction="outbound",fate="answered_reset"}`, before.answers+refusals)
	waitMeasure(t, n, `op25b_attempts_total{outcome="relayed"}`, 1)
	if _, body := fetch(t, n, "/metrics"); strings.Contains(body, a.Dynamic.String()) || strings.Contains(body, a.MX.String()) {
		t.Error("an address is in the metrics")
	}

	t.Log("a reload is refused")
	writeFile(t, l.path, strings.Replace(config, "prefixes:", "prefixies:", 1))
	if _, err := l.client.Reload(t.Context(), control.ReloadOptions{}); err == nil {
		t.Error("a bad file was loaded")
	}
	waitMeasure(t, n, `op25b_config_last_reload_successful`, 0)
	waitMeasure(t, n, `op25b_state{state="degraded"}`, 1)
	waitProbe(t, n, "/readyz", 503, "the last reload was refused")
	waitProbe(t, n, "/readyz?traffic=only", 200, "ready")
	waitProbe(t, n, "/healthz", 200, "ok")
	writeFile(t, l.path, config)
	l.reload(t)
	waitProbe(t, n, "/readyz", 200, "ready")

	t.Log("an interface goes, and its name is taken")
	breakIt(t, n, `ip link add taken0 type veth peer name taken1
		printf 'link del op25b-sub\nlink set taken0 name op25b-sub\n' | ip -batch -`)
	waitProbe(t, n, "/readyz", 503, "packets do not flow through op25b")
	waitProbe(t, n, "/readyz?traffic=only", 503, "packets do not flow through op25b")
	waitMeasure(t, n, `op25b_workers`, 0)
	breakIt(t, n, "ip link del op25b-sub")
	waitProbe(t, n, "/readyz", 200, "ready")
	waitProbe(t, n, "/readyz?traffic=only", 200, "ready")
	// What was counted before is not forgotten.
	if got, ok := measure(t, n, `op25b_refused_packets_total`); !ok || got < before.packets+refusals {
		t.Errorf("refused packets: %v (there: %v)", got, ok)
	}
	wantRefused(t, n.Dynamic, netip.AddrPortFrom(a.MX, lab.PortSMTP))
}

// TestMetricsPortTaken has somebody else on the port: the gateway says what to type,
// blocks all the same, and serves once the port is free.
func TestMetricsPortTaken(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	n := newNetwork(t, lab.Options{})
	taken, err := n.Gateway.Listen("tcp", scraped)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"control.metrics": strconv.Quote(scraped)}}))
	l.current.waitOutput(t, "listen for metrics on "+scraped)
	l.current.waitOutput(t, "set control.metrics to another host:port")
	wantRefused(t, n.Dynamic, netip.AddrPortFrom(lab.IPv4.Addrs().MX, lab.PortSMTP))
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	waitReached(t, n)
	waitMeasure(t, n, `op25b_refused_packets_total`, 1)
}

// waitReached waits until the gateway answers: it listens beside its start.
func waitReached(t testing.TB, n *lab.Network) {
	t.Helper()
	eventually(t, "somebody to listen on "+scraped, func() bool {
		c, err := n.Gateway.Dial(t.Context(), "tcp", scraped)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// tallies are the counters of refusals.
type tallies struct{ attempts, verdicts, packets, answers float64 }

func attemptsOf(t testing.TB, n *lab.Network) tallies {
	t.Helper()
	one := func(series string) float64 {
		v, ok := measure(t, n, series)
		if !ok {
			t.Errorf("no %s", series)
		}
		return v
	}
	return tallies{
		one(`op25b_attempts_total{outcome="refused"}`),
		one(`op25b_verdicts_total{action="reset",direction="outbound",reason="blocked_port"}`),
		one(`op25b_refused_packets_total`),
		one(`op25b_packets_total{direction="outbound",fate="answered_reset"}`),
	}
}

// fetch asks the gateway from inside its namespace.
func fetch(t testing.TB, n *lab.Network, path string) (code int, body string) {
	t.Helper()
	out := mustRun(t, n.Gateway, "curl", "--silent", "--max-time", "10", "--write-out", "\n%{http_code}", "http://"+scraped+path)
	cut := strings.LastIndexByte(out, '\n')
	code, err := strconv.Atoi(out[cut+1:])
	if err != nil {
		t.Fatalf("curl %s: %q", path, out)
	}
	return code, out[:cut]
}

// measure returns the value of a series, if it is there.
func measure(t testing.TB, n *lab.Network, series string) (float64, bool) {
	t.Helper()
	code, body := fetch(t, n, "/metrics")
	if code != 200 {
		t.Fatalf("/metrics: %d %q", code, body)
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v, true
		}
	}
	return 0, false
}

// waitMeasure waits until a series has a value, for counters at least that value.
func waitMeasure(t testing.TB, n *lab.Network, series string, want float64) {
	t.Helper()
	isCounter := strings.Contains(series, "_total")
	eventually(t, series+" to be "+strconv.FormatFloat(want, 'g', -1, 64), func() bool {
		got, ok := measure(t, n, series)
		if ok && (got == want || isCounter && got > want) {
			return true
		}
		time.Sleep(200 * time.Millisecond) // an answer is given again for a second
		return false
	})
}

// waitProbe waits until a probe answers so.
func waitProbe(t testing.TB, n *lab.Network, path string, code int, says string) {
	t.Helper()
	eventually(t, path+" to say "+strconv.Itoa(code)+" "+says, func() bool {
		got, body := fetch(t, n, path)
		if got == code && strings.Contains(body, says) {
			return true
		}
		time.Sleep(200 * time.Millisecond) // an answer is given again for a second
		return false
	})
}
