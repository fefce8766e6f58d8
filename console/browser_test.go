// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
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
	// The test's own context ends before the cleanup, and would kill what is to be closed.
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("lang", "en"), chromedp.Env("TZ=Asia/Tokyo"))...)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("end the browser: ", err)
		}
		end()
		stop()
	})
	b := &tab{t: t, ctx: ctx, origin: origin}
	if err := chromedp.Do(ctx); err != nil { // without a timeout: its context is the browser's life
		t.Fatal("start chromium: ", err)
	}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
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
		wrong = fmt.Sprintf("console.%s:", event.Type)
		for _, arg := range event.Args {
			wrong += " " + cmp.Or(arg.Description, strings.Trim(string(arg.Value), `"`))
		}
	case *runtime.EventExceptionThrown:
		wrong = fmt.Sprintf("exception: %s in %s:%d", event.ExceptionDetails.Text, event.ExceptionDetails.URL, event.ExceptionDetails.LineNumber)
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

// patient is how long the browser may take over one thing.
const patient = time.Minute

// do lets the browser act.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patient)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what an expression is.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patient)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// run lets the page's script act.
func (b *tab) run(script string) {
	b.t.Helper()
	eval[int](b, script+"; 0")
}

// until waits for an expression to be true, over a change of the page too.
func (b *tab) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(patient); !eval[bool](b, "!!("+expression+")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("waited in vain for ", expression)
		}
	}
}

// visit opens a page of ours.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.origin + path))
}

// shape makes the window so wide, and its user's taste dark or light.
func (b *tab) shape(width int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// shot keeps a picture, if OP25B_SCREENSHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("OP25B_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "console-"+name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestBrowser walks through the console as people do.
func TestBrowser(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	f := &fake{now: now, moves: true}
	if os.Getenv("OP25B_SCREENSHOTS") != "" {
		f.name = "laptop" // pictures are for those who want to see what is usual
	}
	s := open(t, Options{Writable: true, Gateway: f}, func(s *Server) {
		s.now = time.Now
		for ago := sampleRoom; ago > 0; ago-- {
			s.samples.add(f.counted(now.Add(-time.Duration(ago) * sampleEvery)))
		}
	})
	b := openTab(t, "http://"+s.Addr().String())
	b.shape(1280, "light")

	// Nobody is logged in. The page that was asked for comes after the login.
	b.visit("/health")
	b.shot("login")
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name="token"]`), "0123456789abcdef0123456789abcdeF"+kb.Enter), chromedp.WaitVisible(chromedp.CSS(`[role="alert"] .what`)))
	if says := eval[string](b, `document.querySelector('.what').textContent`); says != "That is no token of this gateway" {
		t.Errorf("a wrong token: %q", says)
	}
	b.clean("login", "403 (Forbidden)")
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name="token"]`), secret+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#workers")))
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

// plots have something on them, and get more.
func (b *tab) plots() {
	b.t.Helper()
	b.visit("/")
	b.until(`document.querySelectorAll('#plots canvas').length == 2`)
	inked := `[...document.querySelectorAll('#plots canvas')].every(c =>
		new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 20)`
	b.until(inked)
	b.until(`[...document.querySelectorAll('#plots .u-value')].every(v => /\d/.test(v.textContent))`)
	before := eval[string](b, `document.querySelector('#plots .u-value').textContent`)
	b.until("document.querySelector('#plots .u-value').textContent != " + strconv.Quote(before))
	b.clean("the overview")
}

// parts come again by themselves, and the focus stays where it was.
func (b *tab) parts() {
	b.t.Helper()
	b.do(chromedp.Focus(chromedp.CSS(`#top tbody a`)))
	focused := eval[string](b, `document.querySelector('#now .tile').was = true, document.activeElement.id`)
	b.until(`!document.querySelector('#now .tile').was`)
	b.run(`document.querySelector('#top tbody a').was = true; htmx.ajax('GET', '/overview/top', '#top')`)
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
	b.run(`navigator.clipboard.writeText = async (text) => { window.copied = text; }`)
	b.do(chromedp.Click(chromedp.CSS(`[data-copy="say-1"]`)))
	b.until(`document.querySelector('[data-copy="say-1"]').textContent.startsWith("Copied")`)
	if copied := eval[string](b, "window.copied"); !strings.HasPrefix(copied, "動的アドレス") {
		b.t.Errorf("what was copied is %q", copied)
	}

	// A mistake is said where the answer would be, and going back shows what was there.
	b.do(chromedp.SetValue(chromedp.CSS("#address"), "mail.example"), chromedp.Focus(chromedp.CSS("#address")), chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.textContent == "No answer"`)
	b.clean("the look-up", "400 (Bad Request)", "Response Status Error Code 400")
	b.run("history.back()")
	b.until(`document.readyState == "complete" && document.querySelector('.focus')?.textContent == "100.64.0.7"`)
	if kept := eval[string](b, "JSON.stringify([localStorage, sessionStorage])"); strings.Contains(kept, "residential") {
		b.t.Error("the browser keeps pages: ", kept)
	}
	b.clean("going back")
}

func (b *tab) reload() {
	b.t.Helper()
	b.visit("/health")
	b.do(chromedp.Click(chromedp.CSS(".reload button")), chromedp.WaitVisible(chromedp.CSS(".notice-good")))
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
			if window.like == "dark" && one.name != "overview" {
				continue // colors change no width
			}
			b.visit(one.path)
			if one.name == "overview" {
				b.until(`document.querySelectorAll('#plots canvas').length == 2`)
			}
			if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				b.t.Errorf("%s is %d pixels wider than %d: %s", one.name, over, window.width, eval[string](b, widest))
			}
			b.shot(one.name + window.suffix)
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
	b.clean("the end", "ERR_CONNECTION_REFUSED", "console.error: htmx:", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
}
