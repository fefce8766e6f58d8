// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"strings"
	"testing"

	"op25b/filter"
)

func TestAccess(t *testing.T) {
	t.Parallel()
	policies := compileAll(t)
	for name, rows := range access() {
		for _, r := range rows {
			pkt := r.what(r.from, r.to).Bytes()
			t.Run(fmt.Sprintf("%s %s %s to %s", name, r.dir, r.from, r.to), func(t *testing.T) {
				t.Parallel()
				got := policies[name].Decide(r.dir, pkt, filter.ChecksumUnknown)
				if want := (filter.Verdict{Action: r.action, Reason: r.reason}); got != want {
					t.Errorf("% x\n got %s %s\nwant %s %s", pkt, got.Action, got.Reason, want.Action, want.Reason)
				}
			})
		}
	}
}

// TestEveryReasonHasItsTest pins that the tables leave out nothing: each reason
// and each action is expected by a row of access or by a golden packet.
func TestEveryReasonHasItsTest(t *testing.T) {
	t.Parallel()
	expected := map[string]bool{}
	for _, rows := range access() {
		for _, r := range rows {
			expected[r.action.String()], expected[r.reason.String()] = true, true
		}
	}
	for _, g := range readGolden(t) {
		for _, w := range g.wants {
			expected[w.action], expected[w.reason] = true, true
		}
	}
	for _, c := range tunnelCases() {
		expected[c.action.String()], expected[c.reason.String()] = true, true
	}
	var missing []string
	for r := filter.ReasonUnset + 1; r < filter.NumReasons; r++ {
		if !expected[r.String()] {
			missing = append(missing, r.String())
		}
	}
	for a := range filter.NumActions {
		if !expected[a.String()] {
			missing = append(missing, a.String())
		}
	}
	if len(missing) > 0 {
		t.Errorf("no table row expects %s", strings.Join(missing, ", "))
	}
}
