// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"

	"op25b/control"
)

// stuck says which workers have packets and do not get on.
func stuck(s *control.Status) []string {
	var why []string
	for _, w := range s.Workers {
		if w.Stalled {
			why = append(why, fmt.Sprintf("worker %s %d has packets and does not get on", w.Direction, w.Queue))
		}
	}
	return why
}

// unready says what is not ready; empty: all is. trafficOnly leaves out what does
// not keep packets from flowing: a refused reload, or one packet of an attacker that
// meets a fault of ours, must not take a gateway out of the network.
func unready(s *control.Status, trafficOnly bool) []string {
	var why []string
	flows := true
	switch s.State {
	case control.StateOK, control.StateDegraded:
		flows = len(s.Interfaces) > 0
	case control.StateStarting:
		why = append(why, "starting: packets do not flow through op25b yet")
	case control.StateStopping:
		why = append(why, "stopping: the kernel forwards by itself")
	default:
		why = append(why, "in no state that is known")
	}
	if !trafficOnly {
		for _, p := range s.Problems {
			why = append(why, masked(p.What))
		}
	}
	if len(why) == 0 && !flows {
		why = append(why, "packets do not flow through op25b")
	}
	return append(why, stuck(s)...)
}
