// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/control"
	"op25b/lab"
)

// inFlight is how many datagrams a killed gateway may take with it: those that it
// has read and not yet written, in every queue and direction.
const inFlight = 64

// TestKilledWithQueuesKept kills the gateway again and again while its supervisor
// keeps the queues. What waits in them is forwarded by the next one.
//
// Settings: OP25B_KILLS (5).
func TestKilledWithQueuesKept(t *testing.T) {
	kills := benchSetting(t, "OP25B_KILLS", 5)
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			g := newSupervised(t, n, n.GatewayConfig(lab.ConfigOptions{ReturnPath: returnPath}))
			door := startDoorman(t, n)
			stream := sendSequence(t, n, successionRate)
			var outages []time.Duration
			for range kills {
				time.Sleep(1100 * time.Millisecond) // so that each is the first of a series
				outages = append(outages, g.replaced(t, unix.SIGKILL))
			}
			for _, c := range stream.count(t) {
				t.Logf("%d kills, %s", kills, c)
				if c.lost > kills*inFlight {
					t.Errorf("%s: more than the gateway had in its hands", c)
				}
				if c.duplicated > 0 {
					t.Error(c)
				}
			}
			door.end(t)
			logDurations(t, "from the kill until the next one was ready", outages)
			if s := g.status(t); !s.Interfaces[0].Adopted || s.State != control.StateOK {
				t.Errorf("%+v", s)
			}
			g.stopConserved(t)
		})
	}
}

// TestKilledAlone kills a gateway whose queues nobody keeps: the kernel forwards, and
// keeps port 25 shut.
func TestKilledAlone(t *testing.T) {
	kills := benchSetting(t, "OP25B_KILLS", 5)
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{ReturnPath: returnPath}))
			door := startDoorman(t, n)
			stream := sendSequence(t, n, successionRate)
			for range kills {
				time.Sleep(200 * time.Millisecond)
				g.current.signal(t, unix.SIGKILL)
				time.Sleep(200 * time.Millisecond)
				g.run(t)
			}
			for _, c := range stream.count(t) {
				slices.Sort(c.gaps)
				t.Logf("%d kills, %s", kills, c)
				if c.lost > c.sent/10 {
					t.Errorf("%s: the kernel does not take over", c)
				}
			}
			door.end(t)
			g.stopConserved(t)
		})
	}
}

// TestHangs stops the gateway's process, so that packets pile up in its queues, until
// the supervisor has had enough of it.
//
// Settings: OP25B_HANGS (1).
func TestHangs(t *testing.T) {
	t.Parallel()
	hangs := benchSetting(t, "OP25B_HANGS", 1)
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := newSupervised(t, n, n.GatewayConfig(lab.ConfigOptions{ReturnPath: "router"}))
	door := startDoorman(t, n)
	var outages []time.Duration
	for range hangs {
		outages = append(outages, g.replaced(t, unix.SIGSTOP))
		wantPolicy(t, n)
	}
	door.end(t)
	logDurations(t, "from the stop until the next one was ready", outages)
	g.stopConserved(t)
}

// newSupervised is a lineage whose gateways a supervisor starts.
func newSupervised(t testing.TB, n *lab.Network, config string) *lineage {
	t.Helper()
	l := prepareLineage(t, n, config)
	l.current = start(t, n.Gateway, binaryPath, "supervise", "-c", l.path)
	l.current.waitOutput(t, `"ready"`)
	l.pid = l.status(t).PID
	l.waitSupervised(t)
	return l
}

// waitSupervised waits until the supervisor knows that the gateway is ready, which it is
// told last: from then on it wants to hear of it.
func (l *lineage) waitSupervised(t testing.TB) {
	t.Helper()
	l.current.waitOutput(t, fmt.Sprintf(`"logger":"supervise","msg":"ready","pid":%d`, l.pid))
}

// replaced sends the gateway a signal and waits until another is in its place, and
// returns how long that took.
func (l *lineage) replaced(t testing.TB, sig unix.Signal) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := unix.Kill(l.pid, sig); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another gateway", func() bool {
		s, err := l.ask(t)
		if err != nil || s.PID == l.pid {
			return false
		}
		l.pid = s.PID
		return true
	})
	took := time.Since(begun)
	l.waitSupervised(t)
	return took
}

func logDurations(t testing.TB, what string, all []time.Duration) {
	t.Helper()
	slices.Sort(all)
	t.Logf("%s: %v median, %v p99, %v at most", what, percentile(all, 0.5), percentile(all, 0.99), all[len(all)-1])
}
