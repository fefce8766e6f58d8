// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"op25b/control"
	"op25b/filter"
)

const testFile = `interfaces: {subscriber: [eth1], upstream: eth0}
policy:
  pools:
    - {name: residential, prefixes: [100.64.0.0/10], assignment: dynamic}
`

// reloadable is a gateway without interfaces whose file says what testFile does.
func reloadable(t *testing.T) (g *gateway, write func(string)) {
	t.Helper()
	g, _ = testGateway(t)
	g.path = filepath.Join(t.TempDir(), "op25b.yaml")
	g.level = zap.NewAtomicLevel()
	write = func(text string) {
		if err := os.WriteFile(g.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(testFile)
	rules, err := loadRulebook(g.path)
	if err != nil {
		t.Fatal(err)
	}
	g.rules, g.data, g.generation = rules, nil, 1
	return g, write
}

func TestReloadChanges(t *testing.T) {
	t.Parallel()
	g, write := reloadable(t)
	write(testFile + `    - {name: business, prefixes: [100.65.0.0/24, 192.0.2.0/24], assignment: static}
  relays:
    - {name: msa, prefixes: [192.0.2.25/32]}
  ports: [25, 2525]
`)
	result, err := g.Reload(t.Context(), control.ReloadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"2 static prefixes are added", "IPv4 addresses that can reach blocked ports: 256", "1 relay prefix is added", "port 2525 becomes blocked"}
	if diff := cmp.Diff(want, result.Changes); diff != "" || result.Generation != 2 {
		t.Errorf("generation %d, changes (-want +got):\n%s", result.Generation, diff)
	}
	packet := filter.Probe(netip.MustParseAddrPort("100.64.0.2:1"), netip.MustParseAddrPort("203.0.113.1:2525"))
	if v := g.policy.Decide(filter.Outbound, packet, filter.ChecksumUnknown); v.Action != filter.Reset {
		t.Errorf("port 2525: %s", v.Action)
	}
}

// TestReloadOfLess refuses a list that looks cut off, unless that is what is wanted.
func TestReloadOfLess(t *testing.T) {
	t.Parallel()
	g, write := reloadable(t)
	write(strings.Replace(testFile, "100.64.0.0/10", "100.64.0.0/12", 1))
	_, err := g.Reload(t.Context(), control.ReloadOptions{})
	refused, ok := errors.AsType[*control.Refusal](err)
	if !ok || !strings.Contains(refused.Problems[0], "1048576 of 4194304 IPv4 addresses") || !strings.Contains(refused.Fix, "--force") {
		t.Fatalf("%v", err)
	}
	if g.generation != 1 || g.reloaded.OK || !strings.Contains(g.reloaded.Error, "less than half") {
		t.Errorf("generation %d, %+v", g.generation, g.reloaded)
	}
	if problems := g.problems(g.reloaded.Time); len(problems) != 1 || !strings.Contains(problems[0].What, "less than half") {
		t.Errorf("%+v", problems)
	}
	result, err := g.Reload(t.Context(), control.ReloadOptions{Force: true})
	if err != nil || result.Generation != 2 {
		t.Errorf("with force: %+v, %v", result, err)
	}
	if problems := g.problems(g.reloaded.Time); len(problems) != 0 {
		t.Errorf("%+v", problems)
	}
}

// TestReloadOfMistakes has the file's mistakes come back, each on its own.
func TestReloadOfMistakes(t *testing.T) {
	t.Parallel()
	g, write := reloadable(t)
	for text, want := range map[string]int{
		"interfaces: [": 1,
		strings.Replace(strings.Replace(testFile, "100.64.0.0/10", "100.64.0.1/10", 1), "dynamic", "dinamic", 1): 2,
		strings.Replace(testFile, "eth0", "eth7", 1):                                                             1, // not without a restart
	} {
		write(text)
		_, err := g.Reload(t.Context(), control.ReloadOptions{Force: true})
		refused, ok := errors.AsType[*control.Refusal](err)
		if !ok || len(refused.Problems) != want || g.generation != 1 {
			t.Errorf("%s: generation %d, %v", text, g.generation, err)
		}
	}
}

// TestReloadThatHangs reads from a pipe that nobody writes to. It ends with the
// patience of whoever asked, and the next one is done.
func TestReloadThatHangs(t *testing.T) {
	t.Parallel()
	g, write := reloadable(t)
	if err := errors.Join(os.Remove(g.path), syscall.Mkfifo(g.path, 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Reload(ctx, control.ReloadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	pipe := g.path + ".old"
	if err := os.Rename(g.path, pipe); err != nil {
		t.Fatal(err)
	}
	write(testFile)
	if _, err := g.Reload(t.Context(), control.ReloadOptions{}); err != nil {
		t.Error(err)
	}
	// Whoever still waits for the pipe gets an end.
	if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		_ = w.Close()
	}
}
