// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"op25b/census"
	"op25b/report"
)

// raw sends bytes and returns the answer.
func raw(t *testing.T, path, request string) (*http.Response, string) {
	t.Helper()
	c := connect(t, path)
	_ = c.SetDeadline(time.Now().Add(2 * hurry))
	go func() { _, _ = io.WriteString(c, request) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(request + " x")[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, unix.ECONNRESET) { // it did not want to read all that was sent
		t.Fatal(err)
	}
	return resp, string(body)
}

func request(method, path, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: op25b\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
}

func explain(source, destination string) string {
	return request("POST", "/v1/explain", fmt.Sprintf(`{"source":%s,"destination":%s}`, source, destination))
}

// asked is a request, how the gateway fails, and the answer.
type asked struct {
	name, request string
	fault         error
	code          int
	says          string
}

// askedOfEach are what every question about subscribers has in common.
func askedOfEach(big string) (all []asked) {
	for path, body := range aboutSubscribers() {
		post := request("POST", path, body)
		all = append(
			all,
			asked{path + " by GET", request("GET", path, ""), nil, 405, "takes POST only"},
			asked{path + ", large body", request("POST", path, big), nil, 413, ""},
			asked{path + " of a list", request("POST", path, "[]"), nil, 400, "not understood"},
			asked{path + " failed", post, errors.New("it broke"), 500, `"error":"it broke"`},
			asked{path + ", not known", post, &Error{Code: 400, Message: "there is no journal", Fix: "set journal.path"}, 400, `"fix":"set journal.path"`},
			asked{path + ", ending", post, context.Canceled, 503, "is ending"},
		)
		if path != "/v1/tail" { // has no time
			all = append(all, asked{path + " not in time", post, context.DeadlineExceeded, 504, "not ready in time"})
		}
	}
	return all
}

// aboutSubscribers has a body for each of the questions that tell about them.
func aboutSubscribers() map[string]string {
	return map[string]string{
		"/v1/top": "", "/v1/tail": "", "/v1/subscriber": `{"address":"192.0.2.1"}`, "/v1/report": "{}", "/v1/diag": "",
	}
}

func contentType(path string, code int) string {
	switch {
	case code != 200:
		return "application/json"
	case path == "/v1/openapi.yaml":
		return "application/yaml"
	case path == "/v1/tail":
		return "application/x-ndjson"
	case path == "/v1/diag":
		return "application/zip"
	}
	return "application/json"
}

// Every documented code of every path is seen, and no other.
func TestRequests(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	var fault error
	crash := false
	start(t, quiet(path), &fake{
		status: func() Status {
			if crash {
				panic("crash")
			}
			return Status{}
		},
		reload: func(context.Context, ReloadOptions) (ReloadResult, error) { return ReloadResult{}, fault },
		explain: func(_ context.Context, opts ExplainOptions) (Explanation, error) {
			return Explanation{Source: opts.Source, Destination: opts.Destination, At: opts.At, Next: &NextVerdict{}}, fault
		},
		lend:  func(context.Context, string) (LendResult, error) { return LendResult{Queues: 4}, fault },
		yield: func(context.Context, Peer) (Handover, error) { return Handover{}, fault },
		top: func(_ context.Context, opts TopOptions) (Top, error) {
			return Top{Lost: uint64(opts.Most), Subscribers: []ActiveSubscriber{{}}}, fault
		},
		tail: func(_ context.Context, opts TailOptions, send func(TailEvent) error) error {
			if fault != nil {
				return fault
			}
			return send(TailEvent{Pool: opts.Within.String(), Source: netip.MustParseAddr("192.0.2.1"), Missed: 3})
		},
		subscriber: func(_ context.Context, opts SubscriberOptions) (Subscriber, error) {
			return Subscriber{
				Explanation: Explanation{Source: opts.Address, Place: float64(opts.Days)}, Records: []census.Record{{Pool: "residential"}}, Finding: &report.Finding{},
			}, fault
		},
		report: func(_ context.Context, opts ReportOptions) (report.Report, error) {
			return report.Report{From: opts.From, To: opts.To, Findings: []report.Finding{{Kind: report.Mailer}}}, fault
		},
		diag: func(_ context.Context, opts DiagOptions, w io.Writer) error {
			if fault != nil {
				return fault
			}
			_, err := fmt.Fprintf(w, "PK, with subscribers: %t", opts.Subscribers)
			return err
		},
		calendar: func(context.Context) (Calendar, error) { return Calendar{}, fault },
	})
	big := strings.Repeat(" ", mostBody) + "{}"
	seen := map[string]map[int]bool{}
	for _, tt := range append([]asked{
		{"status", request("GET", "/v1/status", ""), nil, 200, `"problems":[]`},
		{"status with a query", request("GET", "/v1/status?x=1", ""), nil, 200, `"drops":{}`},
		{"description", request("GET", "/v1/openapi.yaml", ""), nil, 200, "openapi: 3.1.0"},
		{"reload", request("POST", "/v1/reload", `{"force":true}`), nil, 200, `"changes":[]`},
		{"reload, nothing said", request("POST", "/v1/reload", ""), nil, 200, `"warnings":[]`},
		{"reload, blanks", request("POST", "/v1/reload", " \n{ } \n"), nil, 200, ""},
		{"yield", request("POST", "/v1/yield", "{}"), nil, 200, `"restore":[]`},
		{"refused", request("POST", "/v1/reload", ""), &Refusal{Problems: []string{"p"}, Fix: "f"}, 422, `"problems":["p"],"fix":"f"`},
		{"failed", request("POST", "/v1/reload", ""), errors.New("it broke"), 500, `"error":"it broke"`},
		{"not in time", request("POST", "/v1/reload", ""), context.DeadlineExceeded, 504, "not ready in time"},
		{"ending", request("POST", "/v1/reload", ""), context.Canceled, 503, "is ending"},
		{"lend", request("POST", "/v1/lend", `{"to":"@s"}`), nil, 200, `"queues":4`},
		{"lend failed", request("POST", "/v1/lend", `{"to":"@s"}`), errors.New("it broke"), 500, ""},
		{"lend not in time", request("POST", "/v1/lend", `{"to":"@s"}`), context.DeadlineExceeded, 504, ""},
		{"lend, ending", request("POST", "/v1/lend", `{"to":"@s"}`), context.Canceled, 503, ""},
		{"lend to a number", request("POST", "/v1/lend", `{"to":1}`), nil, 400, "not understood"},
		{"lend, large body", request("POST", "/v1/lend", big), nil, 413, ""},
		{"lend by GET", request("GET", "/v1/lend", ""), nil, 405, ""},
		{"explain", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), nil, 200, `"source":"192.0.2.1","destination":"192.0.2.25:25"`},
		{"explain, lists in it", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), nil, 200, `"what":[]},"holders":[],"text":"","customer_texts":{}`},
		{"explain, IPv6", explain(`"2001:db8::1"`, `"[2001:db8::25]:25"`), nil, 200, `"destination":"[2001:db8::25]:25"`},
		{"explain, mapped", explain(`"::ffff:192.0.2.1"`, `"[::ffff:192.0.2.25]:25"`), nil, 200, `"source":"192.0.2.1","destination":"192.0.2.25:25"`},
		{"explain, a zone", explain(`"fe80::1%eth0"`, `"[fe80::2%eth0]:25"`), nil, 200, `"source":"fe80::1","destination":"[fe80::2]:25"`},
		{
			"explain at", request("POST", "/v1/explain", `{"source":"192.0.2.1","destination":"192.0.2.25:25","at":"2026-12-01T02:00:00+09:00"}`), nil, 200,
			`"at":"2026-12-01T02:00:00+09:00"`,
		},
		{"explain at a day", request("POST", "/v1/explain", `{"source":"192.0.2.1","destination":"192.0.2.25:25","at":"2026-12-01"}`), nil, 400, "not understood"},
		{"explain nothing", request("POST", "/v1/explain", ""), nil, 400, "no source address"},
		{"explain no source", explain(`""`, `"192.0.2.25:25"`), nil, 400, "no source address"},
		{"explain no destination", request("POST", "/v1/explain", `{"source":"192.0.2.1"}`), nil, 400, "no destination"},
		{"explain no port", explain(`"192.0.2.1"`, `"192.0.2.25"`), nil, 400, "not understood"},
		{"explain a name", explain(`"client.example.net"`, `"192.0.2.25:25"`), nil, 400, "not understood"},
		{"explain a prefix", explain(`"192.0.2.0/24"`, `"192.0.2.25:25"`), nil, 400, "not understood"},
		{"explain two families", explain(`"192.0.2.1"`, `"[2001:db8::25]:25"`), nil, 400, "different families"},
		{"explain, unknown field", request("POST", "/v1/explain", `{"src":"192.0.2.1"}`), nil, 400, "src"},
		{
			"explain what cannot be known", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), &Error{Code: 400, Message: "the history begins later", Fix: "ask later"}, 400,
			`"error":"the history begins later","problems":[],"fix":"ask later"`,
		},
		{"explain failed", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), errors.New("it broke"), 500, `"error":"it broke"`},
		{"explain not in time", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), context.DeadlineExceeded, 504, "not ready in time"},
		{"explain, ending", explain(`"192.0.2.1"`, `"192.0.2.25:25"`), context.Canceled, 503, "is ending"},
		{"explain, large body", request("POST", "/v1/explain", big), nil, 413, ""},
		{"explain by GET", request("GET", "/v1/explain", ""), nil, 405, "takes POST only"},
		{"calendar", request("GET", "/v1/calendar", ""), nil, 200, `"events":[]`},
		{"calendar failed", request("GET", "/v1/calendar", ""), errors.New("it broke"), 500, `"error":"it broke"`},
		{"calendar not in time", request("GET", "/v1/calendar", ""), context.DeadlineExceeded, 504, ""},
		{"calendar, ending", request("GET", "/v1/calendar", ""), context.Canceled, 503, ""},
		{"calendar by POST", request("POST", "/v1/calendar", ""), nil, 405, "takes GET only"},
		{"top, usually", request("POST", "/v1/top", ""), nil, 200, `"lost":20`},
		{"top, lists in it", request("POST", "/v1/top", "{}"), nil, 200, `"attempts":{},"destinations":0,"estimated":false,"last":"0001-01-01T00:00:00Z"}],"destinations":[],"attempts":{}`},
		{"top of most", request("POST", "/v1/top", `{"most":1000}`), nil, 200, `"lost":1000`},
		{"top of too many", request("POST", "/v1/top", `{"most":1001}`), nil, 400, "1 to 1000"},
		{"top of fewer than nobody", request("POST", "/v1/top", `{"most":-1}`), nil, 400, "1 to 1000"},
		{"top, unknown field", request("POST", "/v1/top", `{"limit":1}`), nil, 400, "limit"},
		{"tail", request("POST", "/v1/tail", ""), nil, 200, `"source":"192.0.2.1","destination":"","port":0,"outcome":"","missed":3}` + "\n"},
		{"tail, empty prefix", request("POST", "/v1/tail", `{"within":""}`), nil, 200, "invalid Prefix"},
		{"tail, a prefix with a host", request("POST", "/v1/tail", `{"within":"192.0.2.1/24"}`), nil, 200, `"192.0.2.0/24"`},
		{"tail, IPv6", request("POST", "/v1/tail", `{"within":"2001:db8::1/32"}`), nil, 200, `"2001:db8::/32"`},
		{"tail, mapped", request("POST", "/v1/tail", `{"within":"::ffff:192.0.2.1/120"}`), nil, 200, `"192.0.2.0/24"`},
		{"tail, mapped and more", request("POST", "/v1/tail", `{"within":"::ffff:192.0.2.1/80"}`), nil, 400, "more than IPv4"},
		{"tail, an address", request("POST", "/v1/tail", `{"within":"192.0.2.1"}`), nil, 400, "not understood"},
		{"tail, unknown field", request("POST", "/v1/tail", `{"pool":"x"}`), nil, 400, "pool"},
		{"subscriber", request("POST", "/v1/subscriber", `{"address":"192.0.2.1"}`), nil, 200, `"place":7`},
		{"subscriber, lists in it", request("POST", "/v1/subscriber", `{"address":"192.0.2.1"}`), nil, 200, `"minutes":0,"top":[]}],"finding":{"subscriber":"","pool":"","kind":"","confidence":0,"evidence":[]`},
		{"subscriber for long", request("POST", "/v1/subscriber", `{"address":"192.0.2.1","days":400}`), nil, 200, `"place":400`},
		{"subscriber for too long", request("POST", "/v1/subscriber", `{"address":"192.0.2.1","days":401}`), nil, 400, "1 to 400"},
		{"subscriber, the future", request("POST", "/v1/subscriber", `{"address":"192.0.2.1","days":-1}`), nil, 400, "1 to 400"},
		{"subscriber, mapped", request("POST", "/v1/subscriber", `{"address":"::ffff:192.0.2.1"}`), nil, 200, `"source":"192.0.2.1"`},
		{"subscriber, a zone", request("POST", "/v1/subscriber", `{"address":"fe80::1%eth0"}`), nil, 200, `"source":"fe80::1"`},
		{"subscriber nobody", request("POST", "/v1/subscriber", ""), nil, 400, "no address"},
		{"subscriber, unknown field", request("POST", "/v1/subscriber", `{"addr":"192.0.2.1"}`), nil, 400, "addr"},
		{
			"report", request("POST", "/v1/report", `{"from":"2026-11-01T00:30:00+09:00","to":"2026-11-02T00:00:01+09:00"}`), nil, 200,
			`{"from":"2026-10-31T15:00:00Z","to":"2026-11-01T16:00:00Z"`,
		},
		{"report to a whole hour", request("POST", "/v1/report", `{"to":"2026-11-09T00:00:00Z"}`), nil, 200, `{"from":"2026-11-02T00:00:00Z","to":"2026-11-09T00:00:00Z"`},
		{"report, usually", request("POST", "/v1/report", ""), nil, 200, `"evidence":[],"attempts":{}`},
		{"report of nothing", request("POST", "/v1/report", `{"from":"2026-11-02T00:00:00Z","to":"2026-11-02T00:00:00Z"}`), nil, 400, "from is not before to"},
		{"report backwards", request("POST", "/v1/report", `{"from":"2026-11-02T00:00:00Z","to":"2026-11-01T00:00:00Z"}`), nil, 400, "from is not before to"},
		{"report of an age", request("POST", "/v1/report", `{"from":"1926-11-02T00:00:00Z","to":"2026-11-01T00:00:00Z"}`), nil, 400, "3650 days"},
		{"report, unknown field", request("POST", "/v1/report", `{"last":"7d"}`), nil, 400, "last"},
		{"diag", request("POST", "/v1/diag", ""), nil, 200, "PK, with subscribers: false"},
		{"diag with subscribers", request("POST", "/v1/diag", `{"subscribers":true}`), nil, 200, "PK, with subscribers: true"},
		{"diag, unknown field", request("POST", "/v1/diag", `{"redact":false}`), nil, 400, "redact"},
		{"yield failed", request("POST", "/v1/yield", ""), errors.New("it broke"), 500, ""},
		{"yield not in time", request("POST", "/v1/yield", ""), context.DeadlineExceeded, 504, ""},
		{"yield, ending", request("POST", "/v1/yield", ""), context.Canceled, 503, ""},
		{"unknown field", request("POST", "/v1/reload", `{"forced":true}`), nil, 400, `forced`},
		{"wrong type", request("POST", "/v1/reload", `{"force":1}`), nil, 400, "not understood"},
		{"not an object", request("POST", "/v1/reload", `null`), nil, 400, "not a JSON object"},
		{"cut short", request("POST", "/v1/reload", `{"force":`), nil, 400, "not understood"},
		{"two objects", request("POST", "/v1/reload", `{}{}`), nil, 400, "something follows"},
		{"something behind it", request("POST", "/v1/reload", `{} x`), nil, 400, "something follows"},
		{"yield takes nothing", request("POST", "/v1/yield", `{"force":true}`), nil, 400, "force"},
		{"bad chunks", "POST /v1/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", nil, 400, "ended early"},
		{"large body", request("POST", "/v1/reload", big), nil, 413, "65536 octets"},
		{"large body, in chunks", "POST /v1/yield HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10002\r\n" + big + "\r\n0\r\n\r\n", nil, 413, ""},
		{"wrong method", request("POST", "/v1/status", ""), nil, 405, "takes GET only"},
		{"HEAD", request("HEAD", "/v1/reload", ""), nil, 405, ""},
		{"reload by GET", request("GET", "/v1/reload", ""), nil, 405, "takes POST only"},
		{"yield by GET", request("GET", "/v1/yield", ""), nil, 405, ""},
		{"description by PUT", request("PUT", "/v1/openapi.yaml", ""), nil, 405, ""},
		{"no such path", request("GET", "/v2/status", ""), nil, 404, "openapi.yaml says"},
		{"a path that only looks alike", request("GET", "/v1//status", ""), nil, 404, ""},
		{"root", request("GET", "/", ""), nil, 404, ""},
		{"options of all", request("OPTIONS", "*", ""), nil, 404, ""},
	}, askedOfEach(big)...) {
		fault = tt.fault
		resp, body := raw(t, path, tt.request)
		if resp.StatusCode != tt.code || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %s; want %d and %q", tt.name, resp.StatusCode, body, tt.code, tt.says)
		}
		if strings.Contains(body, "null") && tt.code == 200 && !strings.HasPrefix(body, "#") {
			t.Errorf("%s: null in %s", tt.name, body)
		}
		target, _, _ := strings.Cut(strings.Fields(tt.request)[1], "?")
		note(seen, target, resp.StatusCode)
		if allow := resp.Header.Get("Allow"); (allow != "") != (tt.code == 405) {
			t.Errorf("%s: Allow is %q", tt.name, allow)
		}
		if want := contentType(target, tt.code); resp.Header.Get("Content-Type") != want {
			t.Errorf("%s: %s, want %s", tt.name, resp.Header.Get("Content-Type"), want)
		}
		if tt.code != 200 && !strings.HasPrefix(tt.request, "HEAD") {
			var failure Error
			if err := json.Unmarshal([]byte(body), &failure); err != nil || failure.Message == "" || failure.Problems == nil {
				t.Errorf("%s: %v: %s", tt.name, err, body)
			}
		}
	}
	crash = true
	resp, _ := raw(t, path, request("GET", "/v1/status", ""))
	note(seen, "/v1/status", resp.StatusCode)

	for target, codes := range documentedCodes(t) {
		for code := range codes {
			// The others need another user, or a fault in the description itself.
			if !seen[target][code] && code != 403 && (target != "/v1/openapi.yaml" || code != 500) {
				t.Errorf("%s: %d is documented and was not seen", target, code)
			}
		}
		for code := range seen[target] {
			if !codes[code] {
				t.Errorf("%s: %d was seen and is not documented", target, code)
			}
		}
	}
}

func note(seen map[string]map[int]bool, path string, code int) {
	if seen[path] == nil {
		seen[path] = map[int]bool{}
	}
	seen[path][code] = true
}

// Lists are lists wherever they are, and what a gateway shares with others stays as it
// is.
func TestFill(t *testing.T) {
	t.Parallel()
	active := []ActiveStatus{{Name: "trial"}, {Name: "everybody", Pools: []string{"residential"}}}
	next := &NextStatus{}
	full := Status{
		Policy: PolicyStatus{Active: active, Next: next},
		Reload: &ReloadStatus{Time: time.Unix(0, 0)}, Journal: &JournalStatus{Path: "/j"},
	}
	fill(reflect.ValueOf(&full).Elem())
	text, err := json.Marshal(&full)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
	for _, says := range []string{
		`{"name":"trial","mode":"","pools":[],"destinations":[]`, `"pools":["residential"],"destinations":[]`,
		`"what":[]`, `"leases":[]`, `"exemptions":{"active":0,"expiring":0,"expired":0}`, `"path":"/j"`,
	} {
		if !strings.Contains(string(text), says) {
			t.Errorf("%s does not say %s", text, says)
		}
	}
	if active[0].Pools != nil || active[1].Destinations != nil || next.What != nil {
		t.Errorf("the gateway's own was written to: %+v, %+v", active, next)
	}
}

// What is no HTTP at all is answered by net/http, in plain text.
func TestGarbage(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	start(t, quiet(path), &fake{})
	for name, tt := range map[string]struct {
		request string
		code    int
	}{
		"bytes":        {"\x00\x01\x02\xff\r\n\r\n", 400},
		"no host":      {"GET /v1/status HTTP/1.1\r\n\r\n", 400},
		"two lengths":  {"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400},
		"large header": {"GET /v1/status HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431},
		"version":      {"GET /v1/status HTTP/3.0\r\nHost: a\r\n\r\n", 505},
	} {
		if resp, body := raw(t, path, tt.request); resp.StatusCode != tt.code {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, tt.code)
		}
	}
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// description is openapi.yaml as far as it is compared.
type description struct {
	Paths map[string]map[string]struct {
		Responses map[string]yaml.Node
	}
	Components struct {
		Schemas map[string]*schema
	}
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Format     string
	Enum       []string
	Required   []string
	Properties map[string]*schema
	Items      *schema
	MinItems   int `yaml:"minItems"`
	MaxItems   int `yaml:"maxItems"`
	// Additional is a schema, or false.
	Additional yaml.Node `yaml:"additionalProperties"`
}

func describe(t *testing.T) *description {
	t.Helper()
	var d description
	if err := yaml.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func documentedCodes(t *testing.T) map[string]map[int]bool {
	t.Helper()
	out := map[string]map[int]bool{}
	for path, methods := range describe(t).Paths {
		for method, operation := range methods {
			route, known := find(path)
			if !known || !strings.EqualFold(route.method, method) {
				t.Errorf("%s %s is documented, and not there", method, path)
			}
			for text := range operation.Responses {
				code, err := strconv.Atoi(text)
				if err != nil {
					t.Error(err)
				}
				note(out, path, code)
			}
		}
	}
	if len(out) != 12 {
		t.Errorf("%d paths", len(out))
	}
	return out
}

// Every field of every type is documented with its type, and nothing else is.
func TestDescription(t *testing.T) {
	t.Parallel()
	d := describe(t)
	c := &comparison{t: t, schemas: d.Components.Schemas, seen: map[string]bool{"YieldOptions": true, "Counts": true, "Outcome": true}}
	for _, v := range []any{
		Status{}, ReloadOptions{}, ReloadResult{}, ExplainOptions{}, Explanation{}, LendOptions{}, LendResult{}, Handover{}, Error{},
		TopOptions{}, Top{}, TailOptions{}, TailEvent{}, SubscriberOptions{}, Subscriber{}, ReportOptions{}, report.Report{}, DiagOptions{}, Calendar{},
	} {
		c.named(reflect.TypeOf(v))
	}
	for name := range d.Components.Schemas {
		if !c.seen[name] {
			t.Errorf("the schema %s describes nothing", name)
		}
	}
	var outcomes []string
	for o := range census.NumOutcomes {
		outcomes = append(outcomes, o.String())
	}
	if diff := cmp.Diff(outcomes, d.Components.Schemas["Outcome"].Enum); diff != "" {
		t.Errorf("outcomes, of which a record's attempts have the order (-want +got):\n%s", diff)
	}
	for _, request := range []string{
		"ReloadOptions", "ExplainOptions", "LendOptions", "YieldOptions", "TopOptions", "TailOptions", "SubscriberOptions", "ReportOptions", "DiagOptions",
	} {
		if d.Components.Schemas[request].Additional.Value != "false" {
			t.Errorf("%s: unknown fields are refused, and it does not say so", request)
		}
	}
}

type comparison struct {
	t       *testing.T
	schemas map[string]*schema
	seen    map[string]bool
}

// named compares a struct with the schema of its name.
func (c *comparison) named(typ reflect.Type) {
	name := typ.Name()
	s := c.schemas[name]
	if c.seen[name] || s == nil {
		if s == nil {
			c.t.Errorf("%s is not documented", name)
		}
		return
	}
	c.seen[name] = true
	required := map[string]bool{}
	for _, field := range s.Required {
		required[field] = true
	}
	fields := map[string]bool{}
	for _, f := range reflect.VisibleFields(typ) { // those of embedded structs too
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" || f.Anonymous {
			continue
		}
		fields[tag] = true
		property := s.Properties[tag]
		if property == nil {
			c.t.Errorf("%s.%s is not documented", name, tag)
			continue
		}
		if must := options == "" && name != "ReloadOptions" && name != "DiagOptions"; must != required[tag] {
			c.t.Errorf("%s.%s: always there %t, required %t", name, tag, must, required[tag])
		}
		c.same(name+"."+tag, f.Type, property)
	}
	for property := range s.Properties {
		if !fields[property] {
			c.t.Errorf("%s.%s is documented, and not there", name, property)
		}
	}
}

// same compares a field's type with its schema.
func (c *comparison) same(where string, typ reflect.Type, s *schema) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := schema{}
	switch {
	case typ == reflect.TypeFor[time.Time]():
		want.Type, want.Format = "string", "date-time"
	case typ == reflect.TypeFor[netip.Addr](), typ == reflect.TypeFor[netip.AddrPort](), typ == reflect.TypeFor[netip.Prefix]():
		want.Type = "string"
	case typ == reflect.TypeFor[State]():
		want.Type, want.Enum = "string", []string{string(StateOK), string(StateDegraded), string(StateStarting), string(StateStopping)}
	case typ == reflect.TypeFor[Role]():
		want.Type, want.Enum = "string", []string{string(RoleSubscriber), string(RoleUpstream)}
	case typ == reflect.TypeFor[report.Kind]():
		want.Type, want.Enum = "string", []string{string(report.Mailer), string(report.Infected), string(report.Unclear)}
	case typ == reflect.TypeFor[census.Outcome]():
		want.Ref = "#/components/schemas/Outcome"
	case typ == reflect.TypeFor[map[string]map[string]uint64]():
		want.Ref = "#/components/schemas/Counts"
	case typ.Kind() == reflect.Struct:
		want.Ref = "#/components/schemas/" + typ.Name()
		c.named(typ)
	case typ.Kind() == reflect.Map:
		want.Type = "object"
		var values schema
		if err := s.Additional.Decode(&values); err != nil {
			c.t.Errorf("%s: an object of what? %v", where, err)
		}
		c.same(where+"{}", typ.Elem(), &values)
	case typ.Kind() == reflect.Slice, typ.Kind() == reflect.Array:
		want.Type = "array"
		if typ.Kind() == reflect.Array && (s.MinItems != typ.Len() || s.MaxItems != typ.Len()) {
			c.t.Errorf("%s: %d to %d items, and there are %d", where, s.MinItems, s.MaxItems, typ.Len())
		}
		if s.Items == nil {
			c.t.Errorf("%s: an array of what?", where)
			return
		}
		c.same(where+"[]", typ.Elem(), s.Items)
	default:
		want.Type = map[reflect.Kind]string{
			reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint64: "integer",
			reflect.Uint16: "integer", reflect.Float64: "number",
		}[typ.Kind()]
	}
	if s.Ref != want.Ref || s.Type != want.Type || s.Format != want.Format || !reflect.DeepEqual(s.Enum, want.Enum) {
		c.t.Errorf("%s is a %s, documented as %s%s %s %v", where, typ, s.Ref, s.Type, s.Format, s.Enum)
	}
}
