// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func parse(t *testing.T, r *Report) (*html.Node, string) {
	t.Helper()
	var out bytes.Buffer
	if err := r.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	root, err := html.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	return root, text
}

func elements(root *html.Node) []*html.Node {
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func howMany(n *html.Node, name string) int {
	return len(slices.DeleteFunc(elements(n), func(e *html.Node) bool { return e.Data != name }))
}

// The page is opened from mail and from archives: it loads nothing and runs nothing.
func TestPageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	root, text := parse(t, sampleReport(t))
	for _, n := range elements(root) {
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}, n.Data) {
			t.Errorf("there is a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || slices.Contains([]string{"src", "href", "srcset", "action", "style"}, a.Key) {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	for _, s := range []string{"http://", "https://", "url(", "@import", "//"} {
		if strings.Contains(text, s) {
			t.Errorf("there is a %s", s)
		}
	}
	if !strings.Contains(text, `content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;"`) &&
		!strings.Contains(text, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("there is no policy that keeps it so")
	}
}

// Whoever does not see the page can read it all the same.
func TestPageIsAccessible(t *testing.T) {
	t.Parallel()
	root, _ := parse(t, sampleReport(t))
	tables, pictures := 0, 0
	for _, n := range elements(root) {
		switch n.Data {
		case "table":
			tables++
			if howMany(n, "caption") == 0 || howMany(n, "thead") == 0 {
				t.Error("a table has no caption or no titles")
			}
		case "th":
			if scope, _ := attribute(n, "scope"); scope != "col" && scope != "row" {
				t.Errorf("a title has scope %q", scope)
			}
		case "svg":
			pictures++
			hidden, _ := attribute(n, "aria-hidden")
			role, _ := attribute(n, "role")
			label, _ := attribute(n, "aria-label")
			if hidden != "true" && (role != "img" || label == "") {
				t.Error("a picture has no text")
			}
		case "div":
			if _, focus := attribute(n, "tabindex"); !focus {
				t.Error("what scrolls cannot be scrolled by keys")
			}
		}
	}
	if tables != 6+8 || pictures < 4 { // one in each of 8 findings
		t.Errorf("%d tables and %d pictures", tables, pictures)
	}
	if lang, _ := attribute(elements(root)[0], "lang"); lang != "en" {
		t.Errorf("language is %q", lang)
	}
}

// What others write is text, wherever it stands.
func TestPageIsSafe(t *testing.T) {
	t.Parallel()
	quiet, _ := parse(t, hostile("x"))
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "' onmouseover='x", "</title></style></svg><iframe>", "{{.}}", "<!--", "]]>", "x onload=y", "javascript:x",
	} {
		root, _ := parse(t, hostile(text))
		want, got := elements(quiet), elements(root)
		if len(want) != len(got) {
			t.Errorf("%q makes %d elements of %d", text, len(got), len(want))
			continue
		}
		for i := range want {
			if want[i].Data != got[i].Data || len(want[i].Attr) != len(got[i].Attr) {
				t.Errorf("%q makes <%s> %v of <%s> %v", text, got[i].Data, got[i].Attr, want[i].Data, want[i].Attr)
			}
		}
	}
	root, _ := parse(t, hostile("<b>Ünï & 山田</b>"))
	if got := strings.Count(words(root), "<b>Ünï & 山田</b>"); got < 10 {
		t.Errorf("text stands there %d times", got)
	}
}

// words is all text of a page but its style.
func words(root *html.Node) string {
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}

// A thousand findings are a page that a browser opens at once.
func TestPageOfManyFindings(t *testing.T) {
	t.Parallel()
	in := newSample().input()
	in.MostFindings = 0
	r := build(t, in)
	root, text := parse(t, r)
	if n := howMany(root, "details"); n != len(r.Findings)+1 {
		t.Errorf("%d findings have %d details", len(r.Findings), n-1)
	}
	if each := len(text) / len(r.Findings); each > 3000 {
		t.Errorf("a finding takes %d octets", each)
	}
}
