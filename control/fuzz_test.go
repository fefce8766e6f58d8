// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"op25b/door"
	"op25b/report"
)

// Whatever is asked, the answer is one of those documented for the path, a JSON
// document where it is no description, and the gateway changes, or tells who has an
// address, only on a body that says so and nothing else.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		request("GET", "/v1/status", ""), request("GET", "/v1/openapi.yaml", ""), request("POST", "/v1/reload", `{"force":true}`),
		request("POST", "/v1/reload", `{"force":false,"force":true}`), request("POST", "/v1/reload", `{"force":true}{}`),
		request("POST", "/v1/reload", `[]`), explain(`"192.0.2.1"`, `"192.0.2.25:25"`), explain(`"::ffff:192.0.2.1%a"`, `"[2001:db8::25%b]:0"`),
		request("POST", "/v1/lend", `{"to":"@s"}`), request("POST", "/v1/yield", `{}`), request("DELETE", "/v1/yield", ""),
		request("POST", "/v1/top", `{"most":-1}`), request("POST", "/v1/tail", `{"within":"::ffff:192.0.2.1/97"}`), request("POST", "/v1/diag", ""),
		request("POST", "/v1/subscriber", `{"address":"::ffff:192.0.2.1","days":401}`), request("GET", "/v1/calendar", ""),
		request("POST", "/v1/report", `{"from":"0001-01-01T00:00:00Z","to":"9999-12-31T23:59:59Z"}`),
		request("GET", "/v1/%73tatus", ""), request("GET", "http://op25b/v1/status", ""), request("OPTIONS", "*", ""),
		"POST /v1/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	known := map[int]bool{200: true, 400: true, 404: true, 405: true, 413: true}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		reloaded, explained, lent, yielded := false, false, false, false
		told := "" // the path of what tells about subscribers
		s := &Server{log: zap.NewNop(), socket: &door.Socket{}, gateway: &fake{
			reload: func(context.Context, ReloadOptions) (ReloadResult, error) {
				reloaded = true
				return ReloadResult{}, nil
			},
			explain: func(_ context.Context, opts ExplainOptions) (Explanation, error) {
				explained = true
				if a, d := opts.Source, opts.Destination.Addr(); !a.IsValid() || a.Is4() != d.Is4() || a.Is4In6() || d.Is4In6() || a.Zone()+d.Zone() != "" {
					t.Errorf("the gateway is asked about %s and %s", a, d)
				}
				return Explanation{}, nil
			},
			lend:  func(context.Context, string) (LendResult, error) { lent = true; return LendResult{}, nil },
			yield: func(context.Context, Peer) (Handover, error) { yielded = true; return Handover{}, nil },
			top: func(_ context.Context, opts TopOptions) (Top, error) {
				told = "/v1/top"
				checkTop(t, &opts)
				return Top{}, nil
			},
			tail: func(_ context.Context, opts TailOptions, _ func(TailEvent) error) error {
				told = "/v1/tail"
				checkTail(t, &opts)
				return nil
			},
			subscriber: func(_ context.Context, opts SubscriberOptions) (Subscriber, error) {
				told = "/v1/subscriber"
				checkSubscriber(t, &opts)
				return Subscriber{}, nil
			},
			report: func(_ context.Context, opts ReportOptions) (report.Report, error) {
				told = "/v1/report"
				checkReport(t, &opts)
				return report.Report{}, nil
			},
			diag: func(context.Context, DiagOptions, io.Writer) error { told = "/v1/diag"; return nil },
		}}
		w := httptest.NewRecorder()
		s.handle(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, &Peer{})))
		if !known[w.Code] {
			t.Errorf("the answer is %d", w.Code)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %s", w.Body)
		}
		if change := reloaded || explained || lent || yielded || told != ""; change && (w.Code != 200 || r.Method != http.MethodPost) {
			t.Errorf("changed by %s, answered %d", r.Method, w.Code)
		}
		if reloaded && r.URL.Path != "/v1/reload" || explained && r.URL.Path != "/v1/explain" ||
			lent && r.URL.Path != "/v1/lend" || yielded && r.URL.Path != "/v1/yield" || told != "" && r.URL.Path != told {
			t.Errorf("changed by %s", r.URL)
		}
	})
}

// What is accepted is one JSON object, and means the same to a decoder that
// knows nothing of us.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"force":true}`, `{"force":false} `, `null`, `{"force":true}{}`, `{"Force":true}`, `{"force":null}`, `{"x":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var opts ReloadOptions
		if err := decode(bytes.Clone(body), &opts); err != nil {
			return
		}
		if len(bytes.TrimSpace(body)) == 0 {
			if opts.Force {
				t.Error("forced by nothing")
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(body, &plain); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		if opts.Force && len(plain) == 0 {
			t.Errorf("forced by %s", body)
		}
	})
}

func checkTop(t *testing.T, o *TopOptions) {
	t.Helper()
	if o.Most < 1 || o.Most > mostTop {
		t.Errorf("the gateway is asked for %+v", *o)
	}
}

func checkTail(t *testing.T, o *TailOptions) {
	t.Helper()
	if p := o.Within; p != p.Masked() || p.Addr().Is4In6() {
		t.Errorf("the gateway is asked for %+v", *o)
	}
}

func checkSubscriber(t *testing.T, o *SubscriberOptions) {
	t.Helper()
	if a := o.Address; !a.IsValid() || a.Is4In6() || a.Zone() != "" || o.Days < 1 || o.Days > mostDays {
		t.Errorf("the gateway is asked for %+v", *o)
	}
}

func checkReport(t *testing.T, o *ReportOptions) {
	t.Helper()
	for _, at := range []time.Time{o.From, o.To} {
		if at.Location() != time.UTC || !at.Equal(at.Truncate(time.Hour)) {
			t.Errorf("the gateway is asked for %s", at)
		}
	}
	if span := o.To.Sub(o.From); span <= 0 || span > mostSpan {
		t.Errorf("the gateway is asked for %+v", *o)
	}
}

// Whatever the options, what the gateway gets is in range, and what was in range
// already stays what it was.
func FuzzOptions(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"most":0}`, `{"most":1000}`, `{"within":"192.0.2.1/24"}`, `{"within":"::ffff:0:0/95"}`, `{"within":""}`, `{"within":"::/0"}`,
		`{"address":"fe80::1%eth0","days":400}`, `{"address":"192.0.2.1"}`, `{"from":"2026-11-01T00:30:00+09:00"}`, `{"to":"2026-11-01T00:00:00Z"}`,
		`{"from":"0000-01-01T00:00:00Z","to":"0000-01-01T00:00:01Z"}`, `{"to":"9999-12-31T23:59:59.999999999Z"}`, `{"from":null}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 11, 28, 3, 7, 54, 9, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		var top TopOptions
		if decode(body, &top) == nil && top.normalize() == nil {
			checkTop(t, &top)
			again(t, top, top.normalize, &top)
		}
		var tail TailOptions
		if decode(body, &tail) == nil && tail.normalize() == nil {
			checkTail(t, &tail)
			again(t, tail, tail.normalize, &tail)
		}
		var subscriber SubscriberOptions
		if decode(body, &subscriber) == nil && subscriber.normalize() == nil {
			checkSubscriber(t, &subscriber)
			again(t, subscriber, subscriber.normalize, &subscriber)
		}
		var asked ReportOptions
		if decode(body, &asked) != nil {
			return
		}
		hours := asked
		if hours.normalize(now) != nil || hours.To.IsZero() { // the one hour that says nothing
			return
		}
		checkReport(t, &hours)
		if !asked.From.IsZero() && hours.From.After(asked.From) || !asked.To.IsZero() && hours.To.Before(asked.To) {
			t.Errorf("%+v becomes %+v, which lacks a part", asked, hours)
		}
		again(t, hours, func() error { return hours.normalize(now) }, &hours)
	})
}

// again normalizes what is normal.
func again[T comparable](t *testing.T, before T, normalize func() error, after *T) {
	t.Helper()
	if err := normalize(); err != nil || *after != before {
		t.Errorf("%+v becomes %+v, %v", before, *after, err)
	}
}
