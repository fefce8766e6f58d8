// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"op25b/control"
)

// watcher is a real Prometheus that scrapes a server of ours.
type watcher struct {
	address string
	client  *http.Client
	ended   chan struct{}
	said    bytes.Buffer // read after the end
}

var duration = regexp.MustCompile(`(for|scrape_interval|evaluation_interval): \d+[smh]`)

// startPrometheus runs one on the files that operators take over; only what they
// wait for is shorter, and the target is s.
func startPrometheus(t testing.TB, s served) *watcher {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{scrapeFile, rulesFile} {
		text := duration.ReplaceAllString(string(readFile(t, file)), "$1: 200ms")
		text = strings.ReplaceAll(text, "127.0.0.1:9925", s.Addr().String())
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &watcher{address: freeAddress(t), ended: make(chan struct{}), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	cmd := exec.Command(tool(t, "prometheus"), "--config.file="+filepath.Join(dir, "scrape.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &p.said, &p.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("prometheus said:\n%s", &p.said)
		}
	})
	return p
}

// freeAddress is one that nobody listens on, as of now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query evaluates an expression now.
func (p *watcher) query(t testing.TB, expr string) ([]sample, error) {
	t.Helper()
	var answered struct {
		Status, Error string
		Data          struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		}
	}
	response, err := p.client.Get("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &answered); err != nil {
		return nil, fmt.Errorf("%w: %.200q", err, body)
	}
	if answered.Status != "success" || answered.Data.ResultType != "vector" {
		return nil, fmt.Errorf("%s: %s", answered.Status, answered.Error)
	}
	var samples []sample
	err = json.Unmarshal(answered.Data.Result, &samples)
	return samples, err
}

// wait waits until the expression has a result that is right.
func (p *watcher) wait(t testing.TB, expr string, right func([]sample) bool) {
	t.Helper()
	var last []sample
	var err error
	for deadline := time.Now().Add(3 * enough); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-p.ended:
			t.Fatalf("prometheus has ended:\n%s", &p.said)
		default:
		}
		if last, err = p.query(t, expr); err == nil && right(last) {
			return
		}
	}
	t.Fatalf("waited in vain for %s: %v %v", expr, last, err)
}

func is(value string) func([]sample) bool {
	return func(s []sample) bool { return len(s) == 1 && s[0].Value[1] == value }
}

// A real Prometheus with our files: it scrapes, every expression of the rules and of
// the dashboard means something to it, and alerts fire when a gateway turns bad and
// end when it is well again.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	var moved atomic.Uint64
	begun := time.Now()
	server := serve(t, func() control.Status {
		s := well()
		if bad.Load() {
			s = full()
		}
		s.Started, s.Policy.Exemptions.Expiring = begun, 0
		for i := range s.Leases {
			s.Leases[i].LastSuccess = time.Now()
		}
		s.Attempts.Outcomes["refused"] += moved.Add(1)
		return s
	})
	p := startPrometheus(t, server)
	p.wait(t, `up{job="op25b"}`, is("1"))
	p.wait(t, `op25b_attempts_total{outcome="exempt"}`, is("281"))
	p.wait(t, `increase(op25b_attempts_total{outcome="refused"}[1m]) > 0`, func(s []sample) bool { return len(s) == 1 })
	p.wait(t, `count(ALERTS{alertstate="firing"}) or vector(0)`, is("0"))

	t.Run("expressions", func(t *testing.T) { everyExpression(t, p) })

	bad.Store(true)
	for _, name := range []string{"Op25bDegraded", "Op25bWorkerStalled", "Op25bReloadFailed", "Op25bLeaseSourceDown", "Op25bJournalNotWriting"} {
		p.wait(t, fmt.Sprintf(`count(ALERTS{alertstate="firing",alertname=%q})`, name), is("1"))
	}
	bad.Store(false)
	p.wait(t, `count(ALERTS{alertstate="firing"}) or vector(0)`, is("0"))
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	p.wait(t, `ALERTS{alertstate="firing",alertname="Op25bDown",severity="critical"}`, is("1"))
}

// everyExpression evaluates those of the dashboard and the rules. What a healthy
// gateway has nothing of, as drops, is empty and no error.
func everyExpression(t *testing.T, p *watcher) {
	t.Helper()
	d := readDashboard(t)
	var empty []string
	evaluate := func(expr string) {
		samples, err := p.query(t, strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expr))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		}
		if len(samples) == 0 {
			empty = append(empty, expr)
		}
	}
	for _, target := range d.targets() {
		evaluate(target.Expr)
	}
	// Those that draw only what moves, and nothing but refused attempts does here.
	quiet := func(expr string) bool { return strings.HasSuffix(expr, " > 0") }
	if silent := slices.DeleteFunc(empty, quiet); len(silent) > 0 {
		t.Errorf("the dashboard would draw nothing for:\n%s", strings.Join(silent, "\n"))
	}
	for _, a := range readAlerts(t) {
		evaluate(a.Expr)
	}
}

// Two scrapers at once and a reader of health do not disturb each other while the
// status changes under them.
func TestScrapersShare(t *testing.T) {
	t.Parallel()
	var inside atomic.Int32
	s := serve(t, func() control.Status {
		// One gathering and one for health at the same time, at most.
		if n := inside.Add(1); n > 2 {
			t.Errorf("asked by %d at once", n)
		}
		defer inside.Add(-1)
		return well()
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, path := range []string{"/metrics", "/readyz"} {
				if got := s.get(t, path); got.code != http.StatusOK {
					t.Errorf("%s: %d", path, got.code)
				}
			}
		})
	}
	all.Wait()
}
