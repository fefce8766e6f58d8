// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What operators take over for Prometheus and Grafana.
const (
	rulesFile     = "../dist/prometheus/op25b.rules.yml"
	scrapeFile    = "../dist/prometheus/scrape.yml"
	dashboardFile = "../dist/grafana/op25b.json"
)

func TestRules(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "op25b.rules.yml"},
		{"check", "config", "scrape.yml"},
		{"test", "rules", "op25b.rules.test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Dir(rulesFile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// alert is one of the rules.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t testing.TB) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string  `yaml:"name"`
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(readFile(t, rulesFile), &file); err != nil || len(file.Groups) != 1 {
		t.Fatalf("%s: %v, %d groups", rulesFile, err, len(file.Groups))
	}
	return file.Groups[0].Rules
}

// Every alert says what, what it does and what to type, and is fired by a test.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	tested := string(readFile(t, strings.Replace(rulesFile, ".rules.", ".rules.test.", 1)))
	for _, a := range readAlerts(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		for _, what := range []string{"summary", "effect", "runbook"} {
			if len(a.Annotations[what]) < len("no effect") {
				t.Errorf("%s: %s: %q", a.Alert, what, a.Annotations[what])
			}
		}
		if !strings.Contains(tested, a.Alert) {
			t.Errorf("%s: no test", a.Alert)
		}
	}
}

// dashboard is as much of Grafana's model as has to be right for an import.
type dashboard struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name, Type string
			Definition string
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []target `json:"list"`
	} `json:"annotations"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int      `json:"id"`
	Type, Title string   `json:",omitempty"`
	Description string   `json:"description"`
	GridPos     grid     `json:"gridPos"`
	Targets     []target `json:"targets"`
}

type grid struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

func (g grid) overlaps(h grid) bool {
	return g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H
}

type target struct {
	RefID      string            `json:"refId"`
	Expr       string            `json:"expr"`
	Datasource map[string]string `json:"datasource"`
}

func readDashboard(t testing.TB) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(readFile(t, dashboardFile), &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return d
}

func (d *dashboard) targets() []target {
	all := slices.Clone(d.Annotations.List)
	for _, p := range d.Panels {
		all = append(all, p.Targets...)
	}
	return all
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID != "op25b" || d.Title != "op25b" || d.SchemaVersion < 36 || len(d.Panels) < 20 {
		t.Errorf("%s %s %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	if v := d.Templating.List; len(v) != 2 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[1].Name != "instance" {
		t.Errorf("variables: %+v", v)
	}
	for _, target := range d.targets() {
		if target.Datasource["uid"] != "${datasource}" || target.Datasource["type"] != "prometheus" {
			t.Errorf("%q: datasource %v", target.Expr, target.Datasource)
		}
	}
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q lacks a description or what it draws", p.Title)
		}
		for _, other := range d.Panels[:i] {
			if p.GridPos.overlaps(other.GridPos) {
				t.Errorf("panels %q and %q overlap", p.Title, other.Title)
			}
		}
	}
}

// used finds names of metrics in expressions. Labels and functions are none: they
// lack a prefix.
var used = regexp.MustCompile(`\b(?:op25b|go|process|promhttp)_[a-z0-9_]+`)

// Rules and dashboard name only metrics that there are.
func TestNamesExist(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	exprs := []string{d.Templating.List[1].Definition}
	for _, target := range d.targets() {
		exprs = append(exprs, target.Expr)
	}
	for _, a := range readAlerts(t) {
		exprs = append(exprs, a.Expr)
	}
	text := serve(t, full).get(t, "/metrics").body
	for _, expr := range exprs {
		names := used.FindAllString(expr, -1)
		if len(names) == 0 && !strings.Contains(expr, `up{job="op25b"}`) {
			t.Errorf("%s: no metric of ours", expr)
		}
		for _, name := range names {
			if !strings.Contains(text, "\n# TYPE "+name+" ") {
				t.Errorf("%s: there is no %s", expr, name)
			}
		}
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
