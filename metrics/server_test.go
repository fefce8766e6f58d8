// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"op25b/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// enough is how long a test waits for what takes milliseconds.
const enough = 20 * time.Second

// tool returns where a program is, or skips the test; in CI it fails.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI lacks %s", name)
		}
		t.Skipf("SKIPPED, NOTHING TESTED: needs %s (make deps installs it)", name)
	}
	return path
}

type served struct{ *Server }

// serve runs a server over the status until the end of the test.
func serve(t testing.TB, status func() control.Status) served {
	t.Helper()
	s, err := Listen(Options{Address: "127.0.0.1:0", Status: status, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return served{s}
}

type response struct {
	code   int
	header http.Header
	body   string
}

func (s served) get(t testing.TB, path string) response {
	t.Helper()
	return s.ask(t, http.MethodGet, path, "")
}

func (s served) ask(t testing.TB, method, path, accept string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	transport := &http.Transport{DisableKeepAlives: true}
	got, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{got.StatusCode, got.Header, string(body)}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := serve(t, well)
	for _, row := range []struct {
		method, path string
		code         int
		contains     string
	}{
		{"GET", "/metrics", 200, `op25b_attempts_total{outcome="refused"} 269`},
		{"GET", "/metrics", 200, "\ngo_goroutines "},
		{"GET", "/metrics", 200, "\nprocess_resident_memory_bytes "},
		{"GET", "/metrics?name[]=op25b_shed_total", 200, "op25b_shed_total 397"},
		{"HEAD", "/metrics", 200, ""},
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, "ready\n"},
		{"GET", "/readyz?traffic=only", 200, "ready\n"},
		{"GET", "/", 200, `<a href="/metrics">`},
		{"GET", "/debug/pprof/", 404, "see /metrics"},
		{"POST", "/metrics", 405, "use GET or HEAD"},
		{"DELETE", "/", 405, "use GET or HEAD"},
		{"OPTIONS", "/", 405, "use GET or HEAD"},
	} {
		got := s.ask(t, row.method, row.path, "")
		if got.code != row.code || !strings.Contains(got.body, row.contains) || row.method == "HEAD" && got.body != "" {
			t.Errorf("%s %s: %d %.200q, want %d %q", row.method, row.path, got.code, got.body, row.code, row.contains)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" || row.code == 405 && got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: header %v", row.method, row.path, got.header)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	const frozen = "worker inbound 1 has packets and does not get on\n"
	for _, row := range []struct {
		name                  string
		change                func(*control.Status)
		alive, ready, traffic string // the bodies; what is good is "ok" and "ready"
	}{
		{"well", func(*control.Status) {}, "ok\n", "ready\n", "ready\n"},
		{
			"a worker is stuck", func(s *control.Status) { s.Workers[1].Stalled = true },
			frozen, frozen, frozen,
		},
		{
			"starting", func(s *control.Status) { s.State, s.Interfaces, s.Workers = control.StateStarting, nil, nil },
			"ok\n", "starting: packets do not flow through op25b yet\n", "starting: packets do not flow through op25b yet\n",
		},
		{
			"stopping", func(s *control.Status) { s.State = control.StateStopping },
			"ok\n", "stopping: the kernel forwards by itself\n", "stopping: the kernel forwards by itself\n",
		},
		{"no state", func(s *control.Status) { s.State = "" }, "ok\n", "in no state that is known\n", "in no state that is known\n"},
		{
			"a refused reload", func(s *control.Status) {
				s.State, s.Problems = control.StateDegraded, full().Problems
			},
			"ok\n", "the interface up0 is down\nthe last reload was refused: exempt.yaml:3: (address): no such pool\n", "ready\n",
		},
		{
			"the interfaces are gone", func(s *control.Status) {
				s.State, s.Interfaces, s.Workers = control.StateDegraded, nil, nil
				s.Problems = []control.Problem{{What: "packets do not flow through op25b: no op25b-sub"}}
			},
			"ok\n", "packets do not flow through op25b: no op25b-sub\n", "packets do not flow through op25b\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func() control.Status {
				status := well()
				row.change(&status)
				return status
			})
			for path, want := range map[string]string{"/healthz": row.alive, "/readyz": row.ready, "/readyz?traffic=only": row.traffic} {
				code := 503
				if want == "ok\n" || want == "ready\n" {
					code = 200
				}
				if got := s.get(t, path); got.code != code || got.body != want {
					t.Errorf("%s: %d %q, want %d %q", path, got.code, got.body, code, want)
				}
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status control.Status
		code   int
		want   answer
	}{
		{well(), 200, answer{1, true, "ok", []string{}}},
		{control.Status{State: control.StateStopping}, 503, answer{1, false, "stopping", []string{"stopping: the kernel forwards by itself"}}},
	} {
		s := serve(t, func() control.Status { return row.status })
		got := s.ask(t, "GET", "/readyz", "text/plain;q=0.5, application/json")
		var document answer
		if err := json.Unmarshal([]byte(got.body), &document); err != nil {
			t.Fatalf("%v: %q", err, got.body)
		}
		if diff := cmp.Diff(row.want, document); diff != "" || got.code != row.code || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %v -want +got:\n%s", got.code, got.header, diff)
		}
	}
}

// However many ask, the gateway is asked once a second.
func TestAskedSeldom(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	var asked int
	r := &recent[int]{now: func() time.Time { return time.Unix(0, now.Load()) }, take: func() int { asked++; return asked }}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := r.get(); got != 1 {
				t.Errorf("got %d", got)
			}
		})
	}
	all.Wait()
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{lasting - 1, 1}, {1, 2}, {lasting - 1, 2}, {time.Hour, 3}} {
		now.Add(int64(step.after))
		if got := r.get(); got != step.want {
			t.Errorf("after %s: %d, want %d", step.after, got, step.want)
		}
	}
}

// A gathering is shared, an error too, and no reader can spoil it for the next.
func TestPaced(t *testing.T) {
	t.Parallel()
	now, gathered, broken := time.Unix(0, 0), 0, errors.New("broken")
	gather := paced(func() ([]string, error) { gathered++; return []string{"a", "b"}, broken }, func() time.Time { return now })
	for range 3 {
		list, err := gather()
		if diff := cmp.Diff([]string{"a", "b"}, list); diff != "" || !errors.Is(err, broken) || gathered != 1 {
			t.Errorf("%v, gathered %d times:\n%s", err, gathered, diff)
		}
		list[0], list[1] = list[1], list[0]
	}
}

// Many ask at once for everything; each gets an answer.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	var asked atomic.Uint64
	s := serve(t, func() control.Status { status := well(); status.Shed = asked.Add(1); return status })
	var all sync.WaitGroup
	for range 3 * mostConns {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			all.Go(func() {
				if got := s.get(t, path); got.code != 200 || got.body == "" {
					t.Errorf("%s: %d %q", path, got.code, got.body)
				}
			})
		}
	}
	all.Wait()
}

// A panic of what is asked costs one answer.
func TestStatusPanics(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := serve(t, func() control.Status {
		if calls.Add(1) == 1 {
			panic("a fault of ours")
		}
		return well()
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/readyz", nil)
	if response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request); err == nil {
		_ = response.Body.Close()
		t.Errorf("answered: %d", response.StatusCode)
	}
	if got := s.get(t, "/readyz"); got.code != 200 {
		t.Errorf("afterwards: %d %q", got.code, got.body)
	}
}

// Clients that say nothing hold no more than the connections that there are, and
// not for ever: who waits behind them is answered.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	s := serve(t, well)
	var silent []net.Conn
	for range 2 * mostConns {
		silent = append(silent, connect(t, s.Server))
	}
	if got := s.get(t, "/healthz"); got.code != 200 {
		t.Errorf("%d %q", got.code, got.body)
	}
	// The first were cut off without a word, or with a 408, by the time limit.
	_ = silent[0].SetReadDeadline(time.Now().Add(enough))
	if _, err := io.Copy(io.Discard, silent[0]); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the first silent client: %v", err)
	}
}

// No more connections are served at once than there may be.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	release, inside := make(chan struct{}), make(chan struct{}, 4*mostConns)
	s := serve(t, well)
	s.http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-release })
	for range 2 * mostConns {
		c := connect(t, s.Server)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range mostConns {
		<-inside
	}
	select {
	case <-inside:
		t.Errorf("more than %d at once", mostConns)
	case <-time.After(200 * time.Millisecond): // what does not come cannot be waited for
	}
	close(release)
	for range mostConns {
		<-inside // those who waited
	}
}

// A request has a size.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, well)
	c := connect(t, s.Server)
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 4*mostHeader))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", response.StatusCode)
	}
}

// Close ends a client's connection that is in the middle of something.
func TestCloseCutsOff(t *testing.T) {
	t.Parallel()
	s, err := Listen(Options{Address: "127.0.0.1:0", Status: well, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	c := connect(t, s)
	if _, err := io.WriteString(c, "GET / HT"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), <-ended); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(enough))
	if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d: %v", n, err)
	}
}

// A server that never served gives its port back.
func TestCloseUnserved(t *testing.T) {
	t.Parallel()
	s, err := Listen(Options{Address: "127.0.0.1:0", Status: well, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("somebody listens")
	}
}

func TestListenErrors(t *testing.T) {
	t.Parallel()
	taken := serve(t, well).Addr().String()
	for _, row := range []struct {
		address string
		is      error
		says    []string
	}{
		{taken, syscall.EADDRINUSE, []string{"listen for metrics on " + taken, "address already in use", "nobody can read metrics", "ss -ltnp sport = :"}},
		{"203.0.113.250:9925", syscall.EADDRNOTAVAIL, []string{"203.0.113.250:9925", "an address that ip addr shows"}},
		{"127.0.0.1", nil, []string{"listen for metrics on 127.0.0.1", "missing port", "set control.metrics"}},
	} {
		s, err := Listen(Options{Address: row.address, Status: well, Log: zap.NewNop()})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: listens", row.address)
			continue
		}
		if row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("%s: %v is not %v", row.address, err, row.is)
		}
		for _, want := range row.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", row.address, err, want)
			}
		}
	}
	if got := fix("127.0.0.1:25", &net.OpError{Err: syscall.EACCES}); !strings.HasPrefix(got, "write a port above 1023") {
		t.Errorf("no permission: %s", got)
	}
}

// connect opens a connection that is closed at the end of the test.
func connect(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                                     "",
		"interface up0 is down":                "interface up0 is down",
		"exempt.yaml:3: 192.0.2.7/32: twice":   "exempt.yaml:3: (address): twice",
		"from 2001:db8::1.":                    "from (address).",
		"[2001:db8::1]:25 and 192.0.2.1:25":    "[(address)]:25 and (address)",
		"from=192.0.2.1-192.0.2.9\nand more":   "from=(address)-(address)",
		"conf.d/10.yaml:3:7: dead beef: 12:30": "conf.d/10.yaml:3:7: dead beef: 12:30",
		"fe80::1%eth0":                         "(address)%eth0",
		"c:192.0.2.1":                          "(address)",
	} {
		if got := masked(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

// Wherever an address stands in a sentence, it does not come out.
func FuzzMasked(f *testing.F) {
	f.Add("pool residential: ", ": twice", []byte{192, 0, 2, 1})
	f.Add("x", "/64, y", []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, before, after string, octets []byte) {
		addr, ok := netip.AddrFromSlice(octets)
		if !ok || addr.Zone() != "" {
			t.Skip()
		}
		said := before + " " + addr.String() + " " + after
		got := masked(said)
		line, _, _ := strings.Cut(said, "\n")
		if strings.Contains(got, "\n") || len(got) > 2*len(line)+len(mask)*(1+len(line)) {
			t.Errorf("%q", got)
		}
		for word := range strings.FieldsSeq(got) {
			if found, err := netip.ParseAddr(word); err == nil {
				t.Errorf("%s is in %q", found, got)
			}
		}
	})
}
