// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"op25b/report/population"
)

// findings are counted over populations that weights were not computed from.
type findings struct {
	// of counts them by kind, by what is kept and known, and by what was found.
	of map[population.Kind]map[string]map[Kind]int
	// said and right are claims by confidence.
	said, right [len(confidences)]int
}

// confidences are the lower bounds of what claims are sorted into.
var confidences = [...]float64{0.8, 0.9, 0.95}

// strangers is a way to judge like those of privacy: with destinations in full, by a judge
// who knows no providers.
const strangers = "full, no provider known"

func modes() []string {
	return []string{string(population.Full), string(population.Truncated), string(population.Absent), strangers}
}

func judgeAll(t *testing.T) *findings {
	t.Helper()
	c := &findings{of: map[population.Kind]map[string]map[Kind]int{}}
	for _, k := range population.Kinds() {
		c.of[k] = map[string]map[Kind]int{}
		for _, m := range modes() {
			c.of[k][m] = map[Kind]int{}
		}
	}
	zone := berlin(t)
	for _, trial := range trials(t, 1001, 1020, 6) {
		f := (&Judge{Known: population.Known, Location: zone}).Find(trial.records)
		c.of[trial.kind][string(trial.privacy)][f.Kind]++
		c.calibrate(trial.kind, &f)
		if trial.privacy == population.Full {
			f := (&Judge{Location: zone}).Find(trial.records)
			c.of[trial.kind][strangers][f.Kind]++
		}
	}
	return c
}

// calibrate counts a claim by its confidence.
func (c *findings) calibrate(truth population.Kind, f *Finding) {
	if f.Kind == Unclear || truth == population.Mimic {
		return
	}
	at := len(confidences) - 1
	for f.Confidence < confidences[at] {
		at--
	}
	c.said[at]++
	if right(truth, f.Kind) {
		c.right[at]++
	}
}

func right(truth population.Kind, found Kind) bool {
	return truth.Truth() == population.IsMailer && found == Mailer ||
		truth.Truth() == population.IsInfected && found == Infected
}

// rates are the precision and recall of a kind of finding, and how many are left unclear.
func (c *findings) rates(mode string, kind Kind) (precision, recall, unclear float64) {
	var said, hit, all, open float64
	for truth, of := range c.of {
		if truth == population.Mimic {
			continue
		}
		n := of[mode]
		said += float64(n[kind])
		if right(truth, kind) {
			hit += float64(n[kind])
			all += float64(n[Mailer] + n[Infected] + n[Unclear])
			open += float64(n[Unclear])
		}
	}
	return hit / said, hit / all, open / all
}

// TestFindings holds what is found against what is true. The floors are somewhat below
// what is reached, so that another population of the same kind keeps them.
func TestFindings(t *testing.T) {
	t.Parallel()
	c := judgeAll(t)
	figures := c.table()
	t.Log("\n" + figures)
	floors := []struct {
		mode              string
		kind              Kind
		precision, recall float64
	}{
		{string(population.Full), Infected, 0.97, 0.90},
		{string(population.Full), Mailer, 0.96, 0.78},
		{string(population.Truncated), Infected, 0.97, 0.90},
		{string(population.Truncated), Mailer, 0.96, 0.78},
		{string(population.Absent), Infected, 0.90, 0.88},
		{string(population.Absent), Mailer, 0.88, 0.75},
		{strangers, Infected, 0.88, 0.85},
		{strangers, Mailer, 0.85, 0.70},
	}
	for _, f := range floors {
		precision, recall, _ := c.rates(f.mode, f.kind)
		if precision < f.precision || recall < f.recall {
			t.Errorf("%s, destinations %s: precision %.3f, recall %.3f, want %.2f and %.2f", f.kind, f.mode, precision, recall, f.precision, f.recall)
		}
	}
	for i, said := range c.said {
		if share := float64(c.right[i]) / float64(said); said > 100 && share < confidences[i]-0.03 {
			t.Errorf("of findings with a confidence from %.2f on, %.3f are right", confidences[i], share)
		}
	}
	documented(t, "figures", figures)
}

// table is what docs/findings.md shows.
func (c *findings) table() string {
	var b strings.Builder
	b.WriteString("| destinations kept | infected: precision | recall | unclear | mailer: precision | recall | unclear |\n|---|---|---|---|---|---|---|\n")
	for _, m := range modes() {
		fmt.Fprintf(&b, "| %s", m)
		for _, k := range []Kind{Infected, Mailer} {
			precision, recall, unclear := c.rates(m, k)
			fmt.Fprintf(&b, " | %.3f | %.3f | %.3f", precision, recall, unclear)
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n| of 100, destinations kept in full | found infected | mailer | unclear |\n|---|---|---|---|\n")
	for _, k := range population.Kinds() {
		n := c.of[k][string(population.Full)]
		all := float64(n[Mailer]+n[Infected]+n[Unclear]) / 100
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f |\n", k, float64(n[Infected])/all, float64(n[Mailer])/all, float64(n[Unclear])/all)
	}
	b.WriteString("\n| confidence | findings | of them right |\n|---|---|---|\n")
	for i, from := range confidences {
		to := mostConfident
		if i+1 < len(confidences) {
			to = confidences[i+1] - 0.01
		}
		fmt.Fprintf(&b, "| %.2f to %.2f | %d | %.3f |\n", from, to, c.said[i], float64(c.right[i])/float64(c.said[i]))
	}
	return b.String()
}

// TestWeightsDocumented keeps the table of features in the documentation.
func TestWeightsDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| feature | says, for example | value: weight |\n|---|---|---|\n")
	for _, f := range features() {
		var points []string
		for _, p := range f.points {
			points = append(points, fmt.Sprintf("%g: %+.1f", p.value, p.weight))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, f.text(f.points[len(f.points)/2].value), strings.Join(points, ", "))
	}
	documented(t, "weights", b.String())
}

// documented compares a part of docs/findings.md, between two marks, with what it should
// be. With -update it writes it there.
func documented(t *testing.T, part, want string) {
	t.Helper()
	const page = "../docs/findings.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+part+": written by the tests of report/ -->\n", "<!-- end of "+part+" -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no marks for %s", page, part)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s are others (-want +got); go test ./report -update writes them:\n%s", page, part, diff)
	}
}

// TestSuspects: those who pass replies on are told from victims, and nobody else is named.
func TestSuspects(t *testing.T) {
	t.Parallel()
	var judge Judge
	got := map[population.Kind]map[string]int{}
	kinds := []population.Kind{population.Home, population.Office, population.Relay, population.Backscatter, population.Triangular}
	for seed := uint64(1001); seed <= 1010; seed++ {
		for _, s := range population.Make(population.Options{Seed: seed, Each: 10, Kinds: kinds, Location: berlin(t)}) {
			suspect, ok := judge.Suspect(s.Records)
			if got[s.Kind] == nil {
				got[s.Kind] = map[string]int{}
			}
			if ok {
				got[s.Kind][suspect.Kind]++
			}
		}
	}
	for kind, n := range got {
		switch kind {
		case population.Triangular:
			if n["triangular"] < 98 || n["backscatter"] > 0 {
				t.Errorf("of 100 triangular: %v", n)
			}
		case population.Backscatter:
			if n["backscatter"] < 95 || n["triangular"] > 0 {
				t.Errorf("of 100 victims of backscatter: %v", n)
			}
		default:
			if len(n) > 0 {
				t.Errorf("%s is suspected: %v", kind, n)
			}
		}
	}
}
