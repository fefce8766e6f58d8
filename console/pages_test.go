// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"op25b/control"
	"op25b/report"
)

// pagePaths are all pages that have something to say at once.
func pagePaths() []string {
	return []string{
		"/", "/subscriber", "/subscriber?address=100.64.0.7", "/subscriber?address=100.64.0.7&destination=192.0.2.25&at=2026-11-01T10:00&days=90",
		"/calendar", "/reports", "/reports?from=2027-01-05T00:00&to=2027-01-12T00:00", "/health",
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{Writable: true})
	for _, tt := range []struct {
		path string
		says []string
	}{
		{"/", []string{
			"Overview", "degraded", "systemctl start freeradius", "148,2", "2001:db8:4000:1200::/56", `href="/subscriber?address=2001%3adb8%3a4000%3a1200%3a%3a"`,
			"≈ 450", "phase tenth begins", "2027-01-12 19:19:00 JST", "counts only",
		}},
		{"/subscriber", []string{"Look up", "Everything that support needs"}},
		{"/subscriber?address=100.64.0.7", []string{
			"Refused", "policy.ports holds 25", "stands at 65.64 %", "for 53 d 0 h", "phase tenth begins", "02:00:00:00:00:07", "13 min before",
			`lang="ja"`, "動的アドレス", "97 % sure", "212 different destinations in one hour", "Hour by hour",
		}},
		{"/subscriber?address=100.64.0.7&destination=192.0.2.25:587&at=2026-11-01T10:00", []string{"192.0.2.25:587", "2026-11-01 10:00:00 JST", "no phase took it in yet"}},
		{"/calendar", []string{"phase everybody begins", "Past", "brownout trial begins", "in force: 12"}},
		{"/reports", []string{"Make the report", "90 days"}},
		{"/reports?from=2027-01-05T00:00&to=2027-01-12T00:00", []string{
			"2027-01-05 00:00:00 JST", "1,412", "residential-v6", "triangular", "NOC-1931", "3 attempts were lost",
			`/reports/table.csv?from=2027-01-04T15%3A00%3A00Z&amp;to=2027-01-11T15%3A00%3A00Z&amp;table=findings`,
		}},
		{"/health", []string{"stalled", "18.4 MiB", "connection refused", "index out of range", "Reload the configuration", "1,610,440,021,771", "tiny fragment"}},
	} {
		t.Run(tt.path, func(t *testing.T) {
			b.t = t
			b.has(b.do(tt.path, nil), http.StatusOK, tt.says...)
		})
	}
}

// TestHostile: what a subscriber's machine calls itself stays text, wherever it is shown.
func TestHostile(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{Writable: true})
	seen := 0
	check := func(got answer) {
		root, err := html.Parse(strings.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type == html.TextNode && strings.Contains(n.Data, hostile) {
				seen++
			}
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "img" || n.Data == "script" && n.FirstChild != nil || n.Data == "style" {
				t.Errorf("there is a <%s> in the page", n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
				}
			}
		}
	}
	for _, path := range pagePaths() {
		check(b.do(path, nil))
	}
	check(b.do("/subscriber?address="+url.QueryEscape(hostile), nil))
	check(b.do("/reload", url.Values{}))
	if seen < 4 {
		t.Errorf("the name was shown %d times", seen)
	}
}

// TestHeaders: every answer has them, those about mistakes too.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{})
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, path := range append(pagePaths(), "/nothing", "/samples", "/reports/report.json", "/assets/console.css") {
		got := b.do(path, nil)
		for name, value := range want {
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	b := openTCP(t, Options{})
	body := b.do("/login", nil).body
	for _, name := range []string{"console.css", "console.js", "htmx.js", "uplot.js", "uplot.css", "icon.svg"} {
		_, rest, found := strings.Cut(body, `"/assets/`+name)
		version, _, _ := strings.Cut(rest, `"`)
		if !found {
			t.Errorf("no page asks for %s", name)
		}
		if got := b.do("/assets/"+name+version, nil); got.code != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %v", name, got.code, got.header)
		}
	}
	b.has(b.do("/assets/console.css?v=older", nil), http.StatusOK)
	b.has(b.do("/assets/vendor/README.md", nil), http.StatusNotFound)
	b.has(b.do("/assets/../server.go", nil), http.StatusNotFound)
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{})
	for _, tt := range []struct {
		path string
		code int
		says []string
	}{
		{"/nothing", http.StatusNotFound, []string{"There is no such page", "<nav"}},
		{"/login", http.StatusNotFound, []string{"the kernel says who you are"}},
		{"/subscriber?address=mail.example", http.StatusBadRequest, []string{"mail.example&#34; is no IP address", "100.64.0.2", `value="mail.example"`}},
		{"/subscriber?address=100.64.0.7&days=401", http.StatusBadRequest, []string{"from 1 to 400"}},
		{"/subscriber?address=100.64.0.7&destination=2001:db8::25", http.StatusBadRequest, []string{"the other family"}},
		{"/subscriber?address=100.64.0.7&destination=mx", http.StatusBadRequest, []string{"is no destination"}},
		{"/subscriber?address=100.64.0.7&at=yesterday", http.StatusBadRequest, []string{"does not hold a time"}},
		{"/reports?from=2027-01-12T00:00&to=2027-01-05T00:00", http.StatusBadRequest, []string{"end before it begins"}},
		{"/reports?from=soon", http.StatusBadRequest, []string{"does not hold a time"}},
		{"/reports/table.csv?table=secrets", http.StatusBadRequest, []string{"no such table", "findings"}},
		{"/samples?after=now", http.StatusBadRequest, nil},
	} {
		b.has(b.do(tt.path, nil), tt.code, tt.says...)
	}
	got := b.do("/", url.Values{})
	b.has(got, http.StatusMethodNotAllowed, "takes GET only")
	if got.header.Get("Allow") != http.MethodGet {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	large := b.do("/reload", url.Values{"x": {strings.Repeat("x", mostBody)}})
	b.has(large, http.StatusRequestEntityTooLarge, "65536")
}

// TestGatewayFails: what the gateway says reaches the reader, and the rest of the page
// still comes.
func TestGatewayFails(t *testing.T) {
	t.Parallel()
	f := &fake{now: then(), fails: &control.Error{Code: http.StatusBadRequest, Message: "the history begins on 2026-11-01", Fix: "ask about a later time"}}
	b := openSocket(t, Options{Gateway: f})
	b.has(b.do("/", nil), http.StatusOK, "the history begins", "ask about a later time", "systemctl start freeradius")
	for _, path := range []string{"/subscriber?address=100.64.0.7", "/calendar", "/reports?from=2027-01-05T00:00"} {
		b.has(b.do(path, nil), http.StatusBadRequest, "the history begins on 2026-11-01", "ask about a later time")
	}
	f.fails = context.DeadlineExceeded
	b.has(b.do("/calendar", nil), http.StatusGatewayTimeout, "not ready in time")
	f.fails = errors.New("disk on fire")
	b.has(b.do("/calendar", nil), http.StatusInternalServerError, "disk on fire", "gateway&#39;s log")
}

// TestParts: the page's script gets a part, and a reader who opens its address a page.
func TestParts(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{})
	for path, whole := range map[string]string{"/overview/now": "/", "/overview/top": "/", "/health/now": "/health"} {
		got := b.do(path, nil, "HX-Request: true")
		b.has(got, http.StatusOK)
		if strings.Contains(got.body, "<html") {
			t.Errorf("%s: it is a whole page", path)
		}
		if got := b.do(path, nil); got.code != http.StatusSeeOther || got.header.Get("Location") != whole {
			t.Errorf("%s: %d to %q", path, got.code, got.header.Get("Location"))
		}
	}
	look := "/subscriber?address=100.64.0.7"
	if got := b.do(look, nil, "HX-Request: true"); strings.Contains(got.body, "<html") {
		t.Error("the result is a whole page")
	}
	b.has(b.do(look, nil, "HX-Request: true", "HX-History-Restore-Request: true"), http.StatusOK, "<html")
	b.has(b.do("/nothing", nil, "HX-Request: true"), http.StatusNotFound, "There is no such page")
}

func TestAsked(t *testing.T) {
	t.Parallel()
	f := &fake{now: then()}
	b := openSocket(t, Options{Gateway: f})
	b.do("/subscriber?address=+%3A%3Affff%3A100.64.0.7/32+&days=30", nil)
	b.do("/subscriber?address=2001:db8::1%25eth0&destination=[2001:db8:25::1]:2525&at=2026-11-01T10:00", nil)
	b.do("/reports?from=2027-01-05T00:00&to=2027-01-12T09:00", nil)
	if diff := cmp.Diff([]control.SubscriberOptions{
		{Address: netip.MustParseAddr("100.64.0.7"), Days: 30}, {Address: netip.MustParseAddr("2001:db8::1"), Days: 7},
	}, f.looks, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if len(f.explains) != 1 || f.explains[0].Destination != netip.MustParseAddrPort("[2001:db8:25::1]:2525") ||
		!f.explains[0].At.Equal(time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("explain was asked with %+v", f.explains)
	}
	if len(f.ranges) != 1 || !f.ranges[0].From.Equal(time.Date(2027, 1, 4, 15, 0, 0, 0, time.UTC)) || !f.ranges[0].To.Equal(time.Date(2027, 1, 12, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a report was asked for with %+v", f.ranges)
	}
}

func TestDownloads(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{})
	const query = "from=2027-01-05T00:00&to=2027-01-12T00:00"
	for _, table := range report.Tables() {
		got := b.do("/reports/table.csv?"+query+"&table="+table, nil)
		b.has(got, http.StatusOK)
		if want := `attachment; filename="op25b-20270104T15-20270111T15-` + table + `.csv"`; got.header.Get("Content-Disposition") != want {
			t.Errorf("%s: %q", table, got.header.Get("Content-Disposition"))
		}
		if strings.Count(got.body, "\n") < 2 {
			t.Errorf("%s has no row: %s", table, got.body)
		}
	}
	got := b.do("/reports/report.json?"+query, nil)
	var r report.Report
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || r.Totals.Subscribers != 1_412 {
		t.Errorf("JSON: %v, %+v", err, r.Totals)
	}
	got = b.do("/reports/report.html?"+query, nil)
	b.has(got, http.StatusOK, "100.64.0.7")
	if !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
		t.Error("the HTML report opens in the console's own origin")
	}
}

// TestOneReport: the second waits, and then hears that there is one at a time.
func TestOneReport(t *testing.T) {
	t.Parallel()
	f := &fake{now: then(), reporting: make(chan struct{})}
	b := openSocket(t, Options{Gateway: f}, func(s *Server) { s.patience = 10 * time.Millisecond })
	first := make(chan answer)
	go func() { first <- b.do("/reports?from=2027-01-05T00:00", nil) }()
	<-f.reporting
	b.has(b.do("/reports/report.json?from=2027-01-05T00:00", nil), http.StatusServiceUnavailable, "only one at a time")
	f.reporting <- struct{}{}
	b.has(<-first, http.StatusOK, "1,412")
}

func TestReload(t *testing.T) {
	t.Parallel()
	t.Run("read-only", func(t *testing.T) {
		t.Parallel()
		f := &fake{now: then()}
		b := openSocket(t, Options{Gateway: f})
		b.has(b.do("/reload", url.Values{"force": {"yes"}}), http.StatusForbidden, "only reads", "op25b reload")
		if strings.Contains(b.do("/health", nil).body, `action="/reload"`) {
			t.Error("there is a form")
		}
		if len(f.took()) != 0 {
			t.Error("it was reloaded")
		}
	})
	t.Run("writable", func(t *testing.T) {
		t.Parallel()
		f := &fake{now: then(), refuse: &control.Refusal{Problems: []string{"no prefix is dynamic any more"}, Fix: "use --force if that is meant"}}
		b := openSocket(t, Options{Gateway: f, Writable: true})
		b.has(b.do("/health", nil), http.StatusOK, `action="/reload"`)
		b.has(b.do("/reload", url.Values{}), http.StatusUnprocessableEntity, "no prefix is dynamic any more", "use --force if that is meant", "the old policy stays in force")
		b.has(b.do("/reload", url.Values{"force": {"yes"}, "accept_clock": {"yes"}}), http.StatusOK, "Generation 13 is in force, after 0.31 s", "3 prefixes become dynamic")
		if diff := cmp.Diff([]control.ReloadOptions{{}, {Force: true, AcceptClock: true}}, f.took()); diff != "" {
			t.Error(diff)
		}
		if got := b.do("/reload", nil); got.header.Get("Location") != "/health" {
			t.Errorf("GET /reload: %d", got.code)
		}
	})
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{Gateway: &panics{&fake{now: then()}}})
	b.has(b.do("/calendar", nil), http.StatusInternalServerError, "a fault of op25b", "<nav")
	b.has(b.do("/", nil), http.StatusOK)
}

// panics has no calendar.
type panics struct{ *fake }

func (*panics) Calendar(context.Context) (control.Calendar, error) { panic("calendar") }

func sum(body []byte) string {
	digest := sha256.Sum256(body)
	return hex.EncodeToString(digest[:])
}

// TestVendor compares the files of others with what their README says they are.
func TestVendor(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("assets/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || !strings.Contains(cells[4], "`") {
			continue
		}
		listed++
		name, want := strings.Trim(cells[4], " `"), strings.Trim(cells[5], " `")
		body, err := os.ReadFile(filepath.Join("assets/vendor", name))
		if err != nil {
			t.Error(err)
		} else if got := sum(body); got != want {
			t.Errorf("%s has SHA-256 %s, and the README says %s", name, got, want)
		}
	}
	files, err := os.ReadDir("assets/vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".js") || strings.HasSuffix(f.Name(), ".css") {
			listed--
		}
	}
	if listed != 0 {
		t.Error("the README does not list just what is there")
	}
}
