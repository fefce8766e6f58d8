// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiffCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := file("old.yaml", testFile)
	next := file("next.yaml", strings.Replace(testFile, "[100.64.0.0/10]", `[100.64.0.0/10, "2001:db8:a::/56"]`, 1)+
		"    - {name: business, prefixes: [100.65.0.0/24], assignment: static}\n  relays:\n    - {name: msa, prefixes: [192.0.2.25/32]}\n")
	const want = `1 dynamic prefix is added
1 static prefix is added
IPv6 /64 networks that can no longer reach blocked ports: 256
IPv4 addresses that can reach blocked ports: 256
1 relay prefix is added
`
	if code, out, talk := op25b(t, "diff", old, next); code != exitOK || out != want || talk != "" {
		t.Errorf("exit %d:\n%s%s", code, out, talk)
	}
	if code, out, _ := op25b(t, "diff", old, old); code != exitOK || out != "nothing changes\n" {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ := op25b(t, "diff", "--json", old, next)
	var report struct {
		Same         bool
		AddedDynamic int `json:"added_dynamic"`
		Freed        struct {
			IPv4 float64 `json:"ipv4_addresses"`
		}
		Changes []string
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || report.Same ||
		report.AddedDynamic != 1 || report.Freed.IPv4 != 256 || len(report.Changes) != 5 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	broken := file("broken.yaml", "interfaces: [")
	if code, _, talk := op25b(t, "diff", old, broken); code != exitUsage || !strings.Contains(talk, "broken.yaml") {
		t.Errorf("exit %d: %s", code, talk)
	}
}
