// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"op25b/lab"
)

// makeAttempts has subscribers try port 25 of servers that need not be there, and waits
// until all are counted: 20 are refused, and one to a relay is not.
func makeAttempts(t *testing.T, n *lab.Network, l *lineage) {
	t.Helper()
	servers := func(f lab.Family, count int) (all []netip.AddrPort) {
		addr := f.Addrs().MX
		for range count {
			all = append(all, at(addr, lab.PortSMTP))
			addr = addr.Next()
		}
		return all
	}
	const others = 4
	for i := range others {
		from := netip.AddrFrom4([4]byte{100, 64, 0, byte(51 + i)})
		mustRun(t, n.Dynamic, "ip", "addr", "add", from.String()+"/32", "dev", lab.LinkHost)
		for _, to := range servers(lab.IPv4, i+1) {
			if got := dialFrom(t, n.Dynamic, from, to); got.outcome != refused {
				t.Errorf("%s to %s: %s", from, to, got.outcome)
			}
		}
	}
	for _, f := range n.Families() {
		for _, to := range servers(f, 5) {
			wantRefused(t, n.Dynamic, to)
		}
	}
	wantConnected(t, n.Dynamic, at(lab.IPv4.Addrs().MSA, lab.PortSMTP))
	eventually(t, "all attempts are counted", func() bool {
		o := l.status(t).Attempts.Outcomes
		return o["refused"] == 20 && o["relayed"] == 1
	})
}

// TestConsoleOfToken opens the console of a gateway on a loopback address with curl.
func TestConsoleOfToken(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	const token = "0123456789abcdef0123456789abcdef"
	tokens, jar := filepath.Join(n.Dir(), "tokens"), filepath.Join(n.Dir(), "jar")
	writeFile(t, tokens, token+"\n")
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{
		"console.listen": "127.0.0.1:9926", "console.token_file": tokens, "journal.path": filepath.Join(n.Dir(), "journal.db"),
	}}))
	makeAttempts(t, n, l)
	page := func(path string, more ...string) string {
		args := append([]string{"--silent", "--noproxy", "*", "--max-time", "15", "--cookie", jar, "--cookie-jar", jar, "--write-out", "\n%{http_code}"}, more...)
		return runIn(t, n.Gateway, "curl", append(args, "http://127.0.0.1:9926"+path)...).stdout
	}
	login := func() {
		t.Helper()
		eventually(t, "the token lets in", func() bool {
			return strings.HasSuffix(page("/login", "--data", "token="+token), "\n303")
		})
	}
	// Nobody else sees anything, and no wrong token helps.
	eventually(t, "the console answers", func() bool { return strings.HasSuffix(page("/"), "\n303") })
	if got := page("/login", "--data", "token="+strings.Repeat("x", 32)); !strings.HasSuffix(got, "\n403") {
		t.Errorf("a wrong token: %s", got)
	}
	login()
	subscriber := "/subscriber?address=" + lab.IPv4.Addrs().Dynamic.String()
	for path, want := range map[string][]string{
		"/":        {"Packets flow, and nothing is wrong.", "100.64.0.54", "<dd>20</dd>"},
		subscriber: {lab.IPv4.Addrs().Dynamic.String(), "residential", "SMTP AUTH", `lang="ja"`},
		"/health":  {"op25b-sub", "journal.db"},
	} {
		got := page(path)
		for _, want := range want {
			if !strings.Contains(got, want) || !strings.HasSuffix(got, "\n200") {
				t.Errorf("%s says nothing of %q:\n%s", path, want, got)
			}
		}
	}
	// It is for looking only.
	if got := page("/reload", "--data", ""); !strings.HasSuffix(got, "\n403") && !strings.HasSuffix(got, "\n404") {
		t.Errorf("a reload without console.access: %s", got)
	}
	if s := l.status(t); s.Policy.Generation != 1 {
		t.Errorf("generation %d", s.Policy.Generation)
	}
	if got := dial(t, n.Static, at(lab.IPv4.Addrs().GatewayStatic, 9926)); got.outcome != refused {
		t.Errorf("a subscriber's connection to the console: %s", got.outcome)
	}
	// Sessions are the process's own; the token is not.
	l.succeed(t)
	login()
	if got := page("/"); !strings.Contains(got, "Generation 2") {
		t.Errorf("the successor's console:\n%s", got)
	}
	writeFile(t, tokens, strings.Repeat("y", 32)+"\n")
	if got := page("/"); !strings.HasSuffix(got, "\n303") {
		t.Errorf("the token is out of the file, and its session goes on:\n%s", got)
	}
	l.stopConserved(t)
}

// TestConsoleInBrowser opens the console of a gateway on a unix socket with a browser,
// as it comes there by SSH, and reloads by the button.
// OP25B_SCREENSHOTS=DIRECTORY keeps what it shows.
func TestConsoleInBrowser(t *testing.T) {
	t.Parallel()
	needTools(t, "chromium")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	socket := filepath.Join(n.Dir(), "console.sock")
	begins := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	set := map[string]string{
		"console.listen": "unix:" + socket, "console.access": "change", "journal.path": filepath.Join(n.Dir(), "journal.db"),
		"policy.rollout":      fmt.Sprintf("{phases: [{name: first, start: %q}, {name: second, start: %q, destinations: [provider]}]}", "2026-01-01T00:00:00Z", begins),
		"policy.destinations": fmt.Sprintf("[{name: provider, prefixes: [%s/32]}]", lab.IPv4.Addrs().MX),
	}
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Set: set}))
	makeAttempts(t, n, l)
	w := openWindow(t, socket)

	w.until("/", `document.querySelector('.headline').textContent.startsWith('Packets flow, and nothing is wrong.')`)
	w.until("", `document.querySelector('.tile-refused dd').textContent == '20'`)
	w.until("", `document.querySelector('#top').textContent.includes('100.64.0.54')`)
	w.until("", `document.querySelectorAll('#plots canvas').length == 2`)
	w.keep("overview")
	w.until("/subscriber?address="+lab.IPv4.Addrs().Dynamic.String(), `document.querySelector('#answer').textContent == '`+lab.IPv4.Addrs().Dynamic.String()+`'`)
	w.until("", `document.querySelector('.say p[lang=en]').textContent.includes('SMTP AUTH')`)
	w.until("", `document.querySelector('.say p[lang=ja]').textContent.includes('SMTP AUTH')`)
	// The gateway has not been there longer, whatever the phase's beginning is.
	w.until("", `[...document.querySelectorAll('.say p')].every((p) => !/1 January|1月1日/.test(p.textContent))`)
	w.until("", `document.querySelector('#finding + .headline')`)
	w.keep("subscriber")
	w.until("/calendar", `document.body.textContent.includes('second')`)
	w.keep("calendar")
	to := time.Now().Truncate(time.Hour).Add(time.Hour)
	w.until(fmt.Sprintf("/reports?from=%s&to=%s", to.AddDate(0, 0, -1).UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)),
		`document.querySelector('#findings') && document.querySelector('#result').textContent.includes('100.64.0.54')`)
	w.keep("reports")

	// A mistake changes nothing; without it the next generation is in force.
	w.reload(t, l.path, "interfaces: [", `document.querySelector('[role=alert], .notice-bad, .notice-warn')`)
	if s := l.status(t); s.Policy.Generation != 1 {
		t.Errorf("generation %d after a reload that was refused", s.Policy.Generation)
	}
	set["policy.ports"] = "[25, 2525]"
	w.reload(t, l.path, n.GatewayConfig(lab.ConfigOptions{Set: set}), `document.querySelector('.notice-good').textContent.includes('Generation 2 is in force')`)
	if s := l.status(t); s.Policy.Generation != 2 || len(s.Policy.Ports) != 2 {
		t.Errorf("the button did not reload: %+v", s.Policy)
	}
	l.succeed(t)
	w.until("/", `document.querySelector('#force + p').textContent.includes('Generation 3')`)
	w.until("/health", `document.querySelector('#workers')`)
	w.keep("health")
	l.stopConserved(t)
}

// window is a browser's, with a console that it comes to through a socket.
type window struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp's own way
	origin string
}

// openWindow starts a browser on the machine itself.
func openWindow(t *testing.T, socket string) *window {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before the cleanup, and would kill what is to be closed.
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("lang", "en"))...)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("end the browser: ", err)
		}
		end()
		stop()
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil { // without a timeout: its context is the browser's life
		t.Fatal("start chromium: ", err)
	}
	return &window{t: t, ctx: ctx, origin: "http://" + leadTo(t, socket)}
}

// leadTo listens on a port of the machine's and leads it to a unix socket, as SSH does.
func leadTo(t *testing.T, socket string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("unix", socket)
			if err != nil { // between two gateways
				_ = here.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.Close()
			}
			go pass(here, there)
			go pass(there, here)
		}
	}()
	return l.Addr().String()
}

// until opens a page, if one is named, and again until an expression is true on it.
func (w *window) until(path, expression string) {
	w.t.Helper()
	const again = time.Second // the page may change by itself
	last := time.Time{}
	eventually(w.t, path+" has "+expression, func() bool {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		if path != "" && time.Since(last) > again {
			last = time.Now()
			if err := chromedp.Do(ctx, chromedp.Navigate(w.origin+path)); err != nil {
				return false
			}
		}
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => { try { return !!(`+expression+`) } catch { return false } })()`))
		return err == nil && ok
	})
}

// reload writes a configuration and reloads it by the button.
func (w *window) reload(t *testing.T, path, config, expression string) {
	t.Helper()
	writeFile(t, path, config)
	w.until("/health", `document.querySelector('.reload button')`)
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(".reload button")), chromedp.WaitVisible(chromedp.CSS("#main .notice, main .notice"))); err != nil {
		t.Fatal(err)
	}
	w.until("", expression)
}

// keep takes a picture, if OP25B_SCREENSHOTS names a directory.
func (w *window) keep(name string) {
	w.t.Helper()
	dir := os.Getenv("OP25B_SCREENSHOTS")
	if dir == "" {
		return
	}
	_, err := chromedp.Call(w.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: 1280, Height: 900, DeviceScaleFactor: 1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	picture, err := chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		w.t.Fatal(err)
	}
	writeFile(w.t, filepath.Join(dir, "console-real-"+name+".png"), string(picture))
}
