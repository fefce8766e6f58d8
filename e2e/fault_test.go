// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
	"op25b/lab"
)

// Faults of the world outside, done to a running gateway. docs/faults.md says of each
// what the operator and customers see of it.
//
// The clock is no such case: a time namespace cannot change the wall clock, and
// programs that pretend another time do it in the C library, which a static Go
// program has not got. Nothing here depends on it: the policy knows no time, workers,
// retries and reports go by the monotonic clock, and the wall clock is printed only.

// fault is something that goes wrong, and how it ends.
type fault struct {
	name    string
	inflict treatment
	// says is in a problem of the status until it is mended or healed. Empty: the
	// gateway has no part in it, or it heals too fast to be seen.
	says string
	// meanwhile is looked at before it is mended.
	meanwhile treatment
	// mend is what somebody else does. Nil: it heals by itself.
	mend treatment
	// healed wants the status to count what was put back.
	healed bool
}

// treatment does something to a network.
type treatment func(testing.TB, *ward)

// sh runs shell commands in the gateway.
func sh(commands string) treatment {
	return func(t testing.TB, w *ward) {
		t.Helper()
		breakIt(t, w.network, commands)
	}
}

// typed is a fault that is named after its commands.
func typed(commands string) fault { return fault{name: commands, inflict: sh(commands)} }

func (f fault) until(commands string) fault {
	f.mend = sh(commands)
	return f
}

func (f fault) saying(what string) fault {
	f.says = what
	return f
}

func (f fault) healing() fault {
	f.healed = true
	return f
}

// ward is a network where a gateway goes through one fault after the other.
type ward struct {
	*lineage
	before    resources
	state     string // of its kernel, when all is well
	doors     []*doorman
	opened    time.Time
	faults    int
	addresses [2]string // of a link that was deleted, and of its far end
}

// knocks is how long a doorman waits after each answer: other tests want to get on.
const knocks = 10 * time.Millisecond

// openWard starts a gateway that all the time is asked for port 25, and waits until
// everything works.
func openWard(t testing.TB, opts lab.ConfigOptions) *ward {
	t.Helper()
	needTools(t, "ip", "nft", "sysctl")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	w := &ward{lineage: newLineage(t, n, n.GatewayConfig(opts)), opened: time.Now()}
	w.wantService(t)
	w.state = w.kernel()
	w.before = w.resources(t)
	for _, f := range n.Families() {
		w.doors = append(w.doors, startDoormanAt(t, n, f, knocks))
	}
	return w
}

// suffer has faults happen one after the other, each after the one before has healed.
// What comes behind one that does not would begin with what is broken.
func (w *ward) suffer(t *testing.T, faults ...fault) {
	t.Helper()
	for _, f := range faults {
		if !t.Run(f.name, func(t *testing.T) { w.sufferOne(t, f) }) {
			return
		}
	}
}

func (w *ward) sufferOne(t testing.TB, f fault) {
	t.Helper()
	const rate = 200
	before, begun := w.status(t).Healed, time.Now()
	stream := sendSequence(t, w.network, rate)
	eventually(t, "datagrams are sent", func() bool { return stream.ways[0].sent.Load() > 0 && stream.ways[1].sent.Load() > 0 })
	f.inflict(t, w)
	if f.says != "" {
		w.wantProblem(t, f.says)
		if f.mend == nil {
			t.Logf("%s: said after %s", f.name, time.Since(begun).Round(time.Millisecond))
		}
	}
	if f.meanwhile != nil {
		f.meanwhile(t, w)
	}
	mended := time.Now()
	if f.mend != nil {
		f.mend(t, w)
	}
	w.wantWell(t, f.name)
	took := time.Since(mended)
	healed := w.status(t).Healed - before
	if f.healed && healed == 0 {
		t.Errorf("%s: the status counts nothing that was put back", f.name)
	}
	var longest []time.Duration
	for _, c := range stream.count(t) {
		gap := 0
		if len(c.gaps) > 0 {
			gap = slices.Max(c.gaps)
		}
		longest = append(longest, time.Duration(gap)*time.Second/rate)
	}
	w.faults++
	t.Logf("%s: well after %s, %d put back, longest gap outbound and inbound %s",
		f.name, took.Round(time.Millisecond), healed, longest)
}

// wantProblem waits until the program's status has the problem.
func (w *ward) wantProblem(t testing.TB, what string) {
	t.Helper()
	eventually(t, "status says "+what, func() bool {
		out := op25b(t, w.network.Gateway, "status", "--json", "--socket", w.socket())
		var s control.Status
		if err := json.Unmarshal([]byte(out.stdout), &s); err != nil {
			t.Fatalf("status: exit %d, %v\n%s%s", out.code, err, out.stdout, out.stderr)
		}
		i := slices.IndexFunc(s.Problems, func(p control.Problem) bool { return strings.Contains(p.What, what) })
		if i < 0 {
			return false
		}
		if p := s.Problems[i]; out.code != 3 || s.State != control.StateDegraded || p.Effect == "" || p.Fix == "" || p.Since.IsZero() {
			t.Errorf("status: exit %d, %s, %+v", out.code, s.State, p)
		}
		return true
	})
}

// wantWell waits until the gateway says that all is well, and it is.
func (w *ward) wantWell(t testing.TB, after string) {
	t.Helper()
	var s control.Status
	var now string
	well := func() bool {
		var err error
		if s, err = w.ask(t); err != nil || s.State != control.StateOK {
			return false
		}
		now = w.kernel()
		return now == w.state
	}
	for deadline := time.Now().Add(patience); !well(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %q: %s, %+v; the machine (-before +now):\n%s", after, s.State, s.Problems, cmp.Diff(w.state, now))
		}
	}
	if s.PID != w.pid {
		t.Fatalf("after %q: process %d where %d was", after, s.PID, w.pid)
	}
	w.wantService(t)
}

// wantService waits until subscribers get what they should, and through the gateway.
func (w *ward) wantService(t testing.TB) {
	t.Helper()
	for _, f := range w.network.Families() {
		a := f.Addrs()
		eventually(t, f.String()+": subscribers get what they should", func() bool {
			return dial(t, w.network.Static, at(a.MX, lab.PortSMTP)).outcome == connected &&
				dial(t, w.network.Dynamic, at(a.MSA, lab.PortSMTP)).outcome == connected &&
				dial(t, w.network.Dynamic, at(a.MX, lab.PortSMTP)).outcome == refused
		})
	}
	before := w.status(t).Refused
	eventually(t, "the gateway refuses", func() bool {
		return dial(t, w.network.Dynamic, at(lab.IPv4.Addrs().MX, lab.PortSMTP)).outcome == refused && w.status(t).Refused > before
	})
}

// changing is what is not the same in the kernel's state once a link was made anew.
var changing = regexp.MustCompile(`(?m)^\d+: |@if\d+`)

// kernel is the state of the gateway's kernel, as far as packets depend on it.
func (w *ward) kernel() string {
	// In one process: it is asked for often.
	out, err := w.network.Gateway.Output(exec.Command("sh", "-c",
		"ip addr; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; nft list ruleset"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(changing.ReplaceAllString(string(steady(out)), ""), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// linesPerSecond is how much a gateway may log, whatever happens.
const linesPerSecond = 10

// close wants everything to have gone well: the same process, nothing leaked, no flood
// in its log, no packet unaccounted for, and port 25 never open.
func (w *ward) close(t testing.TB) {
	t.Helper()
	for _, d := range w.doors {
		d.end(t)
	}
	// Threads by which the kernel reads for us end some seconds after their last work.
	w.wantNoMore(t, resources{w.before.descriptors, w.before.threads + 6})
	w.wantQuietLog(t)
	select {
	case <-w.current.ended:
		t.Errorf("the gateway ended: %v", w.current.err)
	default:
	}
	w.stopConserved(t)
	t.Logf("%d faults in %s", w.faults, time.Since(w.opened).Round(time.Second))
}

// wantQuietLog counts the lines of each second.
func (w *ward) wantQuietLog(t testing.TB) {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(w.current.output()) {
		var stamped struct {
			TS string `json:"ts"`
		}
		if json.Unmarshal([]byte(line), &stamped) == nil && len(stamped.TS) > len(time.DateTime) {
			count[stamped.TS[:len(time.DateTime)]]++
		}
	}
	for second, lines := range count {
		if lines > linesPerSecond {
			t.Errorf("%d lines in the log within the second %s", lines, second)
		}
	}
}

// inModes opens a ward for each of two modes in which all differs in the kernel around
// the gateway.
func inModes(t *testing.T, do func(t *testing.T, w *ward)) {
	t.Helper()
	for _, opts := range []lab.ConfigOptions{
		{Capture: "all", ReturnPath: "kernel"}, {Capture: "smtp", ReturnPath: "router"},
	} {
		t.Run(modeName(opts), func(t *testing.T) {
			t.Parallel()
			w := openWard(t, opts)
			do(t, w)
			w.close(t)
		})
	}
}
