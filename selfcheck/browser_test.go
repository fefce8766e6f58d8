// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// browse starts a browser for one test, or skips it.
func browse(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: there is no chromium: what a browser makes of the page is not tested")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("no-sandbox", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel() })
	return ctx
}

// On a phone, light or dark and in both languages, the page fits, has its style in
// spite of the policy, and the browser complains of nothing.
// OP25B_SCREENSHOTS=DIRECTORY keeps what it shows.
func TestInBrowser(t *testing.T) { //nolint:paralleltest // a browser is enough load
	ctx := browse(t)
	line := example()["blocked"]
	_, address := start(t, Options{
		Provider: "Example Net", Contact: "0120-000-000 (9:00-18:00)\nsupport@example.net", Relays: []string{"mail.example.net"},
		Line: func(context.Context, netip.Addr) (Line, error) { return line, nil },
	})
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*cdplog.EventEntryAdded); ok {
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, e.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	type shown struct {
		Heading, Language, Background string
		Width                         int
	}
	for _, c := range []struct{ language, scheme, heading string }{
		{"en", "light", "Port 25 is blocked on your line"},
		{"ja", "light", "ポート25番は制限されています"},
		{"en", "dark", "Port 25 is blocked on your line"},
		{"ja", "dark", "ポート25番は制限されています"},
	} {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}},
		})
		if err == nil {
			err = chromedp.Do(ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate("http://"+address+"/"+c.language))
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := chromedp.Run(ctx, chromedp.Evaluate[shown](`({
			Heading: document.querySelector(".state h2").innerText,
			Language: document.documentElement.lang,
			Background: getComputedStyle(document.body).backgroundColor,
			Width: document.documentElement.scrollWidth,
		})`))
		if err != nil {
			t.Fatal(err)
		}
		background := map[string]string{"light": "rgb(244, 245, 247)", "dark": "rgb(17, 22, 29)"}[c.scheme]
		if diff := cmp.Diff(shown{c.heading, c.language, background, 390}, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", c.language, c.scheme, diff)
		}
		shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		keepShot(t, "selfcheck-"+strings.TrimSuffix(c.language+"-"+c.scheme, "-light")+".png", shot)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("the browser says: %q", complaints)
	}
}

func keepShot(t *testing.T, name string, shot []byte) {
	t.Helper()
	if directory := os.Getenv("OP25B_SCREENSHOTS"); directory != "" {
		if err := os.WriteFile(filepath.Join(directory, name), shot, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
