// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"op25b/export"
)

func TestExportCommand(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, testConfig)
	for _, target := range export.Targets() {
		code, out, talk := op25b(t, "export", "-c", path, "--to", target)
		if code != exitOK || !strings.Contains(out, path) || !strings.Contains(talk, "cannot do all") {
			t.Errorf("%s: exit %d, %s\n%s", target, code, talk, out)
		}
		code, out, talk = op25b(t, "export", "-c", path, "--to", target, "--json")
		var d struct {
			SchemaVersion int `json:"schema_version"`
			export.Document
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil || code != exitOK || talk != "" ||
			d.SchemaVersion != 1 || d.Target != target || d.Text == "" || len(d.Cannot) < 5 {
			t.Errorf("%s: exit %d, %v: %s%s", target, code, err, talk, out)
		}
	}
	for _, args := range [][]string{{"export", "-c", path}, {"export", "-c", path, "--to", "ipfw"}, {"export", "-c", path, "--to", "pf", "more"}} {
		code, out, talk := op25b(t, args...)
		if code != exitUsage || out != "" || len(args) < 6 && !strings.Contains(talk, "nftables, pf, routeros, cisco-acl, vpp") {
			t.Errorf("%q: exit %d: %s%s", args, code, talk, out)
		}
	}
	if code, _, _ := op25b(t, "export", "-c", path+".missing", "--to", "pf"); code != exitUsage {
		t.Errorf("a missing file: exit %d", code)
	}
}
