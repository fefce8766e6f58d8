// SPDX-License-Identifier: Apache-2.0

package supervise

import "time"

// abortTime is how long a program has to print its stacks before it is killed.
// One that is stopped (SIGSTOP, a frozen cgroup) never will.
const abortTime = 500 * time.Millisecond

// watchdog is the longest silence allowed; zero: any. Instants are Go's, with
// the monotonic clock in them: it neither jumps nor counts a suspended machine.
type watchdog time.Duration

// alive notes a sign of life. There is no deadline before the program is ready,
// and none once it is stopping, which has one of its own.
func (w watchdog) alive(p *process, now time.Time) {
	if w > 0 && !p.ready.IsZero() && !p.stopping && !p.hung {
		p.ping = now.Add(time.Duration(w))
	}
}

// silent reports whether the program has let its deadline pass.
func (w watchdog) silent(p *process, now time.Time) bool {
	late := now.Sub(p.ping)
	switch {
	case p.ping.IsZero() || late < 0:
		return false
	case late > time.Duration(w):
		// We should have been here long ago: it was us who did not run, stopped
		// perhaps, and so the program may not have run or been able to tell.
		w.alive(p, now)
		return false
	}
	return true
}
