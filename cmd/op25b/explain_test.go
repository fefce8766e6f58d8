// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const testConfig = `
interfaces: {subscriber: [sub0], upstream: up0}
tunnel: {addresses: [192.0.2.250]}
policy:
  relays: [{name: isp-msa, prefixes: [192.0.2.25/32, "2001:db8:25::25/128"]}]
  pools:
    - {name: residential, prefixes: [100.64.0.0/10, "2001:db8:a::/48"], assignment: dynamic}
    - {name: lte, prefixes: [198.18.0.0/16], assignment: dynamic, response: prohibited}
    - {name: hidden, prefixes: [198.19.0.0/16], assignment: dynamic, response: drop}
    - {name: business, prefixes: [100.65.0.0/24], assignment: static}
`

// writeConfig returns the path of a configuration file with the given text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// op25b runs a command line and returns what a user would see.
func op25b(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, talk bytes.Buffer
	code = run(context.Background(), args, &out, &talk)
	return code, out.String(), talk.String()
}

func TestExplain(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, testConfig)
	tests := []struct {
		src, dst       string
		action, reason string
		says           string // in the paragraph
		customer       bool
	}{
		{"100.64.0.2", "203.0.113.25", "reset", "blocked_port", `dynamic pool "residential" (100.64.0.0/10)`, true},
		{"100.64.0.2", "203.0.113.25:25", "reset", "blocked_port", "connection refused", true},
		{"2001:db8:a::2", "2001:db8::25", "reset", "blocked_port", "2001:db8:a::/48", true},
		{"2001:db8:a::2", "[2001:db8::25]:25", "reset", "blocked_port", "2001:db8::25 is no relay", true},
		{"198.18.0.1", "203.0.113.25", "prohibited", "blocked_port", "administratively prohibited", true},
		{"198.19.0.1", "203.0.113.25", "drop", "blocked_port", "timeout", true},
		{"100.64.0.2", "203.0.113.25:587", "forward", "other_port", "policy.ports does not hold 587", false},
		{"100.64.0.2", "203.0.113.25:465", "forward", "other_port", "goes through", false},
		{"100.64.0.2", "192.0.2.25", "forward", "relay", `relay "isp-msa" (192.0.2.25/32)`, false},
		{"100.65.0.2", "203.0.113.25", "forward", "static", `static pool "business" (100.65.0.0/24)`, false},
		{"::ffff:100.64.0.2", "203.0.113.25", "reset", "blocked_port", "100.64.0.2 is in", true},
		{"203.0.113.7", "203.0.113.25", "drop", "spoofed_source", "add its prefix to policy.pools", false},
		{"127.0.0.1", "203.0.113.25", "drop", "martian_source", "no router forwards", false},
		{"100.64.0.2", "224.0.0.1", "drop", "martian_destination", "no router forwards", false},
		{"100.64.0.2", "192.0.2.250", "local", "router", "for the gateway itself", false},
	}
	for _, tt := range tests {
		t.Run(tt.src+" "+tt.dst, func(t *testing.T) {
			t.Parallel()
			code, out, talk := op25b(t, "explain", "-c", path, "--json", tt.src, tt.dst)
			var e explainReport
			if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK {
				t.Fatalf("exit %d, %v: %s%s", code, err, out, talk)
			}
			if e.Action != tt.action || e.Reason != tt.reason || !strings.Contains(e.Text, tt.says) {
				t.Errorf("%s, %s: %s; want %s, %s and %q", e.Action, e.Reason, e.Text, tt.action, tt.reason, tt.says)
			}
			if (e.Customer != "") != tt.customer {
				t.Errorf("for the customer: %q", e.Customer)
			}
			for _, must := range []string{"587", "465", "SMTP AUTH"} {
				for _, language := range languages() {
					if tt.customer && !strings.Contains(e.CustomerTexts[language], must) {
						t.Errorf("no %s in %q", must, e.CustomerTexts[language])
					}
				}
			}
			_, text, _ := op25b(t, "explain", "-c", path, tt.src, tt.dst)
			if !strings.Contains(text, tt.action+" ("+tt.reason+")") {
				t.Errorf("for people: %s", text)
			}
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(line); n > 81 && !strings.Contains(line, "。") {
					t.Errorf("%d characters: %q", n, line)
				}
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, testConfig)
	for name, args := range map[string][]string{
		"no such command":         {"rum"},
		"no such flag":            {"check", "--lvie"},
		"too few arguments":       {"explain", "-c", path, "100.64.0.2"},
		"source is no address":    {"explain", "-c", path, "example.org", "203.0.113.25"},
		"target is no address":    {"explain", "-c", path, "100.64.0.2", "mx.example.org:25"},
		"families differ":         {"explain", "-c", path, "100.64.0.2", "2001:db8::25"},
		"argument too many":       {"version", "now"},
		"no such file":            {"check", "-c", "/nonexistent/op25b.yaml"},
		"mistakes in the file":    {"check", "-c", writeConfig(t, "policy: {prots: [25]}\n")},
		"mistakes, other command": {"routes", "-c", writeConfig(t, "policy: {prots: [25]}\n")},
	} {
		if code, out, talk := op25b(t, args...); code != exitUsage || out+talk == "" {
			t.Errorf("%s: exit %d, %s%s", name, code, out, talk)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, testConfig)
	code, out, _ := op25b(t, "check", "-c", path)
	const want = ": ok: ports [25] refused to 4 dynamic prefixes, not to 1 static prefix, 1 relay reachable\n"
	if code != exitOK || out != path+want {
		t.Errorf("exit %d: %s", code, out)
	}
	bad := writeConfig(t, "policy: {prots: [25]}\nlog: {level: loud}\n")
	code, out, _ = op25b(t, "check", "-c", bad, "--json")
	var report checkReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if code != exitUsage || report.OK || len(report.Problems) < 2 || report.SchemaVersion != schemaVersion {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, out, _ := op25b(t, "version", "--json")
	var v versionInfo
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK || v.SchemaVersion != schemaVersion {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"", "run", "check", "explain", "demo", "routes", "cleanup", "version"} {
		args := []string{"--help"}
		if command != "" {
			args = []string{command, "--help"}
		}
		if code, out, _ := op25b(t, args...); code != exitOK || !strings.Contains(out, "Usage:") {
			t.Errorf("%s: exit %d, %s", command, code, out)
		}
	}
}
