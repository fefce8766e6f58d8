// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func seeds(f *testing.F) {
	f.Helper()
	const one = "{prefix: 192.0.2.1, reason: a, until: 2027-01-01T00:00:00Z}"
	for _, text := range []string{
		three, strings.ReplaceAll(three, "\n", "\r\n"), "", "# none", "exemptions: []", "exemptions:\n", "{}", "---\n",
		"exemptions: [" + one + "]", "exemptions: [\n  " + one + ", # a\n]\n", "exemptions:\n- " + one, "{exemptions: [" + one + "]}",
		"? exemptions\n: - prefix: 192.0.2.1\n    \"until\": 2027-01-01\n     00:00 Asia/Tokyo\n    reason: 'it''s'", "exemptions: &a [*a]\n",
		"exemptions:\n- prefix: 192.0.2.1\n  until: 2027-01-01T00:00:00Z\n  reason: >2-\n    # a\n    b\n # c\n", "\ufeffexemptions: [ # \n]\n...\n",
	} {
		f.Add([]byte(text))
	}
}

// FuzzLoad feeds arbitrary files. Either what comes out is right, or there are
// problems that each say where, what and how to fix it, on one line.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		given := slices.Clone(data)
		d := parse("fuzz.yaml", data, map[netip.Prefix]Exemption{})
		if !bytes.Equal(given, data) {
			t.Error("input changed")
		}
		for _, p := range d.problems {
			if p.Line == 0 || p.What == "" || p.Fix == "" || strings.ContainsAny(p.Error(), "\r\n") {
				t.Errorf("says too little, or too much: %q", p.Error())
			}
		}
		for _, e := range d.entries {
			if err := e.Check(); err != nil {
				t.Errorf("%+v: %v", e.Exemption, err)
			}
		}
	})
}

// FuzzEdit edits files that are right. After each edit the list is the one that was
// wanted, and every comment is still there; what is refused is known to be strange.
func FuzzEdit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := parse("fuzz.yaml", data, map[netip.Prefix]Exemption{})
		if len(d.problems) > 0 || d.find(newcomer().Prefix) >= 0 {
			return
		}
		old := d.exemptions()
		check := func(name string, e edit, want []Exemption) []byte {
			t.Helper()
			text, err := e.of("fuzz.yaml", data)
			if err != nil {
				if !strange(string(data)) {
					t.Errorf("%s: %v, of:\n%s", name, err, data)
				}
				return nil
			}
			got := parse("fuzz.yaml", text, map[netip.Prefix]Exemption{})
			if len(got.problems) > 0 || !slices.EqualFunc(got.exemptions(), want, sameRecord) {
				t.Errorf("%s: %v, %v, of:\n%s", name, got.problems, got.exemptions(), data)
			}
			return text
		}
		added := check("add", adding(newcomer()), append(slices.Clone(old), newcomerWritten()))
		if got, want := remarks(added), remarks(data); added != nil && got != want {
			t.Errorf("remarks are %q, were %q, of:\n%s", got, want, data)
		}
		for i, e := range old {
			check("remove", removing(e.Prefix, new(Exemption)), slices.Delete(slices.Clone(old), i, i+1))
			e.Until = e.Until.Add(-time.Hour).Truncate(time.Second)
			if e.Check() != nil {
				return // before the year 0
			}
			check("expire", expiring(e.Prefix, e.Until, new(Exemption)), slices.Replace(slices.Clone(old), i, i+1, e))
		}
	})
}

func newcomerWritten() Exemption {
	e := newcomer()
	e.Until = e.Until.Truncate(time.Second)
	return e
}

// remarks returns what looks like a comment, wherever it is.
func remarks(text []byte) string {
	return string(bytes.Join(regexp.MustCompile(`#[^\r\n]*`).FindAll(text, -1), []byte("\n")))
}

// strange tells files that may be refused: with a directive, the end of a document,
// a tag that means nothing, or a key in two parts.
func strange(text string) bool {
	return strings.ContainsAny(text, "%!?") || strings.Contains(text, "...")
}
