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
	f.Fuzz(func(t *testing.T, data []byte) {
		given := slices.Clone(data)
		c, problems := load("fuzz.yaml", data)
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
		if diff := cmp.Diff(c, got, compare()); diff != "" {
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
