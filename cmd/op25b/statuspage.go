// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"op25b/control"
	"op25b/human"
)

// page is the status as people read it: what matters first, one screen while all
// is well.
type page struct {
	bytes.Buffer

	status *control.Status
	now    time.Time
}

// statusPage returns the page as of now.
func statusPage(s *control.Status, now time.Time) []byte {
	p := &page{status: s, now: now}
	p.state()
	p.problems()
	p.policy()
	p.interfaces()
	p.history()
	p.packets()
	p.workers()
	p.trouble()
	return p.Bytes()
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// table writes rows of cells below each other, names to the left and numbers to
// the right, which text/tabwriter cannot do in one table.
func (p *page) table(rows ...[]string) {
	if len(rows) < 2 { // the heading alone
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	p.printf("\n")
	for _, row := range rows {
		p.printf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			p.printf("  %*s", widths[i+1], cell)
		}
		p.printf("\n")
	}
}

func (p *page) state() {
	s := p.status
	p.printf("op25b is %s: process %d, for %s, version %s", s.State, s.PID, p.since(s.Started), s.Version)
	if len(s.Revision) >= 12 {
		p.printf(" (%s)", s.Revision[:12])
	}
	p.printf("\n")
}

func (p *page) problems() {
	for _, problem := range p.status.Problems {
		p.printf("\nproblem for %s: %s\n", p.since(problem.Since), problem.What)
		if problem.Effect != "" {
			p.printf("  effect: %s\n", problem.Effect)
		}
		if problem.Fix != "" {
			p.printf("  fix: %s\n", problem.Fix)
		}
	}
}

func (p *page) policy() {
	s, policy := p.status, &p.status.Policy
	ports := make([]string, len(policy.Ports))
	for i, port := range policy.Ports {
		ports[i] = strconv.Itoa(int(port))
	}
	p.printf("\npolicy      generation %d, for %s, from %s\n", policy.Generation, p.since(policy.Loaded), policy.File)
	p.printf("            ports %s refused to %s of %d in %s\n", strings.Join(ports, ", "),
		plural(policy.DynamicPrefixes, "dynamic prefix", "dynamic prefixes"), policy.Prefixes, plural(policy.Pools, "pool", "pools"))
	p.printf("            capture %s, return path %s, on exit %s\n", s.Capture, s.ReturnPath, s.OnExit)
	p.rollout()
	if r := s.Reload; r != nil && !r.OK {
		p.printf("            the last reload, %s ago, was refused: %s\n", p.since(r.Time),
			strings.ReplaceAll(r.Error, "\n", "\n            "))
	}
}

// rollout says what is in force of it, and what comes next.
func (p *page) rollout() {
	policy := &p.status.Policy
	for _, a := range policy.Active {
		words := []string{a.Mode, cmp.Or(strings.Join(a.Pools, ", "), "every pool"), "to " + cmp.Or(strings.Join(a.Destinations, ", "), "everywhere")}
		if a.SharePercent < 100 { //nolint:mnd // percent
			words = append(words, strconv.FormatFloat(a.SharePercent, 'f', -1, 64)+"% of the subscribers")
		}
		if !a.Until.IsZero() {
			words = append(words, "until "+clockTime(a.Until))
		}
		p.printf("            %s, since %s: %s\n", a.Name, clockTime(a.Since), strings.Join(words, ", "))
	}
	if n := policy.Next; n != nil {
		p.printf("            next at %s: %s\n", clockTime(n.Time), strings.Join(n.What, ", "))
	}
	if e := policy.Exemptions; e.Active+e.Expired > 0 {
		p.printf("            %s; ending within two weeks: %d; ended already: %d\n",
			plural(e.Active, "exemption", "exemptions"), e.Expiring, e.Expired)
	}
}

// history says who tells who has an address, and what is kept.
func (p *page) history() {
	label := "leases"
	if len(p.status.Leases) > 0 {
		p.printf("\n")
	}
	for _, l := range p.status.Leases {
		said := "never heard"
		if !l.LastSuccess.IsZero() {
			said = "heard " + p.since(l.LastSuccess) + " ago"
		}
		p.printf("%-10s  %s (%s): %s, %s\n", label, l.Name, l.Kind, plural(l.Leases, "lease", "leases"), said)
		label = ""
	}
	if j := p.status.Journal; j != nil {
		const mebi = 1 << 20
		p.printf("\njournal     %s: %.1f MiB, %d waiting, %d lost\n", j.Path, float64(j.Size)/mebi, j.Waiting, j.Lost)
	}
}

func (p *page) interfaces() {
	label := "interfaces"
	for _, i := range p.status.Interfaces {
		extra := ""
		if i.IOUring {
			extra += ", io_uring"
		}
		if i.Adopted {
			extra += ", adopted"
		}
		p.printf("%-10s  %s: %s, MTU %d, %s, offload %s%s\n", label, i.Name, i.Role, i.MTU,
			plural(i.Queues, "queue", "queues"), cmp.Or(i.Offload, "none"), extra)
		label = ""
	}
}

func (p *page) packets() {
	s := p.status
	p.table(byDirection("packets", s.Packets)...)
	p.table(byDirection("dropped because of", s.Drops)...)
	p.table(byDirection("let through in spite of", s.MonitoredReasons)...)
	p.printf("\n%s to blocked ports refused\n", human.Counted(s.Refused, "packet", "packets"))
	if s.Monitored > 0 {
		p.printf("%s that would have been, and went through\n", human.Counted(s.Monitored, "more", "more"))
	}
	if s.Shed > 0 {
		p.printf("%s of floods dropped by the kernel before that, above forwarding.answers.total\n", human.Counted(s.Shed, "more", "more"))
	}
	p.attempts()
}

// attempts says what those packets were about, and who was told why.
func (p *page) attempts() {
	s := p.status
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(s.Attempts.Outcomes)) {
		if n := s.Attempts.Outcomes[outcome]; n > 0 {
			words = append(words, human.Count(n)+" "+strings.ReplaceAll(outcome, "_", " "))
		}
	}
	if len(words) > 0 {
		p.printf("attempts, with retries as one: %s\n", strings.Join(words, ", "))
	}
	if lost := s.Attempts.Lost + s.Attempts.Overflowed; lost > 0 {
		p.printf("%s could not be counted as attempts: there were too many\n", human.Counted(lost, "packet", "packets"))
	}
	if n := s.Notice; n.Greeted+n.FellBack > 0 {
		p.printf("%s told why by a notice, %d now; %s reset, since there were too many\n", human.Counted(n.Greeted, "connection", "connections"), n.Open, human.Count(n.FellBack))
	}
	if c := s.SelfCheck; c.Requests+c.Refused > 0 {
		p.printf("%s to the self-check page; %s refused, since there were too many\n", human.Counted(c.Requests, "request", "requests"), human.Count(c.Refused))
	}
}

// byDirection makes a heading, and a row of each name that counts in a direction:
// frames and octets first, then the largest.
func byDirection(what string, counts map[string]map[string]uint64) [][]string {
	outbound, inbound := counts["outbound"], counts["inbound"]
	total := map[string]uint64{}
	for _, direction := range []map[string]uint64{outbound, inbound} {
		for name, n := range direction {
			total[name] += n
		}
	}
	rank := func(name string) int { return slices.Index([]string{"octets", "frames"}, name) }
	names := slices.SortedFunc(maps.Keys(total), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(total[b], total[a]), cmp.Compare(a, b))
	})
	rows := [][]string{{what, "outbound", "inbound"}}
	for _, name := range names {
		if total[name] > 0 {
			rows = append(rows, []string{"  " + name, human.Count(outbound[name]), human.Count(inbound[name])})
		}
	}
	return rows
}

func (p *page) workers() {
	rows := [][]string{{"workers", "frames", "octets", "moved"}}
	for _, w := range p.status.Workers {
		moved := "not yet"
		if !w.Progress.IsZero() {
			moved = p.since(w.Progress) + " ago"
		}
		if w.Stalled {
			moved = "STALLED, " + moved
		}
		rows = append(rows, []string{fmt.Sprintf("  %s %d", w.Direction, w.Queue), human.Count(w.Frames), human.Count(w.Octets), moved})
	}
	p.table(rows...)
}

func (p *page) trouble() {
	s := p.status
	rows := [][]string{{"errors", "times"}}
	for _, class := range slices.Sorted(maps.Keys(s.Errors)) {
		if n := s.Errors[class]; n > 0 {
			rows = append(rows, []string{"  " + class, human.Count(n)})
		}
	}
	p.table(rows...)
	if s.Healed > 0 {
		p.printf("\n%s by others to the kernel's settings put back\n", human.Counted(s.Healed, "change", "changes"))
	}
	if s.PanicsTotal > 0 {
		p.printf("\n%s dropped because of a fault of op25b; report the latest:\n", human.Counted(s.PanicsTotal, "packet", "packets"))
	}
	for _, panicked := range s.Panics {
		p.printf("  %s ago, %s: %s\n    %s\n", p.since(panicked.Time), panicked.Direction, panicked.Reason, panicked.Packet)
	}
}

// since says how long ago something was.
func (p *page) since(t time.Time) string {
	if t.IsZero() { // a gateway that is only starting
		return "an unknown time"
	}
	return human.Span(p.now.Sub(t))
}
