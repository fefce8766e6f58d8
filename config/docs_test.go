// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reference = "../docs/config.md"

// row is a line of the reference's tables.
type row struct {
	Key, Default, Values, Change string
}

func readReference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rows(t *testing.T, text string) []row {
	t.Helper()
	var out []row
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 8 {
			t.Fatalf("%s: a row of %d cells: %s", reference, len(cells)-2, line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, row{Key: strings.Trim(cells[1], "`"), Default: strings.Trim(cells[3], "`"), Values: cells[4], Change: cells[6]})
	}
	return out
}

// documented is what the struct has to say about its own keys, items of lists
// included.
func documented(group reflect.Type, path string, defaults reflect.Value) []row {
	var out []row
	for _, f := range fields(group) {
		at := join(path, f.name)
		if isGroup(f.typ) {
			out = append(out, documented(f.typ, at, defaults.Field(f.index))...)
			continue
		}
		r := row{Key: at, Default: written(defaults.Field(f.index)), Change: "restart"}
		if reloadable(at) {
			r.Change = "reload"
		}
		out = append(out, r)
		if isList(f.typ) && isGroup(f.typ.Elem()) {
			out = append(out, documented(f.typ.Elem(), at+"[]", reflect.Zero(f.typ.Elem()))...)
		}
	}
	return out
}

func written(v reflect.Value) string {
	if isList(v.Type()) && v.Len() == 0 {
		return "[]"
	}
	if v.Kind() == reflect.Struct && v.IsZero() {
		return ""
	}
	return textOf(v)
}

// The reference and the struct name the same keys in the same order, with the
// same defaults, and agree on what a reload can change.
func TestReferenceKeys(t *testing.T) {
	t.Parallel()
	want := documented(reflect.TypeFor[Config](), "", reflect.ValueOf(Default()))
	// No default to be written: the key has to be given, or depends on others.
	given := map[string]string{
		"interfaces.subscriber": "", "policy.pools": "", "policy.pools[].prefixes": "", "policy.relays[].prefixes": "",
		"policy.destinations[].prefixes": "", "leases[].clients": "",
		"policy.pools[].response": string(ResponseReset), "policy.pools[].mode": string(ModeRefuse), "policy.pools[].delegation": "56",
		"policy.rollout.phases[].share": Everyone.String(), "policy.rollout.phases[].mode": string(ModeRefuse),
	}
	for i := range want {
		if d, ok := given[want[i].Key]; ok {
			want[i].Default = d
		}
	}
	got := rows(t, readReference(t))
	for i := range got {
		got[i].Values = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-struct +reference):\n%s", reference, diff)
	}
}

// Every word that a key allows is in its row.
func TestReferenceWords(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	for _, r := range rows(t, readReference(t)) {
		values[r.Key] = r.Values
	}
	words := map[string]closed{
		"policy.pools[].assignment": Assignment(""), "policy.pools[].response": Response(""), "policy.pools[].mode": Mode(""),
		"policy.rollout.phases[].mode": Mode(""), "leases[].kind": LeaseKind(""),
	}
	for _, k := range keys() {
		if isClosed(k.typ) {
			words[k.path] = reflect.Zero(k.typ).Interface().(closed)
		}
	}
	for path, c := range words {
		for _, word := range c.allowed() {
			if !strings.Contains(values[path], "`"+word+"`") {
				t.Errorf("%s: the row of %s lacks %s", reference, path, word)
			}
		}
	}
}

// Each YAML block is a whole configuration that loads, with the one text block for
// the list that it names.
func TestReferenceExamples(t *testing.T) {
	t.Parallel()
	text, dir := readReference(t), t.TempDir()
	lists := regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(lists) != 1 {
		t.Fatalf("%d text blocks, want residential.txt", len(lists))
	}
	if err := os.WriteFile(filepath.Join(dir, "residential.txt"), []byte(lists[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) < 11 {
		t.Fatalf("%d YAML blocks, want one for the start and one per section", len(blocks))
	}
	for _, block := range blocks {
		if _, problems := load(filepath.Join(dir, "op25b.yaml"), []byte(block[1])); len(problems) > 0 {
			t.Errorf("%v\n%s", problems, block[1])
		}
	}
}
