// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"op25b/control"
)

// schemaVersion is that of the JSON documents: fields may be added under it.
const schemaVersion = 1

// answer is what /healthz and /readyz say, as JSON.
type answer struct {
	SchemaVersion int           `json:"schema_version"`
	OK            bool          `json:"ok"`
	State         control.State `json:"state"`
	// Why has one sentence for each thing that is not as it should be.
	Why []string `json:"why"`
}

const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>op25b</title></head>
<body>
<h1>op25b</h1>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/healthz">/healthz</a>: whether the gateway lives</li>
<li><a href="/readyz">/readyz</a>: what is wrong with it</li>
<li><a href="/readyz?traffic=only">/readyz?traffic=only</a>: whether packets flow</li>
</ul>
</body>
</html>
`

// handle answers one request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "nothing here can be changed: use GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/metrics":
		s.exposition.ServeHTTP(w, r)
	case "/healthz":
		status := s.status.get()
		say(w, r, "ok", &answer{State: status.State, Why: stuck(&status)})
	case "/readyz":
		status := s.status.get()
		trafficOnly := r.URL.Query().Get("traffic") == "only"
		say(w, r, "ready", &answer{State: status.State, Why: unready(&status, trafficOnly)})
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page)
	default:
		http.Error(w, "not here: see /metrics, /healthz and /readyz", http.StatusNotFound)
	}
}

// say writes good, or else why not: a line each, or JSON for those who ask for it.
func say(w http.ResponseWriter, r *http.Request, good string, a *answer) {
	code := http.StatusOK
	if len(a.Why) > 0 {
		code, good = http.StatusServiceUnavailable, strings.Join(a.Why, "\n")
	}
	w.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, good+"\n")
		return
	}
	a.SchemaVersion, a.OK = schemaVersion, len(a.Why) == 0
	if a.Why == nil {
		a.Why = []string{} // a list even when there is nothing in it
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(a) // the client has gone, if anything
}
