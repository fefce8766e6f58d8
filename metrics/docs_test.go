// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

const docsFile = "../docs/metrics.md"

// The table in docs/metrics.md has every metric, with the words that Prometheus
// shows too.
func TestDocs(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- metrics -->\n", "<!-- /metrics -->\n"
	text := string(readFile(t, docsFile))
	before, rest, ok := strings.Cut(text, begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no marks for the table", docsFile)
	}
	want := table()
	if *update {
		if err := os.WriteFile(docsFile, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got (go test ./metrics -update writes it):\n%s", docsFile, diff)
	}
	if alerts := fmt.Sprintf("| %d alerts.", len(readAlerts(t))); !strings.Contains(before, alerts) {
		t.Errorf("%s does not say %q", docsFile, alerts)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| metric | labels | |\n|---|---|---|\n")
	for _, f := range families() {
		labels := ""
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		kind := "gauge"
		if f.kind == prometheus.CounterValue {
			kind = "counter"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s (%s) |\n", f.name, labels, f.help, kind)
	}
	return b.String()
}
