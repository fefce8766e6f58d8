// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is a browser's window, and what went wrong in it.
type tab struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp's own way
	origin string

	mu    sync.Mutex
	wrong []string
}

// openTab starts a browser. Everything that its console says, and every request that
// goes elsewhere, is a mistake.
func openTab(t *testing.T, origin string) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt install chromium")
	}
	alloc, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"),
		chromedp.Env("TZ=Asia/Tokyo"), chromedp.WSURLReadTimeout(time.Minute))...)
	ctx, end := chromedp.NewContext(alloc)
	// A context that has ended does not wait for the browser: Cancel does.
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("end the browser: ", err)
		}
		end()
		stop()
	})
	b := &tab{t: t, ctx: ctx, origin: origin}
	chromedp.ListenTarget(ctx, b.listen)
	b.do(network.Enable(), cdplog.Enable(), runtime.Enable(), page.Enable())
	return b
}

// listen notes what went wrong. It is called by one goroutine.
func (b *tab) listen(event any) {
	var wrong string
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		url := event.Request.URL
		if !strings.HasPrefix(url, b.origin+"/") && !strings.HasPrefix(url, "data:") {
			wrong = "request to " + url
		}
	case *cdplog.EventEntryAdded:
		wrong = fmt.Sprintf("%s: %s %s", event.Entry.Level, event.Entry.Text, event.Entry.URL)
	case *runtime.EventConsoleAPICalled:
		wrong = fmt.Sprintf("console.%s: %v", event.Type, event.Args)
	case *runtime.EventExceptionThrown:
		wrong = "exception: " + event.ExceptionDetails.Error()
	}
	if wrong != "" {
		b.mu.Lock()
		b.wrong = append(b.wrong, wrong)
		b.mu.Unlock()
	}
}

// clean reports what went wrong since it was last asked, but for what is expected.
func (b *tab) clean(where string, expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, wrong := range b.wrong {
		for _, text := range expected {
			if strings.Contains(wrong, text) {
				continue next
			}
		}
		b.t.Errorf("%s: %s", where, wrong)
	}
	b.wrong = nil
}

// do lets the browser act, for a minute at most.
func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if b.ctx.Value(b) == nil && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first call owns the browser: its context must not end
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what an expression is.
func eval[T any](b *tab, expression string) (value T) {
	b.t.Helper()
	b.do(chromedp.Evaluate(expression, &value))
	return value
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	b.do(chromedp.Poll(expression, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second)))
}

// visit opens a page of ours.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.origin + path))
}

// shape makes the window so wide, and its user's taste dark or light.
func (b *tab) shape(width int64, scheme string) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, 844, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// shot keeps a picture, if OP25B_SCREENSHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("OP25B_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	b.do(chromedp.FullScreenshot(&picture, 100))
	if err := os.WriteFile(filepath.Join(dir, "console-"+name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestBrowser walks through the console as people do.
func TestBrowser(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	s := open(t, Options{Writable: true, Gateway: &fake{now: now}}, func(s *Server) {
		s.now = time.Now
		fillSamples(&s.samples, now)
	})
	b := openTab(t, "http://"+s.Addr().String())
	b.shape(1280, "light")

	// Nobody is logged in. The page that was asked for comes after the login.
	b.visit("/health")
	b.shot("login")
	b.do(chromedp.SendKeys(`input[name="token"]`, "0123456789abcdef0123456789abcdeF"+kb.Enter), chromedp.WaitVisible(`[role="alert"] .what`))
	if says := eval[string](b, `document.querySelector('.what').textContent`); says != "That is no token of this gateway" {
		t.Errorf("a wrong token: %q", says)
	}
	b.clean("login", "403 (Forbidden)")
	b.do(chromedp.SendKeys(`input[name="token"]`, secret+kb.Enter), chromedp.WaitVisible("#workers"))
	if path := eval[string](b, "location.pathname"); path != "/health" {
		t.Errorf("the login leads to %s", path)
	}
	if cookie := eval[string](b, "document.cookie"); cookie != "" {
		t.Errorf("a script can read %q", cookie)
	}
	b.clean("the login")

	b.plots()
	b.parts()
	b.keyboard()
	b.reload()
	b.wide()
	b.silence(s)
}

// fillSamples is a quarter of an hour of traffic.
func fillSamples(g *ring, now time.Time) {
	var c counters
	for i := range sampleRoom + 1 {
		at := float64(i)
		c.time = now.Add(time.Duration(i-sampleRoom-1) * sampleEvery)
		c.outbound += uint64(2e7 * (3 + math.Sin(at/40) + 0.3*math.Sin(at/3) + 0.2*math.Sin(at*1.7)))
		c.inbound += uint64(6e7 * (3 + math.Sin(at/55+1) + 0.3*math.Sin(at/4) + 0.2*math.Sin(at*2.3)))
		c.refused += uint64(14 + 10*math.Sin(at/25) + 3*math.Sin(at*1.3))
		c.attempts += uint64(40 + 14*math.Sin(at/25) + 6*math.Sin(at*1.3))
		g.add(c)
	}
}

// plots have something on them, and get more.
func (b *tab) plots() {
	b.t.Helper()
	b.visit("/")
	b.until(`document.querySelectorAll('#plots canvas').length == 2`)
	inked := `[...document.querySelectorAll('#plots canvas')].every(c =>
		new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 20)`
	b.until(inked)
	b.shot("overview")
	b.clean("the overview")
}

// parts come again by themselves, and the focus stays where it was.
func (b *tab) parts() {
	b.t.Helper()
	b.do(chromedp.Focus(`#top tbody a`))
	focused := eval[string](b, `document.querySelector('#now .tile').was = true, document.activeElement.id`)
	b.until(`!document.querySelector('#now .tile').was`)
	b.do(chromedp.Evaluate(`document.querySelector('#top tbody a').was = true; htmx.trigger('#top', 'again'); htmx.ajax('GET', '/overview/top', '#top')`, nil))
	b.until(`!document.querySelector('#top tbody a').was`)
	if now := eval[string](b, "document.activeElement.id"); now != focused || focused == "" {
		b.t.Errorf("the focus was on %q, and is on %q", focused, now)
	}
	b.clean("the parts")
}

// keyboard looks somebody up without a pointer.
func (b *tab) keyboard() {
	b.t.Helper()
	b.visit("/subscriber")
	b.do(chromedp.KeyEvent(kb.Tab))
	if first := eval[string](b, "document.activeElement.textContent"); first != "Skip to the content" {
		b.t.Errorf("the first stop is %q", first)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.do(chromedp.KeyEvent(kb.Tab))
	if field := eval[string](b, "document.activeElement.id"); field != "address" {
		b.t.Errorf("the stop after skipping is %q", field)
	}
	if width := eval[string](b, "getComputedStyle(document.activeElement).outlineStyle"); width != "solid" {
		b.t.Errorf("the focus cannot be seen: %s", width)
	}
	b.do(chromedp.KeyEvent("100.64.0.7" + kb.Enter))
	b.until(`document.activeElement.textContent == "100.64.0.7"`)
	if at := eval[string](b, "location.search"); !strings.HasPrefix(at, "?address=100.64.0.7&days=7") {
		b.t.Errorf("the address is %s", at)
	}
	b.until(`[...document.querySelectorAll('.copy')].every(c => !c.hidden)`)
	b.do(chromedp.Evaluate(`navigator.clipboard.writeText = async (text) => { window.copied = text; }`, nil),
		chromedp.Click(`[data-copy="say-1"]`))
	b.until(`document.querySelector('[data-copy="say-1"]').textContent.startsWith("Copied")`)
	if copied := eval[string](b, "window.copied"); !strings.HasPrefix(copied, "動的アドレス") {
		b.t.Errorf("what was copied is %q", copied)
	}
	b.shot("subscriber")

	// A mistake is said where the answer would be, and going back shows what was there.
	b.do(chromedp.SetValue("#address", "mail.example"), chromedp.Focus("#address"), chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.textContent == "No answer"`)
	b.clean("the look-up", "400 (Bad Request)", "Response Status Error Code 400")
	b.do(chromedp.Evaluate("history.back()", nil))
	b.until(`document.readyState == "complete" && document.querySelector('.focus')?.textContent == "100.64.0.7"`)
	if kept := eval[int](b, "localStorage.length + sessionStorage.length"); kept != 0 {
		b.t.Error("the browser keeps pages")
	}
	b.clean("going back")
}

func (b *tab) reload() {
	b.t.Helper()
	b.visit("/health")
	b.do(chromedp.Click(".reload button"), chromedp.WaitVisible(".notice-good"))
	if says := eval[string](b, `document.querySelector('.what').textContent`); says != "Generation 13 is in force, after 0.31 s" {
		b.t.Errorf("the reload says %q", says)
	}
	b.clean("the reload")
}

// wide looks whether pages fit, at a desk and on a phone.
func (b *tab) wide() {
	b.t.Helper()
	to := time.Now().Truncate(time.Hour)
	pages := []struct{ name, path string }{
		{"overview", "/"}, {"subscriber", "/subscriber?address=100.64.0.7"}, {"calendar", "/calendar"},
		{"reports", "/reports?from=" + to.AddDate(0, 0, -7).UTC().Format(time.RFC3339) + "&to=" + to.UTC().Format(time.RFC3339)},
		{"health", "/health"}, {"failure", "/nothing"},
	}
	for _, window := range []struct {
		width        int64
		suffix, like string
	}{{390, "-phone", "light"}, {1280, "", "light"}, {1280, "-dark", "dark"}} {
		b.shape(window.width, window.like)
		for _, one := range pages {
			b.visit(one.path)
			if one.name == "overview" {
				b.until(`document.querySelectorAll('#plots canvas').length == 2`)
			}
			if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				b.t.Errorf("%s is %d pixels wider than %d: %s", one.name, over, window.width, eval[string](b, widest))
			}
			if window.suffix == "-phone" || one.name == "overview" && window.like == "dark" || one.name != "overview" && one.name != "subscriber" && window.like == "light" {
				b.shot(one.name + window.suffix)
			}
			b.clean(one.name, "404 (Not Found)")
		}
	}
}

// widest names what is too wide.
const widest = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"))
	.map(e => e.tagName + "." + e.className).slice(0, 5).join(" ")`

// silence is when the gateway has gone: what is old must not look new.
func (b *tab) silence(s *Server) {
	b.t.Helper()
	b.shape(1280, "light")
	b.visit("/")
	if !eval[bool](b, `document.getElementById("silent").hidden`) {
		b.t.Error("the gateway answers, and the page says that it does not")
	}
	b.clean("the overview")
	if err := s.Close(); err != nil {
		b.t.Error(err)
	}
	b.until(`!document.getElementById("silent").hidden`)
	b.clean("the end", "ERR_CONNECTION_REFUSED", "htmx:sendError", "htmx:afterRequest", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
}
