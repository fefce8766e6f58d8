// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// TestEveryFlag tries all 4096 values of the flag and reserved bits, in both
// families, to a blocked port and to another: 16,384 segments, and again with
// established connections judged.
func TestEveryFlag(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]filter.Spec{"keep": plain(), "reset": strict()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := compile(t, spec)
			tried := 0
			for _, ends := range [][2]string{
				{"100.64.0.2:40000", "203.0.113.25"}, {"[2001:db8:a::2]:40000", "[2001:db8:ffff::25]"},
			} {
				for port, blocked := range map[string]bool{":25": true, ":26": false} {
					base := filtertest.TCP(ends[0], ends[1]+port)
					for bits := range filtertest.Flags(4096) {
						pkt := base.Flags(bits).Bytes()
						got := policy.Decide(filter.Outbound, pkt, filter.ChecksumUnknown)
						if want := flagRule(blocked, spec.JudgeEstablished, bits); got != want {
							t.Errorf("% x, flags %#03x: %s %s, want %s %s",
								pkt, bits, got.Action, got.Reason, want.Action, want.Reason)
						}
						tried++
					}
				}
			}
			if tried != 16_384 {
				t.Errorf("%d segments tried", tried)
			}
		})
	}
}

// flagRule is the rule in words: SYN without ACK opens a connection, whatever
// comes with it, but a segment with RST is never answered; and all else passes
// unless established connections are judged. No other bit has a say.
func flagRule(blocked, judgeEstablished bool, f filtertest.Flags) filter.Verdict {
	syn, ack, rst := f&filtertest.SYN != 0, f&filtertest.ACK != 0, f&filtertest.RST != 0
	switch {
	case !blocked:
		return filter.Verdict{Action: filter.Forward, Reason: filter.ReasonOtherPort}
	case syn && rst:
		return filter.Verdict{Action: filter.Drop, Reason: filter.ReasonSYNRST}
	case syn && !ack:
		return filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}
	case !judgeEstablished:
		return filter.Verdict{Action: filter.Forward, Reason: filter.ReasonNotSYN}
	case rst:
		return filter.Verdict{Action: filter.Drop, Reason: filter.ReasonResetSegment}
	default:
		return filter.Verdict{Action: filter.Reset, Reason: filter.ReasonEstablished}
	}
}
