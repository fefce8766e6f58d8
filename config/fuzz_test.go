// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLoad feeds arbitrary files. Whatever they hold, there is no panic; either
// a Config comes out that is valid and survives being written and read again,
// or problems that each say where, what and how to fix it, on one line.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("log: !x \"two\\nlines\"\n"))
	f.Add([]byte("policy: {pools: [~, {}, [], x]}\n"))
	f.Add([]byte("policy: {rollout: {phases: [{start: !!timestamp 2026-12-01T02:00:00Z, share: 1}], brownouts: [~]}}\nleases: [{kind: radius}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		given := slices.Clone(data)
		c, problems := load("testdata/fuzz.yaml", data) // beside the lists that seeds name
		if !slices.Equal(given, data) {
			t.Error("input changed")
		}
		if len(problems) > 0 {
			checkProblems(t, problems)
			return
		}
		if again := validate(c, origin{}, nil); len(again) > 0 {
			t.Errorf("accepted, but not valid:\n%v", again)
		}
		got, problems := load("rendered.yaml", render(t, c))
		if len(problems) > 0 {
			t.Fatalf("refused what it accepted:\n%v", problems)
		}
		if diff := cmp.Diff(withoutLists(c), got, compare()); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	})
}

func checkProblems(t *testing.T, problems Problems) {
	t.Helper()
	for _, p := range problems {
		if p.Path == "" && p.Line == 0 {
			t.Errorf("does not say where: %#v", p)
		}
		if p.File == "" || p.What == "" || p.Fix == "" {
			t.Errorf("says too little: %#v", p)
		}
		if strings.ContainsAny(p.String(), "\r\n") {
			t.Errorf("more than one line: %q", p)
		}
	}
}

// FuzzEnvironment gives load any variable under our prefix. It either sets a key
// that then has a valid value, or is reported by its name, or is not ours.
func FuzzEnvironment(f *testing.F) {
	for _, k := range keys() {
		f.Add(strings.TrimPrefix(k.variable(), envPrefix), "auto")
	}
	f.Add("TUNNEL_MTU", "1500")
	f.Add("JOURNAL_RETENTION", "90d")
	f.Add("LEASES", "[]")
	f.Add("POLICY_PORTS", "[25]")
	f.Add("LOG_LEVL", "debug")
	f.Fuzz(func(t *testing.T, name, value string) {
		name = strings.Map(func(r rune) rune {
			if r == '_' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, strings.ToUpper(name))
		name = envPrefix + name
		stray := strayVariables([]string{name + "=" + value})
		if len(stray) > 1 {
			t.Fatalf("one variable, %d problems: %v", len(stray), stray)
		}
		checkProblems(t, stray)
		for _, k := range keys() {
			if known := k.variable() == name; known && !k.isList() && len(stray) > 0 {
				t.Errorf("%s is a key, and yet: %v", name, stray)
			} else if known && k.isList() && len(stray) == 0 {
				t.Errorf("%s is a list, and yet it passes", name)
			}
		}
	})
}

// FuzzNearest compares distance with a slow one that is obviously right, and the
// suggestion with the bounds that it promises.
func FuzzNearest(f *testing.F) {
	f.Add("capure", "capture")
	f.Add("", "a")
	f.Add("prots", "ports")
	f.Add("LOG", "log")
	f.Fuzz(func(t *testing.T, word, candidate string) {
		if len(word) > 12 || len(candidate) > 12 {
			return
		}
		want := slowDistance(word, candidate)
		if got := distance(word, candidate); min(got, 3) != min(want, 3) {
			t.Errorf("from %q to %q: %d, want %d", word, candidate, got, want)
		}
		if got := nearest(word, []string{candidate}); got != "" && got != candidate {
			t.Errorf("%q is near %q, which nobody offered", word, got)
		}
		if got := nearest(candidate, []string{candidate}); len(candidate) > 0 && got != candidate {
			t.Errorf("%q is not near itself", candidate)
		}
	})
}

// slowDistance tries everything (optimal string alignment).
func slowDistance(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		for j := range table[i] {
			switch {
			case i == 0 || j == 0:
				table[i][j] = i + j
			default:
				table[i][j] = min(table[i-1][j]+1, table[i][j-1]+1, table[i-1][j-1]+unequal(a[i-1], b[j-1]))
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					table[i][j] = min(table[i][j], table[i-2][j-2]+1)
				}
			}
		}
	}
	return table[len(a)][len(b)]
}
