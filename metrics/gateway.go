// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"

	"op25b/control"
)

// gatewayFamilies say how the process is.
func gatewayFamilies() []family {
	return []family{
		gauge("op25b_build_info", "What was built: always 1", []string{"version", "revision", "goversion"},
			func(s *control.Status, out sink) { out(1, s.Version, s.Revision, runtime.Version()) }),
		gauge("op25b_start_time_seconds", "When the process started, in seconds since 1970", nil,
			func(s *control.Status, out sink) { out(seconds(s.Started)) }),
		gauge("op25b_state", "1 for the state that the gateway is in, 0 for the others; degraded: packets flow, but not as they should",
			[]string{"state"}, states),
		level("op25b_problems", "How many things are wrong now; op25b status says which, and what to type",
			func(s *control.Status) int { return len(s.Problems) }),
		gauge("op25b_problem_oldest_timestamp_seconds", "Since when the oldest of the problems is there; absent without problems", nil, oldest),
		gauge("op25b_mode_info", "How packets are captured, in the configuration's words: always 1",
			[]string{"capture", "return_path", "on_exit"},
			func(s *control.Status, out sink) { out(1, s.Capture, s.ReturnPath, s.OnExit) }),
		counter("op25b_errors_total", "What the kernel refused, by what was asked and the errno", []string{"class"},
			func(s *control.Status, out sink) {
				for class, n := range counts(s.Errors) {
					out(float64(n), class)
				}
			}),
		total("op25b_panics_total", "Packets dropped because of a fault of op25b's own: report them",
			func(s *control.Status) uint64 { return s.PanicsTotal }),
		total("op25b_healed_total", "Changes to the kernel's settings by others that were put back",
			func(s *control.Status) uint64 { return s.Healed }),
	}
}

func states(s *control.Status, out sink) {
	for _, state := range []control.State{control.StateOK, control.StateDegraded, control.StateStarting, control.StateStopping} {
		out(yes(s.State == state), string(state))
	}
}

func oldest(s *control.Status, out sink) {
	if len(s.Problems) == 0 {
		return
	}
	since := s.Problems[0].Since
	for _, p := range s.Problems {
		if p.Since.Before(since) {
			since = p.Since
		}
	}
	out(seconds(since))
}
