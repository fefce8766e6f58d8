// SPDX-License-Identifier: Apache-2.0

package control

import (
	"strings"
	"time"
)

// ReloadOptions is what can be asked of a reload.
type ReloadOptions struct {
	// Force puts a policy in force that would be refused for what it changes,
	// such as one without any dynamic prefix. It does not excuse mistakes.
	Force bool `json:"force"`
	// AcceptClock has the rollout go by the machine's clock as it is, even if that was
	// put back behind what has begun.
	AcceptClock bool `json:"accept_clock"`
}

// ReloadResult is a policy that came into force.
type ReloadResult struct {
	Generation int     `json:"generation"`
	Took       float64 `json:"took_seconds"`
	// Changes say for people what is different, as in "3 prefixes become dynamic".
	Changes  []string `json:"changes"`
	Warnings []string `json:"warnings"`
}

// Refusal is a reload that the gateway did not do; the old policy stays in force.
type Refusal struct {
	// Problems are all there are, each with what to do about it.
	Problems []string
	// Fix is what helps against all of them; may be empty.
	Fix string
}

// Error returns the problems, one per line, and the fix.
func (r *Refusal) Error() string {
	lines := append([]string{"the new configuration was refused: the old policy stays in force"}, r.Problems...)
	if r.Fix != "" {
		lines = append(lines, r.Fix)
	}
	return strings.Join(lines, "\n")
}

// LendOptions say where the queues go.
type LendOptions struct {
	// To is the address of a unix datagram socket; one that begins with @ is
	// abstract. It gets a message for each queue, as the service manager's fd store
	// does (sd_pid_notify_with_fds(3)).
	To string `json:"to"`
}

// LendResult is how many messages were sent.
type LendResult struct {
	Queues int `json:"queues"`
}

// HandoverVersion is the version of [Handover] that this program writes.
const HandoverVersion = 1

// Handover is what a gateway tells the one that takes over.
type Handover struct {
	Version    int `json:"version"`
	PID        int `json:"pid"`
	Generation int `json:"generation"`
	// Restore are the settings that the successor has to undo at its own end.
	Restore []string `json:"restore"`
	// NotifySocket and WatchdogMicroseconds are where and how often the service
	// manager wants to hear of the gateway: NOTIFY_SOCKET and WATCHDOG_USEC of its
	// environment. Empty: there is none.
	NotifySocket         string `json:"notify_socket,omitempty"`
	WatchdogMicroseconds string `json:"watchdog_usec,omitempty"`
	// Clock is the moment up to which the rollout has come, so that the successor's
	// clock does not run backwards either. Zero: not known.
	Clock time.Time `json:"clock,omitzero"`
	// Packets are the final counters, as in [Status], for one who wants to go on
	// counting. May be absent.
	Packets map[string]map[string]uint64 `json:"packets,omitempty"`
}
