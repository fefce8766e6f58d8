// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"op25b/config"
	"op25b/control"
	"op25b/filter"
	"op25b/stack"
	"op25b/tunnel"
)

// Status says how the gateway is. See [control.Gateway].
func (g *gateway) Status() control.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	counted := g.counted()
	stats := &counted.stats
	version := buildVersion()
	s := control.Status{
		Version: version.Version, Revision: version.Revision, PID: os.Getpid(), Started: g.started,
		State: g.state, Problems: g.problems(time.Now()),
		Policy: control.PolicyStatus{
			Generation: g.generation, Loaded: g.loaded, File: g.path, Pools: len(g.rules.cfg.Policy.Pools),
			Prefixes: g.size.Prefixes, DynamicPrefixes: g.size.DynamicPrefixes, Ports: g.rules.cfg.Policy.Ports,
		},
		Reload:  g.reloaded,
		Capture: string(g.rules.cfg.Forwarding.Capture), ReturnPath: string(g.rules.cfg.Forwarding.ReturnPath), OnExit: string(g.rules.cfg.Forwarding.OnExit),
		Packets: packetCounts(stats), Verdicts: verdictCounts(stats), Drops: reasonCounts(stats, filter.Drop), Refused: stats.Refused(),
		Monitored: stats.Monitored(), MonitoredReasons: reasonCounts(stats, filter.Monitored),
		Errors: counted.errors, Healed: counted.healed, Shed: counted.shed, PanicsTotal: counted.panics,
	}
	g.reportAttempts(&s, &counted)
	g.reportRollout(&s.Policy)
	g.history.report(&s)
	if len(s.Problems) > 0 && s.State == control.StateOK {
		s.State = control.StateDegraded
	}
	if g.data != nil {
		g.data.report(&s, g.progress)
	}
	return s
}

// report adds what the present data path knows by itself.
func (d *dataPath) report(s *control.Status, progress []stack.Progress) {
	for dir, role := range [filter.NumDirections]control.Role{filter.Outbound: control.RoleSubscriber, filter.Inbound: control.RoleUpstream} {
		p := d.ports[dir]
		granted, _ := p.Offload()
		s.Interfaces = append(s.Interfaces, control.InterfaceStatus{
			Name: p.Name(), Role: role, MTU: p.MTU(), Queues: len(p.Queues()), Offload: granted.String(), IOUring: d.batch, Adopted: p.Adopted(),
		})
	}
	for _, w := range progress {
		s.Workers = append(s.Workers, control.WorkerStatus{
			Direction: w.Direction.String(), Queue: w.Lane, Frames: w.Frames, Octets: w.Octets,
			Progress: w.Moved, Stalled: time.Since(w.Moved) > stall+beat,
		})
	}
	last, _ := d.router.Panics()
	for _, p := range slices.Backward(last) {
		s.Panics = append(s.Panics, control.PanicStatus{
			Time: p.Time, Direction: p.Direction.String(), Reason: p.What, Packet: hex.EncodeToString(p.Packet),
		})
	}
}

// problems are what is wrong now, each since it was first seen. g.mu is held.
func (g *gateway) problems(now time.Time) []control.Problem {
	var found []control.Problem
	say := func(what, effect, fix string) {
		found = append(found, control.Problem{What: what, Effect: effect, Fix: fix})
	}
	const reportIt = "report it, with what `op25b status --json` has under panics"
	if g.lost != nil {
		say("packets do not flow through op25b: "+g.lost.Error(),
			"the kernel forwards by itself; "+remainsWhileLost(g.rules.cfg.Forwarding.OnExit),
			"nothing, if somebody is at work on the interfaces: it is tried again every few seconds; else see the log")
	}
	if g.data != nil {
		trouble, _ := g.data.host.Trouble()
		for _, err := range oneByOne(trouble) {
			what, fix := err.Error(), "put the machine right; `op25b check --live` says what op25b needs"
			if hint, ok := errors.AsType[*tunnel.Hint](err); ok {
				what, fix = hint.Err.Error(), hint.Fix
			}
			say(what, "subscribers' traffic may bypass op25b or stop", fix)
		}
		if last, total := g.data.router.Panics(); len(last) > 0 && now.Sub(last[len(last)-1].Time) < time.Hour {
			say(fmt.Sprintf("%d packets could not be handled because of a fault of op25b", total), "those packets are lost, others flow", reportIt)
		}
	}
	g.rolloutProblems(say)
	if g.stalled {
		say("a worker has packets and does not get on", "a part of the subscribers' traffic waits",
			"nothing: op25b ends by itself if it lasts, and the kernel forwards then; see the log")
	}
	if g.reloaded != nil && !g.reloaded.OK {
		say("the last reload was refused: "+g.reloaded.Error, "the policy from before is in force", "correct "+g.path+" and type: op25b reload")
	}
	since := map[string]time.Time{}
	for i := range found {
		p := &found[i]
		p.Since = now
		if first, known := g.since[p.What]; known {
			p.Since = first
		}
		since[p.What] = p.Since
	}
	g.since = since
	return found
}

// oneByOne returns the errors that were joined.
func oneByOne(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, oneByOne(e)...)
	}
	return all
}

func remainsWhileLost(onExit config.OnExit) string {
	switch onExit {
	case config.OnExitForward:
		return "blocked ports are open"
	case config.OnExitBlackhole:
		return "nothing is forwarded"
	default:
		return "blocked ports stay shut"
	}
}

// reportAttempts adds what is counted of attempts, and how those are served who ask why.
// g.mu is held.
func (g *gateway) reportAttempts(s *control.Status, counted *tally) {
	h := g.tried.book.Health()
	s.Attempts = control.AttemptsStatus{
		Outcomes: byOutcome(h.Attempts), Lost: counted.attemptsLost, Subscribers: h.Subscribers, Overflowed: h.Overflowed, Watchers: h.Watchers,
	}
	s.Notice = control.NoticeStatus{Greeted: counted.notice.Greeted, FellBack: counted.notice.FellBack}
	if g.data != nil {
		s.Attempts.Queued, s.Attempts.Room, _ = g.data.router.AttemptsWaiting()
		s.Notice.Open = g.data.router.Notice().Open
	}
	if g.page != nil {
		p := g.page.Stats()
		s.SelfCheck = control.SelfCheckStatus{Open: p.Open, Requests: p.Requests, Refused: p.Refused}
	}
}

// verdictCounts has what was decided, by direction, action and reason.
func verdictCounts(s *stack.Stats) map[string]map[string]map[string]uint64 {
	all := map[string]map[string]map[string]uint64{}
	for a := range filter.NumActions {
		for d, reasons := range reasonCounts(s, a) {
			if all[d] == nil {
				all[d] = map[string]map[string]uint64{}
			}
			if len(reasons) > 0 {
				all[d][a.String()] = reasons
			}
		}
	}
	return all
}

// packetCounts has frames, octets and fates by direction.
func packetCounts(s *stack.Stats) map[string]map[string]uint64 {
	all := map[string]map[string]uint64{}
	for d := range filter.NumDirections {
		counts := map[string]uint64{"frames": s.Frames[d], "octets": s.Octets[d]}
		for f := range stack.NumFates {
			counts[f.String()] = s.Fates[d][f]
		}
		all[d.String()] = counts
	}
	return all
}

// reasonCounts has what got an action by verdict, by direction and reason.
func reasonCounts(s *stack.Stats, a filter.Action) map[string]map[string]uint64 {
	all := map[string]map[string]uint64{}
	for d := range filter.NumDirections {
		counts := map[string]uint64{}
		for r := range filter.NumReasons {
			if n := s.Verdicts[d][a][r]; n > 0 {
				counts[r.String()] = n
			}
		}
		all[d.String()] = counts
	}
	return all
}
