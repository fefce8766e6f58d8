// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"context"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/chromedp/chromedp"
)

// With OP25B_SCREENSHOTS=DIRECTORY the documentation's picture is made anew.
func TestScreenshot(t *testing.T) { //nolint:paralleltest // a browser is enough load
	directory := os.Getenv("OP25B_SCREENSHOTS")
	if directory == "" {
		t.Skip("SKIPPED: OP25B_SCREENSHOTS says where pictures go")
	}
	m := newModel(nil, time.Second, newPainter(false), time.UTC)
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 26})
	octets := 0.0
	for i := range 90 {
		a := example(3600 + i)
		octets += 18e6 * (1.3 + math.Sin(float64(i)/7) + 0.25*math.Sin(float64(i)*1.7))
		a.status.Packets["inbound"]["octets"] = uint64(octets)
		a.status.Packets["outbound"]["octets"] = uint64(float64(i)*3.1e6 + 2e6*math.Sin(float64(i)/3))
		m.Update(a)
	}
	page := "<!DOCTYPE html><meta charset=utf-8><style>body{margin:0;background:#14181f}" +
		"pre{margin:0;padding:14px 16px;display:inline-block;font:14px/18px 'DejaVu Sans Mono',monospace;color:#d6dce5}</style><pre>" + spans(shown(m)) + "</pre>"
	file := filepath.Join(t.TempDir(), "top.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-dev-shm-usage", true))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	defer func() { _ = chromedp.Cancel(ctx) }()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(876, 496), chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "top.png"), shot, 0o644); err != nil {
		t.Fatal(err)
	}
}

// spans writes what a terminal is told as HTML.
func spans(ansi string) string {
	css := map[string]string{"1": "font-weight:bold", "2": "opacity:.6", "7": "background:#d6dce5;color:#14181f", "31": "color:#ff7b72", "32": "color:#56d364", "33": "color:#e3b341", "36": "color:#56b6c2"}
	var b strings.Builder
	open := false
	at := 0
	sgr := regexp.MustCompile("\x1b\\[([0-9;]*)m")
	for _, found := range sgr.FindAllStringSubmatchIndex(ansi, -1) {
		b.WriteString(html.EscapeString(ansi[at:found[0]]))
		at = found[1]
		if open {
			b.WriteString("</span>")
			open = false
		}
		var styles []string
		for code := range strings.SplitSeq(ansi[found[2]:found[3]], ";") {
			if s := css[code]; s != "" {
				styles = append(styles, s)
			}
		}
		if len(styles) > 0 {
			fmt.Fprintf(&b, `<span style="%s">`, strings.Join(styles, ";"))
			open = true
		}
	}
	b.WriteString(html.EscapeString(ansi[at:]))
	return b.String()
}
