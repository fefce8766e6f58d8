// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a bundle says of a text.
func TestRedact(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(`
interfaces: {subscriber: [eth1], upstream: eth0}
policy:
  relays: [{name: msa, prefixes: [192.0.2.25/32]}]
  pools: [{name: home, prefixes: [100.64.0.0/10, 2001:db8:a::/48], assignment: dynamic}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := loadRulebook(path)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := rules.at(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"100.64.0.2, 100.64.0.3 and 100.64.0.2":                            "subscriber-1, subscriber-2 and subscriber-1",
		"100.64.0.2:25 [2001:db8:a::2]:25":                                 "subscriber-1:25 [subscriber-2]:25",
		"::ffff:100.64.0.2.":                                               "subscriber-1.",
		"source:2001:db8:a::2":                                             "source:subscriber-1",
		"100.64.0.0/10 2001:db8:a::/48":                                    "100.64.0.0/10 2001:db8:a::/48",
		"100.64.0.0/9 of 100.64.0.2/32":                                    "100.64.0.0/9 of subscriber-1",
		"100.64.0.16/29 2001:db8:a:100::/60":                               "subscriber-1 subscriber-2",
		"192.0.2.25 2001:db8:cafe::25 at 03:04:05":                         "192.0.2.25 2001:db8:cafe::25 at 03:04:05",
		"02:00:00:00:00:99":                                                "hardware-address-1",
		`{"error":"unknown key \"Mr Example\": remove it"}`:                `{"error":"unknown key \"...\": remove it"}`,
		`{"a":"\"Mr \\\"Ex\\\" Ample\" and \"more\"","b":"\\"}`:            `{"a":"\"...\" and \"...\"","b":"\\"}`,
		`{"packet":"RQAALA==","packets": 3}` + "\n" + `  "packet": "4500"`: `{"packet":"...","packets": 3}` + "\n" + `  "packet": "..."`,
		`"ends in \"a\\\\\", \"\\nb\" and \u003c"`:                         `"ends in \"...\", \"...\" and \u003c"`,
	} {
		if d := cmp.Diff(want, string(newRedactor(policy, rules.cfg).redact([]byte(text)))); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
	for text, want := range map[string]string{
		"# Mr\na: b # Example\n# has\nc: \"#1\"\n": "a: b\nc: \"#1\"\n",
		"a: [ # Mr Example\n":                      "a: [ \n",
		"# Mr Example\n":                           "\n",
		"":                                         "",
	} {
		if d := cmp.Diff(want, string(newRedactor(policy, rules.cfg).withoutComments([]byte(text)))); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}
