// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"op25b/control"
)

func TestReloadCommand(t *testing.T) {
	t.Parallel()
	gateway := &answers{result: control.ReloadResult{
		Generation: 4, Took: 0.3125, Changes: []string{"3 prefixes become dynamic", "1 relay is new"}, Warnings: []string{"slow"},
	}}
	socket := listen(t, gateway)

	code, out, talk := op25b(t, "reload", "--force", "--socket", socket)
	const want = "generation 4 is in force, after 0.31 s\n3 prefixes become dynamic\n1 relay is new\n"
	if code != exitOK || out != want || talk != "warning: slow\n" || !gateway.forced {
		t.Errorf("exit %d, forced %t:\n%s%s", code, gateway.forced, out, talk)
	}

	code, out, _ = op25b(t, "reload", "--json", "--socket", socket)
	var report struct {
		OK         bool
		Generation int
		Changes    []string
		Problems   []string
		Fix        string
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || !report.OK || report.Generation != 4 ||
		len(report.Changes) != 2 || report.Problems == nil || gateway.forced {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
}

func TestReloadRefused(t *testing.T) {
	t.Parallel()
	problems := []string{"op25b.yaml:3: policy.ports: none", "op25b.yaml:9: policy.pools[0]: no prefix"}
	socket := listen(t, &answers{err: &control.Refusal{Problems: problems, Fix: "mend them"}})

	code, out, talk := op25b(t, "reload", "--socket", socket)
	want := "op25b: the new configuration was refused: the old policy stays in force\n" + problems[0] + "\n" + problems[1] + "\nmend them\n"
	if code != exitUsage || out != "" || talk != want {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}

	code, out, talk = op25b(t, "reload", "--json", "--socket", socket)
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitUsage || talk != "" || report["ok"] != false ||
		!slices.Equal(report["problems"].([]any), []any{problems[0], problems[1]}) || report["generation"] != nil {
		t.Errorf("exit %d, %v: %s%s", code, err, out, talk)
	}
}

func TestReloadFailed(t *testing.T) {
	t.Parallel()
	socket := listen(t, &answers{err: errors.New("the kernel said no")})
	for _, args := range [][]string{{"reload"}, {"reload", "--json"}} {
		code, out, talk := op25b(t, append(args, "--socket", socket)...)
		if code != exitFailed || out != "" || talk != "op25b: the kernel said no\n" {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, talk)
		}
	}
}
