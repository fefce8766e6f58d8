// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"
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
		s := &Server{log: zap.NewNop(), socket: &socket{path: "/s"}, gateway: &fake{
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
		}}
		w := httptest.NewRecorder()
		s.handle(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, &Peer{})))
		if !known[w.Code] {
			t.Errorf("the answer is %d", w.Code)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %s", w.Body)
		}
		if change := reloaded || explained || lent || yielded; change && (w.Code != 200 || r.Method != http.MethodPost) {
			t.Errorf("changed by %s, answered %d", r.Method, w.Code)
		}
		if reloaded && r.URL.Path != "/v1/reload" || explained && r.URL.Path != "/v1/explain" ||
			lent && r.URL.Path != "/v1/lend" || yielded && r.URL.Path != "/v1/yield" {
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
