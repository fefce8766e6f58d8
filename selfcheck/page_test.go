// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is a line of each kind, by the name of its golden files.
func example() map[string]Line {
	jst := time.FixedZone("JST", 9*60*60)
	since, from := time.Date(2026, 10, 6, 10, 0, 0, 0, jst), time.Date(2027, 2, 2, 10, 0, 0, 0, jst)
	v4, v6 := netip.MustParseAddr("203.0.113.77"), netip.MustParseAddr("2001:db8:77:1::5")
	return map[string]Line{
		"blocked":       {Address: v4, Known: true, Blocked: true, Since: since},
		"blocked-long":  {Address: v6, Known: true, Blocked: true},
		"planned":       {Address: v4, Known: true, From: from},
		"exempt":        {Address: v4, Known: true, Exempt: true},
		"exempt-ends":   {Address: v4, Known: true, Exempt: true, From: from},
		"static":        {Address: v6, Known: true, Static: true},
		"open":          {Address: v4, Known: true},
		"unknown":       {Address: netip.MustParseAddr("198.51.100.9")},
		"shared":        {Address: v4, Known: true, Blocked: true, Shared: true},
		"words":         {Address: v4, Known: true, Blocked: true, Texts: map[string]string{"en": "Use mail.example.net.", "ja": "mail.example.net をお使いください。"}},
		"words-foreign": {Address: v4, Known: true, Blocked: true, Texts: map[string]string{"ja": "mail.example.net をお使いください。"}},
	}
}

func exampleOptions() *Options {
	return &Options{Provider: "Example Net", Contact: "0120-000-000\nsupport@example.net", Relays: []string{"mail.example.net"}}
}

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	p := newPages(exampleOptions())
	for name, line := range example() {
		for _, language := range []string{"en", "ja"} {
			for f, ext := range map[format]string{formatHTML: "html", formatText: "txt", formatJSON: "json"} {
				got, err := p.write(&line, language, f)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+language+"."+ext, strings.Replace(string(got), string(p.style), "STYLE", 1))
			}
		}
	}
}

// A provider that says nothing about itself leaves no holes.
func TestGoldenPlainOptions(t *testing.T) {
	t.Parallel()
	p := newPages(&Options{})
	line := example()["blocked"]
	for _, language := range []string{"en", "ja"} {
		for f, ext := range map[format]string{formatHTML: "html", formatText: "txt"} {
			got, err := p.write(&line, language, f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "bare."+language+"."+ext, strings.Replace(string(got), string(p.style), "STYLE", 1))
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", name, diff)
	}
}

// What the operator or a lookup says is text, wherever it stands.
func TestEscaping(t *testing.T) {
	t.Parallel()
	const evil = `</style></p><script>alert(1)</script>"'><img src=x onerror=alert(1)>{{.Line}}`
	p := newPages(&Options{Provider: evil, Contact: evil, Relays: []string{evil}})
	line := Line{
		Address: netip.MustParseAddr("fe80::1").WithZone(evil), Known: true, Blocked: true, Shared: true,
		Since: time.Now().In(time.FixedZone(evil, 0)), Texts: map[string]string{"x\"><script>": evil},
	}
	for _, language := range []string{"en", "ja"} {
		got, err := p.write(&line, language, formatHTML)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := html.Parse(strings.NewReader(string(got)))
		if err != nil {
			t.Fatal(err)
		}
		styles := 0
		for n := range doc.Descendants() {
			if n.Data == "style" {
				styles++
			}
			if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "img") {
				t.Errorf("%s: there is a <%s>", language, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" && a.Val != "/en" && a.Val != "/ja" {
					t.Errorf("%s: <%s %s=%q>", language, n.Data, a.Key, a.Val)
				}
			}
		}
		if styles != 1 || strings.Count(string(got), "alert(1)") != strings.Count(string(got), "&lt;script&gt;alert(1)")*2 {
			t.Errorf("%s: %d styles, and not all is escaped", language, styles)
		}
		asJSON, err := p.write(&line, language, formatJSON)
		if err != nil || !json.Valid(asJSON) || strings.Contains(string(asJSON), "<script") {
			t.Errorf("%s: JSON %v: %s", language, err, asJSON)
		}
	}
}

// The browser shows the style only if its hash is the policy's, and nothing else that
// the page might load.
func TestPolicyAllowsTheStyle(t *testing.T) {
	t.Parallel()
	p := newPages(exampleOptions())
	line := example()["blocked"]
	got, err := p.write(&line, "en", formatHTML)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(got), "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if diff := cmp.Diff(want, p.policy); diff != "" || style == "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if size := len(got); size > 16<<10 {
		t.Errorf("the page has %d octets: a line that can hardly send mail should not wait for it", size)
	}
}
