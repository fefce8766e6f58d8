// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"op25b/control"
)

var update = flag.Bool("update", false, "write testdata and the table in docs/metrics.md")

// exposition is what Prometheus reads of a status, without Go's and the process'.
func exposition(t testing.TB, s control.Status) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewCollector(func() control.Status { return s })); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// series returns the lines of an exposition that have values.
func series(text string) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool { return strings.HasPrefix(line, "#") })
}

// Names, labels, help and values: whoever changes them sees what dashboards lose.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]control.Status{"full": full(), "empty": {}} {
		got := strings.ReplaceAll(exposition(t, s), fmt.Sprintf("goversion=%q", goVersion(t)), `goversion="go"`)
		file := filepath.Join("testdata", name+".prom")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: -want +got (go test ./metrics -update writes it):\n%s", file, diff)
		}
	}
}

// goVersion is what the collector says of the toolchain.
func goVersion(t testing.TB) string {
	t.Helper()
	var version string
	gatewayFamilies()[0].collect(&control.Status{}, func(_ float64, labels ...string) { version = labels[2] })
	if !strings.HasPrefix(version, "go") {
		t.Fatalf("goversion %q", version)
	}
	return version
}

// What is zero in the beginning is there, so that its first increase is one.
func TestWellKnownStartAtZero(t *testing.T) {
	t.Parallel()
	lines := series(exposition(t, control.Status{}))
	for _, want := range []string{
		`op25b_attempts_total{outcome="refused"} 0`,
		`op25b_verdicts_total{action="reset",direction="outbound",reason="blocked_port"} 0`,
		`op25b_drops_total{direction="inbound",reason="inbound_source_port"} 0`,
		`op25b_packets_total{direction="outbound",fate="forwarded"} 0`,
		`op25b_monitored_reasons_total{direction="outbound",reason="blocked_port"} 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	problems, err := promlint.New(strings.NewReader(exposition(t, full()))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	if problems, err := testutil.CollectAndLint(NewCollector(full)); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

func TestPromtoolCheck(t *testing.T) {
	t.Parallel()
	s := serve(t, full)
	cmd := exec.Command(tool(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(s.get(t, "/metrics").body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// hidden are the fields of a status that no metric has, and why.
func hidden() map[string]string {
	return map[string]string{
		"PID":                        "a number that measures nothing; process_start_time_seconds tells restarts",
		"Problems.What":              "a sentence, which may have addresses; /readyz has its first line",
		"Problems.Effect":            "a sentence",
		"Problems.Fix":               "a sentence",
		"Policy.File":                "a path",
		"Policy.Active.Pools":        "lists, which would multiply series",
		"Policy.Active.Destinations": "lists, which would multiply series",
		"Policy.Next.What":           "a sentence",
		"Reload.Error":               "a sentence, which may have addresses",
		"Panics.Time":                "op25b_panics_total grows at that time",
		"Panics.Direction":           "as the packet",
		"Panics.Reason":              "a sentence, which may have addresses",
		"Panics.Packet":              "a subscriber's packet",
		"Journal.Path":               "a path",
	}
}

// Every field is seen: another value of it makes another exposition. A field that
// somebody adds has to be shown, or said to be hidden.
func TestEveryFieldShows(t *testing.T) {
	t.Parallel()
	before := exposition(t, full())
	left := hidden()
	seen := map[string]bool{}
	var s control.Status
	for i := 0; ; i++ {
		s = full()
		path, more := changeField(reflect.ValueOf(&s).Elem(), "", &i)
		if !more {
			break
		}
		_, isHidden := hidden()[path]
		delete(left, path)
		shows := exposition(t, s) != before
		if shows == isHidden {
			t.Errorf("%s: shows: %v, hidden: %v", path, shows, isHidden)
		}
		seen[path] = true
	}
	if len(left) > 0 || len(seen) < 80 {
		t.Errorf("not met: %v; met: %d", left, len(seen))
	}
}

// changeField changes the n-th value in v, counting down n in place, and returns
// the path of its field; false when there are fewer.
func changeField(v reflect.Value, path string, n *int) (string, bool) {
	c := &changer{left: *n}
	c.walk(v, path)
	return c.path, c.done
}

type changer struct {
	left int
	path string
	done bool
}

func (c *changer) walk(v reflect.Value, path string) {
	if c.done {
		return
	}
	switch v.Kind() { //nolint:exhaustive // what holds others; the rest is changed below
	case reflect.Struct:
		if v.Type().PkgPath() != "time" {
			for i := range v.NumField() {
				c.walk(v.Field(i), strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."))
			}
			return
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.walk(v.Index(i), path)
		}
		return
	case reflect.Pointer:
		if !v.IsNil() {
			c.walk(v.Elem(), path)
		}
		return
	case reflect.Map:
		c.walkMap(v, path)
		return
	}
	if c.left > 0 {
		c.left--
		return
	}
	c.path, c.done = path, true
	change(v)
}

func (c *changer) walkMap(v reflect.Value, path string) {
	for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.Set(v.MapIndex(key))
		c.walk(entry, path)
		v.SetMapIndex(key, entry)
	}
}

// change gives a value another one of its kind.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		if v.String() == "" {
			v.SetString("something")
		} else {
			v.SetString("")
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 10007)
	case reflect.Uint16, reflect.Uint64:
		v.SetUint(v.Uint() + 10007)
	case reflect.Float64:
		v.SetFloat(v.Float() / 3)
	default: // a time
		v.Set(reflect.ValueOf(at("2001-02-03 04:05:06")))
	}
}

// Every number of the full status is somewhere as it is: none is exchanged for
// another.
func TestEveryNumberIsThere(t *testing.T) {
	t.Parallel()
	values := map[string]bool{}
	for _, line := range series(exposition(t, full())) {
		values[line[strings.LastIndex(line, " ")+1:]] = true
	}
	for prime := 101; prime <= 439; prime++ {
		if !isPrime(prime) || prime == 107 || prime == 109 { // 107 is what 193 of 300 leave
			continue
		}
		if !values[fmt.Sprint(prime)] {
			t.Errorf("no %d", prime)
		}
	}
	if !values["107"] {
		t.Error("no static prefixes")
	}
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// No label has an address, although the status is full of them.
func TestNoAddressInLabels(t *testing.T) {
	t.Parallel()
	for _, value := range labelValues(t, exposition(t, full())) {
		if _, err := netip.ParseAddr(value); err == nil || value != masked(value) || strings.Contains(value, "/") {
			t.Errorf("label %q", value)
		}
	}
	for _, secret := range []string{"192.0.2.77", "198.51.100.9", "203.0.113.7", "c6336409", "exempt.yaml"} {
		if strings.Contains(exposition(t, full()), secret) {
			t.Errorf("%s shows", secret)
		}
	}
}

func labelValues(t testing.TB, text string) []string {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, text)
	}
	var values []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
		}
	}
	return values
}

// Whatever names say, what comes out can be read, has no twins and is no larger.
func FuzzNames(f *testing.F) {
	f.Add("mobile", "everybody", "dhcp", "read EIO")
	f.Add("a\"} 1\nop25b_up 7", "\xff\xfe", "\x00", "\\")
	f.Add("twin", "twin", "", "192.0.2.1")
	f.Add(strings.Repeat("ネ", 65), strings.Repeat("ネ", 66), "}", "\r\n# HELP")
	f.Fuzz(func(t *testing.T, phase, other, source, class string) {
		s := full()
		s.Policy.Active[0].Name, s.Policy.Active[1].Name = phase, other
		s.Leases[0].Name, s.Errors[class] = source, 1
		s.Verdicts["outbound"][class] = map[string]uint64{class: 1}
		s.Interfaces[0].Offload, s.Version = phase, class
		text := exposition(t, s)
		for _, value := range labelValues(t, text) {
			if len([]rune(value)) > longest {
				t.Errorf("a label of %d runes", len([]rune(value)))
			}
		}
		if got, most := len(series(text)), len(series(exposition(t, full())))+2; got > most {
			t.Errorf("%d series instead of %d", got, most)
		}
	})
}

// Two of the same name do not take the rest with them.
func TestTwins(t *testing.T) {
	t.Parallel()
	s := full()
	s.Policy.Active[1].Name = s.Policy.Active[0].Name
	s.Leases[1].Name = s.Leases[0].Name
	lines := series(exposition(t, s))
	if !slices.Contains(lines, `op25b_phase_share_ratio{phase="mobile"} 0.375`) || !slices.Contains(lines, `op25b_leases{source="dhcp"} 401`) {
		t.Errorf("the first of two does not stand:\n%s", strings.Join(lines, "\n"))
	}
}

// BenchmarkCollect is what a scrape costs without HTTP, for a gateway with eight
// workers.
func BenchmarkCollect(b *testing.B) {
	s := full()
	for i := range 8 {
		s.Workers = append(s.Workers, control.WorkerStatus{Direction: "outbound", Queue: i + 2})
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(func() control.Status { return s }))
	b.ReportAllocs()
	for b.Loop() {
		families, err := registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(io.Discard, f); err != nil {
				b.Fatal(err)
			}
		}
	}
}
