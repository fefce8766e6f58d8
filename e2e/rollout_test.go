// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"op25b/control"
	"op25b/lab"
)

// A rollout by the real clock: a brownout ends, and a phase begins, while the gateway
// runs; it is announced before and explained afterwards, for any time.
func TestRollout(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	a := lab.IPv4.Addrs()
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
	// Whole seconds, far enough away for a busy machine to have looked before.
	const ends, begins = 8 * time.Second, 16 * time.Second
	exemptions := filepath.Join(n.Dir(), "exemptions.yaml")
	writeFile(t, exemptions, fmt.Sprintf("exemptions:\n  - prefix: %s\n    reason: moves to a static line\n    until: %s\n", a.Dynamic, at(4*time.Second)))
	config := n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{
		"journal.path":      filepath.Join(n.Dir(), "journal.db"),
		"policy.exemptions": "[" + exemptions + "]",
		"policy.rollout": fmt.Sprintf("{phases: [{name: everybody, start: %s}], brownouts: [{name: rehearsal, from: %s, to: %s}]}",
			at(begins), at(-time.Hour), at(ends)),
	}})
	l := newLineage(t, n, config)
	to := netip.AddrPortFrom(a.MX, lab.PortSMTP)
	outcome := func() string { return dial(t, n.Dynamic, to).outcome }

	if got := outcome(); got != connected {
		t.Errorf("exempt: %s", got)
	}
	eventually(t, "refused, as the exemption has ended", func() bool { return outcome() == refused })
	if got := l.explain(t, a, ""); got.Action != "reset" || got.Phase != "rehearsal" || got.Next == nil || got.Next.Reason != "not_in_force" {
		t.Errorf("in the brownout: %+v", got)
	}
	waitUntil(now.Add(ends + time.Second))
	if got := outcome(); got != connected {
		t.Errorf("behind the brownout: %s", got)
	}
	s := l.status(t)
	if s.Policy.Next == nil || s.Policy.Next.What[0] != "phase everybody begins" || len(s.Policy.Active) > 0 || s.Policy.Exemptions.Expired != 1 {
		t.Errorf("status: %+v", s.Policy)
	}
	waitUntil(now.Add(begins + time.Second))
	if got := outcome(); got != refused {
		t.Errorf("once the phase has begun: %s", got)
	}
	if s := l.status(t); len(s.Policy.Active) != 1 || s.Policy.Active[0].Name != "everybody" || s.Policy.Next != nil || s.Policy.Generation != 4 {
		t.Errorf("status: %+v", s.Policy)
	}
	got := l.explain(t, a, "")
	if got.Action != "reset" || got.Phase != "everybody" || !got.Since.Equal(now.Add(begins).Truncate(time.Second)) || got.CustomerTexts["ja"] == "" {
		t.Errorf("now: %+v", got)
	}
	for d, want := range map[time.Duration]string{
		2 * time.Second: "forward exempt", 6 * time.Second: "reset blocked_port", ends + time.Second: "forward not_in_force", begins + time.Second: "reset blocked_port",
	} {
		if got := l.explain(t, a, at(d)); got.Action+" "+got.Reason != want {
			t.Errorf("%s in: %s %s, want %s", d, got.Action, got.Reason, want)
		}
	}
	// What was is known after the rules have changed, from the journal.
	writeFile(t, l.path, strings.Replace(config, "name: everybody", "name: everyone", 1))
	l.reload(t)
	if got := l.explain(t, a, at(begins+time.Second)); got.Phase != "everybody" || got.Policy.Source != "journal" {
		t.Errorf("before the reload: %+v", got)
	}
	if got := l.explain(t, a, ""); got.Phase != "everyone" || !got.Since.Equal(now.Add(begins).Truncate(time.Second)) {
		t.Errorf("after the reload: %+v", got)
	}
	l.stopConserved(t)
	out := op25b(t, n.Gateway, "explain", "-c", l.path, "--at", at(6*time.Second), a.Dynamic.String(), to.String())
	if out.code != 0 || !strings.Contains(out.stdout, "reset (blocked_port)") || !strings.Contains(out.stdout, "generation") {
		t.Errorf("from the journal, without a gateway: %d\n%s%s", out.code, out.stdout, out.stderr)
	}
}

// explain asks the gateway what happens, or happened, to the dynamic subscriber's mail.
func (l *lineage) explain(t testing.TB, a lab.Addrs, at string) control.Explanation {
	t.Helper()
	opts := control.ExplainOptions{Source: a.Dynamic, Destination: netip.AddrPortFrom(a.MX, lab.PortSMTP)}
	if at != "" {
		var err error
		if opts.At, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatal(err)
		}
	}
	e, err := l.client.Explain(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func waitUntil(at time.Time) { time.Sleep(time.Until(at)) }
