// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"op25b/control"
	"op25b/lab"
)

// selfCheckKeys turn the page on, at the router's own addresses.
func selfCheckKeys() map[string]string {
	v4, v6 := at(routerAddress(lab.IPv4), lab.PortWeb), at(routerAddress(lab.IPv6), lab.PortWeb)
	return map[string]string{
		"tunnel.addresses":    fmt.Sprintf("[%q, %q]", v4.Addr(), v6.Addr()),
		"self_check.listen":   fmt.Sprintf("[%q, %q]", v4, v6),
		"self_check.provider": "Example Net",
		"self_check.contact":  "0120-000-000, support@example.net",
		"self_check.servers":  "[mail.example.net]",
	}
}

// line is what the page says as JSON.
type line struct {
	Address, State, Text      string
	Known, Blocked            bool
	Shared, Static, Exempt    bool
	Since, From               time.Time
	TextLanguage              string `json:"text_language"`
	complaint, headers, whole string // of curl; the answer's own
}

// curlPage asks for the page with curl, from one of the node's addresses.
func curlPage(t testing.TB, node *lab.Node, from netip.Addr, url string, headers ...string) output {
	t.Helper()
	args := []string{"--silent", "--show-error", "--noproxy", "*", "--max-time", "15", "--include"}
	if from.IsValid() {
		args = append(args, "--interface", from.String())
	}
	for _, h := range headers {
		args = append(args, "--header", h)
	}
	return runIn(t, node, "curl", append(args, url)...)
}

// askLine asks for the page as programs do.
func askLine(t testing.TB, node *lab.Node, from netip.Addr) (line, bool) {
	t.Helper()
	family := lab.IPv4
	if from.Is6() {
		family = lab.IPv6
	}
	out := curlPage(t, node, from, pageAt(family), "Accept: application/json")
	headers, body, _ := strings.Cut(out.stdout, "\r\n\r\n")
	l := line{complaint: out.stderr, headers: headers, whole: body}
	return l, out.code == 0 && json.Unmarshal([]byte(body), &l) == nil && strings.HasPrefix(headers, "HTTP/1.1 200 ")
}

func pageAt(f lab.Family) string {
	return "http://" + at(routerAddress(f), lab.PortWeb).String() + "/"
}

// TestSelfCheck has subscribers of every kind look at their own lines.
func TestSelfCheck(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	for _, capture := range []string{"all", "smtp"} {
		t.Run(capture, func(t *testing.T) {
			t.Parallel()
			testSelfCheck(t, capture)
		})
	}
}

func testSelfCheck(t *testing.T, capture string) {
	t.Helper()
	n := newNetwork(t, lab.Options{})
	began, begins := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().Add(48*time.Hour).UTC().Truncate(time.Second)
	exemptions, texts := filepath.Join(n.Dir(), "exemptions.yaml"), filepath.Join(n.Dir(), "texts")
	writeFile(t, exemptions, fmt.Sprintf("exemptions: [{prefix: 100.64.0.8, reason: moves to a static line, until: %s}]\n", begins.Format(time.RFC3339)))
	if err := os.Mkdir(texts, 0o700); err != nil {
		t.Fatal(err)
	}
	set := selfCheckKeys()
	set["self_check.shared"] = "[100.64.0.9/32]"
	set["texts.directory"] = texts
	set["policy.exemptions"] = "[" + exemptions + "]"
	set["policy.pools"] = `[{name: residential, prefixes: ["100.64.0.0/26", "2001:db8:a::/48"], assignment: dynamic},
    {name: earlier, prefixes: ["100.64.0.64/26"], assignment: dynamic}, {name: later, prefixes: ["100.64.0.128/26"], assignment: dynamic},
    {name: watched, prefixes: ["100.64.0.192/26"], assignment: dynamic, mode: monitor},
    {name: business, prefixes: ["100.65.0.0/24", "2001:db8:a:ffff::/64"], assignment: static}]`
	set["policy.rollout"] = fmt.Sprintf("{phases: [{name: first, pools: [earlier], start: %s}, {name: second, pools: [later], start: %s}]}",
		began.Format(time.RFC3339), begins.Format(time.RFC3339))
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Capture: capture, Set: set}))
	a := netip.MustParseAddr
	for _, more := range []string{"100.64.0.8", "100.64.0.9", "100.64.0.77", "100.64.0.130", "100.64.0.200", strangers.Addr().Next().String()} {
		mustRun(t, n.Dynamic, "ip", "addr", "add", more+"/32", "dev", lab.LinkHost)
	}
	mustRun(t, n.Gateway, "ip", "route", "add", strangers.String(), "via", lab.IPv4.Addrs().Dynamic.String())

	for _, c := range []struct {
		node *lab.Node
		from netip.Addr
		want line
	}{
		{n.Dynamic, lab.IPv4.Addrs().Dynamic, line{State: "blocked", Known: true, Blocked: true}},
		{n.Dynamic, lab.IPv6.Addrs().Dynamic, line{State: "blocked", Known: true, Blocked: true}},
		{n.Dynamic, a("100.64.0.8"), line{State: "planned", Known: true, Exempt: true, From: begins}},
		{n.Dynamic, a("100.64.0.9"), line{State: "blocked", Known: true, Blocked: true, Shared: true}},
		{n.Dynamic, a("100.64.0.77"), line{State: "blocked", Known: true, Blocked: true, Since: began}},
		{n.Dynamic, a("100.64.0.130"), line{State: "planned", Known: true, From: begins}},
		{n.Dynamic, a("100.64.0.200"), line{State: "open", Known: true}},
		{n.Static, lab.IPv4.Addrs().Static, line{State: "static", Known: true, Static: true}},
		{n.Static, lab.IPv6.Addrs().Static, line{State: "static", Known: true, Static: true}},
	} {
		got, ok := askLine(t, c.node, c.from)
		c.want.Address = c.from.String()
		if !ok || got.about() != c.want.about() {
			t.Errorf("%s: %s%s\n%s\nwant %s", c.from, got.complaint, got.headers, got.whole, c.want.about())
		}
		if blocked := got.State == "blocked" || got.State == "planned"; blocked != (got.Text != "") {
			t.Errorf("%s: %s, with the text %q", c.from, got.State, got.Text)
		}
	}
	readInBothLanguages(t, n)
	browseSelfCheck(t, n)
	reachSelfCheck(t, n)

	// The operator's own words come with a reload.
	writeFile(t, filepath.Join(texts, "en.txt"), "Ask for our leaflet on port {{.Port}}.")
	l.reload(t)
	eventually(t, "the page has the new words", func() bool {
		got, ok := askLine(t, n.Dynamic, a("100.64.0.77"))
		return ok && got.Text == "Ask for our leaflet on port 25."
	})
	if s := l.status(t); s.SelfCheck.Requests == 0 || s.State != control.StateOK {
		t.Errorf("%s, %+v", s.State, s.SelfCheck)
	}
	l.stopConserved(t)
}

// about is all of it that is the same each time.
func (l line) about() string {
	return fmt.Sprintf("%s %s known=%t blocked=%t static=%t exempt=%t shared=%t since %s from %s",
		l.Address, l.State, l.Known, l.Blocked, l.Static, l.Exempt, l.Shared, l.Since.UTC(), l.From.UTC())
}

// readInBothLanguages reads the page as people do.
func readInBothLanguages(t *testing.T, n *lab.Network) {
	t.Helper()
	for _, c := range []struct{ accept, language, says string }{
		{"en-US,en;q=0.9", "en", "Port 25 is blocked on your line"},
		{"ja,en;q=0.5", "ja", "ポート25番は制限されています"},
	} {
		for _, f := range n.Families() {
			out := curlPage(t, n.Dynamic, f.Addrs().Dynamic, pageAt(f), "Accept-Language: "+c.accept, "Accept: text/html")
			for _, want := range []string{
				"HTTP/1.1 200 ", "Content-Language: " + c.language, `<html lang="` + c.language, c.says, f.Addrs().Dynamic.String(),
				"Example Net", "0120-000-000, support@example.net", "mail.example.net", "587",
			} {
				if !strings.Contains(out.stdout, want) {
					t.Errorf("%s, %s: it does not say %q: %s%s", f, c.language, want, out.stdout, out.stderr)
				}
			}
		}
	}
}

// browseSelfCheck has a browser in the subscriber's namespace.
func browseSelfCheck(t *testing.T, n *lab.Network) {
	t.Helper()
	needTools(t, "chromium")
	browser := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
		"--user-data-dir="+t.TempDir(), "--dump-dom", "http://"+routerAddress(lab.IPv4).String()+"/ja")
	out := runCmd(t, n.Dynamic, browser)
	if !strings.Contains(out.stdout, "<h2>ポート25番は制限されています</h2>") || !strings.Contains(out.stdout, lab.IPv4.Addrs().Dynamic.String()) {
		t.Errorf("chromium: %d\n%s\n%s", out.code, out.stdout, out.stderr)
	}
}

// strangers are in no pool.
var strangers = netip.MustParsePrefix("100.66.0.0/16")

// reachSelfCheck looks at who does not get the page, and at what else answers there.
func reachSelfCheck(t *testing.T, n *lab.Network) {
	t.Helper()
	page := at(routerAddress(lab.IPv4), lab.PortWeb)
	for _, f := range n.Families() {
		wantRefused(t, n.Dynamic, at(routerAddress(f), lab.PortWeb+1))
		wantRefused(t, n.Dynamic, at(routerAddress(f), lab.PortSMTP))
	}
	if got := dialFrom(t, n.Dynamic, strangers.Addr().Next(), page); got.outcome != noAnswer {
		t.Errorf("from an address of nobody's, with source validation: %s", got.outcome)
	}
}

// TestSelfCheckOfStrangers: a subscriber in no pool gets no page even where sources are
// not validated, since whoever forges a source would have it answered. From the Internet
// the page can be reached only where replies come through the gateway too, and the
// operator leads its address there; then it says that it cannot say.
func TestSelfCheckOfStrangers(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			set := selfCheckKeys()
			set["policy.pools"] = `[{name: residential, prefixes: ["100.64.0.0/24"], assignment: dynamic}]`
			l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{SourceValidation: "off", ReturnPath: returnPath, Set: set}))
			stranger := strangers.Addr().Next()
			mustRun(t, n.Dynamic, "ip", "addr", "add", stranger.String()+"/32", "dev", lab.LinkHost)
			mustRun(t, n.Gateway, "ip", "route", "add", strangers.String(), "via", lab.IPv4.Addrs().Dynamic.String())
			if got := dialFrom(t, n.Dynamic, stranger, at(routerAddress(lab.IPv4), lab.PortWeb)); got.outcome != noAnswer {
				t.Errorf("a stranger: %s", got.outcome)
			}
			for _, f := range n.Families() {
				mustRun(t, n.Transit, "ip", "route", "add", routerAddress(f).String(), "via", f.Addrs().GatewayUpstream.String())
				page := at(routerAddress(f), lab.PortWeb)
				if returnPath == "kernel" {
					if got := dial(t, n.Internet, page); got.outcome == connected {
						t.Errorf("%s: the Internet reaches the page", f)
					}
					// What docs/selfcheck.md says against packets that go in circles.
					mustRun(t, n.Gateway, "ip", fmt.Sprintf("-%d", f), "rule", "add", "iif", lab.LinkUpstream, "to", page.Addr().String(), "unreachable")
					if got := dial(t, n.Internet, page); got.outcome != unreachable && got.outcome != noNetwork {
						t.Errorf("%s: from the Internet to what is unreachable: %s", f, got.outcome)
					}
					continue
				}
				if got, ok := askLine(t, n.Internet, f.Addrs().Internet); !ok || got.State != "unknown" || got.Address != f.Addrs().Internet.String() {
					t.Errorf("from the Internet, %s: %s%s%s", f, got.complaint, got.headers, got.whole)
				}
				wantRefused(t, n.Internet, at(page.Addr(), lab.PortWeb+1))
			}
			if got, ok := askLine(t, n.Dynamic, lab.IPv4.Addrs().Dynamic); !ok || got.State != "blocked" {
				t.Errorf("a subscriber: %s%s%s", got.complaint, got.headers, got.whole)
			}
			l.stopConserved(t)
		})
	}
}

// TestSelfCheckHostile has infected subscribers do to the page what they can. Packets
// of others are forwarded, honest ones get the page, and memory is bounded; and the page
// outlives what happens to the gateway.
func TestSelfCheckHostile(t *testing.T) {
	t.Parallel()
	needTools(t, "curl", "hping3")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Set: selfCheckKeys()}))
	a := lab.IPv4.Addrs()
	served := func(what string) {
		t.Helper()
		eventually(t, what, func() bool {
			got, ok := askLine(t, n.Static, a.Static)
			return ok && got.State == "static"
		})
	}
	served("the page is there")
	before := resident(t, l.pid)
	stream := &sequence{}
	stream.ways[0] = newSequenceWay(t, "outbound", n.Static, n.Internet, at(a.Internet, portSequence), hostilePace)
	stream.ways[1] = newSequenceWay(t, "inbound", n.Internet, n.Static, at(a.Static, portSequence), hostilePace)

	h := besiege(t, n, 50, 4)
	eventually(t, "all places are taken, and some connections were too many", func() bool {
		s := l.status(t).SelfCheck
		return s.Open >= 60 && s.Refused > 0
	})
	served("the page is for an honest subscriber too, among slow ones")
	floodPage(t, n)
	served("the page is there behind the flood, among slow ones")
	if open := l.status(t).SelfCheck.Open; open > 64 {
		t.Errorf("%d connections are open", open)
	}
	h.end()
	for _, c := range stream.count(t) {
		t.Log(c)
		if c.sent == 0 || c.lost*100 > c.sent { // a busy machine's queues overflow now and then
			t.Errorf("%s: more than one in a hundred", c)
		}
	}
	t.Logf("%+v; dropped in front of the gateway: %.0f", l.status(t).SelfCheck, droppedAtTUN(t, n))
	eventually(t, "all have gone", func() bool { return l.status(t).SelfCheck.Open == 0 })
	after := resident(t, l.pid)
	t.Logf("resident: %d KiB before, %d KiB after", before>>10, after>>10)
	if after > before+mostGrown {
		t.Errorf("memory has grown by %d KiB", (after-before)>>10)
	}
	served("the page is there afterwards")

	mustRun(t, n.Gateway, "ip", "link", "del", "op25b-sub")
	eventually(t, "the packet path is there again", func() bool {
		s, err := l.ask(t)
		return err == nil && s.State == control.StateOK
	})
	served("the page is there with the new packet path")
	if log := l.current.output(); strings.Contains(log, "cannot look at their own line") {
		t.Errorf("the gateway takes a packet path that ends for a fault of the page's:\n%s", log)
	}
	l.succeed(t)
	served("the successor serves the page")
	l.stopConserved(t)
}

const (
	// hostilePace is how many datagrams a second must pass meanwhile, each way.
	hostilePace = 500
	// mostGrown is how much memory the hostile may cost, in octets.
	mostGrown = 30 << 20
)

// siege is what the hostile do until it is over.
type siege struct {
	over    chan struct{}
	running sync.WaitGroup
	end     func() // lets go
}

// besiege has many subscribers hold connections that say an octet at a time, or noise,
// and come back when they are cut off.
func besiege(t *testing.T, n *lab.Network, subscribers, each int) *siege {
	t.Helper()
	h := &siege{over: make(chan struct{})}
	h.end = sync.OnceFunc(func() {
		close(h.over)
		h.running.Wait()
	})
	t.Cleanup(h.end)
	for i := range subscribers {
		from := netip.AddrFrom4([4]byte{100, 64, 0, byte(101 + i)})
		mustRun(t, n.Dynamic, "ip", "addr", "add", from.String()+"/32", "dev", lab.LinkHost)
		for range each {
			h.running.Go(func() { h.hold(n, from) })
		}
	}
	return h
}

func (h *siege) hold(n *lab.Network, from netip.Addr) {
	for {
		var conn net.Conn
		err := n.Dynamic.Do(func() (err error) {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(at(from, 0)), Timeout: silence}
			conn, err = d.Dial("tcp", at(routerAddress(lab.IPv4), lab.PortWeb).String())
			return err
		})
		if err == nil {
			h.bother(conn)
			_ = conn.Close()
		}
		if !h.wait() {
			return
		}
	}
}

// bother writes until the connection or the siege is over.
func (h *siege) bother(conn net.Conn) {
	if rand.IntN(4) == 0 {
		noise := make([]byte, 4000)
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		_, _ = conn.Write(noise)
		_ = conn.SetReadDeadline(time.Now().Add(silence))
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	for err := error(nil); err == nil && h.wait(); {
		_, err = io.WriteString(conn, "X")
	}
}

// wait reports false once it is over.
func (h *siege) wait() bool {
	select {
	case <-h.over:
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// floodPage sends SYNs to the page, some from a subscriber who resets what comes, and
// some from addresses that never answer.
func floodPage(t *testing.T, n *lab.Network) {
	t.Helper()
	mustRun(t, n.Gateway, "ip", "route", "add", "100.66.0.0/16", "via", lab.IPv4.Addrs().Dynamic.String())
	var flooding sync.WaitGroup
	for _, from := range []netip.Addr{lab.IPv4.Addrs().Dynamic, strangers.Addr().Next()} {
		flooding.Go(func() {
			hping := exec.Command("hping3", "-n", "-q", "-S", "-c", "10000", "-i", "u100", "-a", from.String(),
				"-p", fmt.Sprint(lab.PortWeb), routerAddress(lab.IPv4).String())
			out, err := n.Dynamic.CombinedOutput(hping)
			if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) || !strings.Contains(string(out), "10000 packets tra") {
				t.Errorf("hping3: %v: %s", err, out)
			}
		})
	}
	flooding.Wait()
}
