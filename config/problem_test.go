// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		problem Problem
		want    string
	}{
		{Problem{File: "op25b.yaml", Line: 12, Path: "policy.pools[0].prefixes[1]", What: "what", Fix: "fix"},
			"op25b.yaml:12: policy.pools[0].prefixes[1]: what: fix"},
		{Problem{File: "op25b.yaml", Path: "policy.pools", What: "what", Fix: "fix"}, "op25b.yaml: policy.pools: what: fix"},
		{Problem{File: "op25b.yaml", Line: 3, What: "what", Fix: "fix"}, "op25b.yaml:3: what: fix"},
		{Problem{File: environment, Path: "OP25B_LOG_LEVEL", What: "what", Fix: "fix"}, "environment: OP25B_LOG_LEVEL: what: fix"},
	}
	for _, tt := range tests {
		if got := tt.problem.String(); got != tt.want {
			t.Errorf("String = %q, want %q", got, tt.want)
		}
		if got := tt.problem.Error(); got != tt.want {
			t.Errorf("Error = %q, want %q", got, tt.want)
		}
	}
}

func TestProblemsJSON(t *testing.T) {
	t.Parallel()
	_, err := Load("testdata/bad-port-zero.yaml")
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	got, err := json.Marshal(problems)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"file":"testdata/bad-port-zero.yaml","line":5,"path":"policy.ports[1]","what":"0 is not a port","fix":"write a port from 1 to 65535"}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	long := "0123456789012345678901234567890123456789012345678901234567890123456789"
	for given, want := range map[string]string{
		"25": "25", "": `""`, "two words": `"two words"`, "a\x1b[2Jb\n": `"a\x1b[2Jb\n"`, long: `"` + long[:60] + `…"`,
	} {
		if got := show(given); got != want {
			t.Errorf("show(%q) = %s, want %s", given, got, want)
		}
	}
}
