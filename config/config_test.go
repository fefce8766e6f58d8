// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The contract, key by key: what an operator gets who writes nothing.
func TestDefault(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"interfaces.subscriber":             "[]",
		"interfaces.upstream":               "",
		"tunnel.subscriber":                 "op25b-sub",
		"tunnel.upstream":                   "op25b-up",
		"tunnel.mtu":                        "auto",
		"tunnel.queues":                     "auto",
		"tunnel.offload":                    "auto",
		"tunnel.addresses":                  "[]",
		"tunnel.busy_poll":                  "100",
		"tunnel.io_uring":                   "auto",
		"forwarding.capture":                "all",
		"forwarding.return_path":            "kernel",
		"forwarding.hop":                    "decrement",
		"forwarding.source_validation":      "strict",
		"forwarding.on_exit":                "reject-smtp",
		"forwarding.table":                  "25",
		"forwarding.priority":               "2500",
		"forwarding.answers.per_subscriber": "100",
		"forwarding.answers.total":          "2000",
		"policy.ports":                      "[25]",
		"policy.established":                "keep",
		"policy.inbound_source_port":        "allow",
		"policy.inspect_tunnels":            "[]",
		"policy.destinations":               "[]",
		"policy.relays":                     "[]",
		"policy.pools":                      "[]",
		"policy.exemptions":                 "[]",
		"policy.rollout.phases":             "[]",
		"policy.rollout.brownouts":          "[]",
		"leases":                            "[]",
		"journal.path":                      "",
		"journal.retention":                 "90d",
		"journal.destinations":              "full",
		"attempts.subscribers":              "4096",
		"attempts.providers":                "[]",
		"texts.directory":                   "",
		"texts.notice":                      Default().Texts.Notice,
		"self_check.listen":                 "[]",
		"self_check.provider":               "",
		"self_check.contact":                "",
		"self_check.servers":                "[]",
		"self_check.shared":                 "[]",
		"control.socket":                    "/run/op25b/op25b.sock",
		"control.metrics":                   "127.0.0.1:9925",
		"console.listen":                    "",
		"console.token_file":                "",
		"console.access":                    "read",
		"log.level":                         "info",
		"log.format":                        "json",
	}
	got := map[string]string{}
	c := Default()
	for _, k := range keys() {
		got[k.path] = written(k.in(&c))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// What one caller does to its defaults is not seen by another.
func TestDefaultIsFresh(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Policy.Ports[0] = 26
	if got := Default().Policy.Ports[0]; got != 25 {
		t.Errorf("ports[0] = %d", got)
	}
}

// No default is a mistake of its own: only what has no default is missing.
func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c := Default()
	var missing []string
	for _, p := range validate(&c, origin{}, nil) {
		missing = append(missing, p.Path)
	}
	if want := []string{"interfaces.subscriber", "interfaces.upstream", "policy.pools"}; !slices.Equal(want, missing) {
		t.Errorf("problems at %v, want %v", missing, want)
	}
}

// Every closed type's default is one of its words, and no word is another's
// misspelling that nearest would prefer.
func TestClosedValues(t *testing.T) {
	t.Parallel()
	for _, c := range []closed{
		Feature(""), Capture(""), ReturnPath(""), Hop(""), SourceValidation(""), OnExit(""), Established(""),
		InboundSourcePort(""), Assignment(""), Response(""), Mode(""), LeaseKind(""), JournalDestinations(""), LogLevel(""), LogFormat(""),
	} {
		words := c.allowed()
		if len(words) < 2 {
			t.Errorf("%T allows %v", c, words)
		}
		for _, word := range words {
			if got := nearest(word, words); got != word && got != "" {
				t.Errorf("%T: nearest(%q) = %q", c, word, got)
			}
		}
	}
}
