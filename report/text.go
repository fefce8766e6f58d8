// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"op25b/census"
	"op25b/human"
)

// TextOptions say what a terminal can show.
type TextOptions struct {
	// Width is how many columns there are. Zero: 80. Below 40 it is taken as 40.
	Width int
	// Plain is for what is no terminal, or a simple one: no bold titles, bars of ASCII.
	Plain bool
	// Findings is how many are shown. Zero: 20. Below zero: all.
	Findings int
}

const (
	defaultWidth   = 80
	narrowest      = 40
	shownFindings  = 20
	shownSteps     = 72 // of the trend: hours of three days, or days
	shownTop       = 3  // destinations of a finding
	narrowestBar   = 10
	evidenceIndent = "    "
)

// page is text as it is written.
type page struct {
	bytes.Buffer

	width int
	plain bool
}

// WriteText writes the report for people at a terminal. The first part is sentences;
// tables that are wider than the terminal go on below. The error is the writer's.
func (r *Report) WriteText(w io.Writer, opts TextOptions) error {
	if opts.Width == 0 {
		opts.Width = defaultWidth
	}
	if opts.Findings == 0 {
		opts.Findings = shownFindings
	}
	p := &page{width: max(opts.Width, narrowest), plain: opts.Plain}
	r.textHead(p)
	r.textPools(p)
	r.textPhases(p)
	r.textFindings(p, opts.Findings)
	r.textTriangular(p)
	r.textExemptions(p)
	r.textTrend(p)
	_, err := w.Write(p.Bytes())
	return err
}

// title begins a part.
func (p *page) title(text string) {
	if p.Len() > 0 {
		p.line("")
	}
	if p.plain {
		p.line(strings.ToUpper(text))
		return
	}
	p.line("\x1b[1m" + text + "\x1b[0m")
}

func (p *page) line(text string) {
	p.WriteString(text)
	p.WriteByte('\n')
}

// say writes a sentence, each line of it after an indent.
func (p *page) say(indent, text string) {
	for _, line := range wrap(text, p.width-len(indent), "") {
		p.line(indent + line)
	}
}

func (p *page) table(t *table) {
	for _, line := range t.lines(p.width) {
		p.line(line)
	}
}

func (r *Report) textHead(p *page) {
	p.title("Attempts to reach a blocked port")
	p.say("", fmt.Sprintf("%s to %s, made %s", r.when(r.From), r.when(r.To), r.when(r.Made)))
	p.line("")
	for _, sentence := range r.headlines() {
		p.say("", sentence)
	}
	for _, note := range r.Notes {
		p.say("", "Note: "+clean(note))
	}
}

func (r *Report) textPools(p *page) {
	p.title("Pools")
	if len(r.Pools) == 0 {
		p.line("There are no dynamic pools, and nothing was counted.")
		return
	}
	t := table{columns: append(names("pool"), numbers("subscribers", "infected", "mail programs", "unclear",
		"refused", "monitored", "not in force", "exempt", "relayed")...)}
	for i := range r.Pools {
		t.row(append([]string{clean(r.Pools[i].Pool)}, eachThousands(r.Pools[i].numbers())...)...)
	}
	if len(r.Pools) > 1 {
		t.row(append([]string{"all"}, eachThousands(r.Totals.numbers())...)...)
	}
	p.table(&t)
}

// numbers are the row's, in the order that every format has.
func (r *PoolRow) numbers() []uint64 {
	return append([]uint64{r.Subscribers, r.Infected, r.Mailers, r.Unclear}, r.attempts()...)
}

func (t *Totals) numbers() []uint64 {
	return append([]uint64{t.Subscribers, t.Infected, t.Mailers, t.Unclear}, t.attempts()...)
}

// attempts are by outcome.
func (c *Counts) attempts() []uint64 {
	return []uint64{c.Refused, c.Monitored, c.NotInForce, c.Exempt, c.Relayed}
}

func eachThousands(all []uint64) []string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = human.Count(n)
	}
	return texts
}

func (r *Report) textPhases(p *page) {
	p.title("Phases of the rollout")
	if len(r.Phases) == 0 {
		p.line("There is no rollout: what is blocked is blocked for every dynamic pool.")
		return
	}
	t := table{columns: append(names("phase", "mode", "state", "start", "end"), numbers("subscribers", "attempts")...)}
	for i := range r.Phases {
		row := &r.Phases[i]
		t.row(clean(row.Phase), clean(row.Mode), clean(row.State), r.when(row.Start), r.when(row.End),
			human.Count(row.Subscribers), human.Count(row.Attempts))
	}
	p.table(&t)
}

func (r *Report) textFindings(p *page, most int) {
	p.title("Findings")
	if len(r.Findings) == 0 {
		p.line("There is nothing to find: nobody tried.")
		return
	}
	p.say("", "Advice, not proof. Evidence with + speaks for an infected computer, with - for a mail program.")
	for i := range r.Findings {
		if i == most {
			p.line("")
			p.say("", human.Counted(uint64(len(r.Findings)-i), "more is", "more are")+" in the HTML page, the CSV table findings, and JSON.")
			break
		}
		p.line("")
		r.textFinding(p, &r.Findings[i])
	}
}

func (r *Report) textFinding(p *page, f *Finding) {
	p.say("", fmt.Sprintf("%s: %s, %s sure, pool %s", address(clean(f.Subscriber)), looksLike(f.Kind), sure(f.Confidence), clean(f.Pool)))
	if f.Holder != "" {
		p.say("  ", "held by "+clean(f.Holder))
	}
	p.say("  ", fmt.Sprintf("%s in %s (%s), %s to %s", human.Counted(tries(f.Attempts), "attempt", "attempts"),
		human.Counted(f.Hours, "hour", "hours"), outcomes(f.Attempts), r.when(f.First), r.when(f.Last)))
	for _, e := range f.Evidence {
		for i, line := range wrap(fmt.Sprintf("%+.1f  %s", e.Weight, clean(e.Text)), p.width-len(evidenceIndent)-1, "     ") {
			if i == 0 {
				line = strings.Replace(line, " ", "  ", 1)
			}
			p.line(evidenceIndent + line)
		}
	}
	if len(f.Top) > 0 {
		p.say("  ", "most to "+mostTo(f.Top))
	}
}

// mostTo names the first destinations.
func mostTo(top []census.Destination) string {
	var said []string
	for _, d := range top[:min(len(top), shownTop)] {
		said = append(said, fmt.Sprintf("%s port %d (%s)", address(d.Prefix.String()), d.Port, human.Count(d.Attempts)))
	}
	return strings.Join(said, ", ")
}

func (r *Report) textTriangular(p *page) {
	p.title("Triangular spam")
	if len(r.Triangular) == 0 {
		p.line("Nothing: no mail server answered somebody who had not called it.")
		return
	}
	p.say("", "Mail servers answered these subscribers, who had not called them. Where a session goes on (data),"+
		" the subscriber may pass on what the servers say; without, somebody forges the address (backscatter).")
	t := table{columns: append(names("subscriber", "kind"), numbers("servers", "with data", "data", "SYN-ACKs", "resets")...)}
	t.columns = append(t.columns, names("pool", "first", "last", "holder")...)
	for i := range r.Triangular {
		s := &r.Triangular[i]
		t.row(address(clean(s.Subscriber)), clean(s.Kind), human.Count(s.Peers), human.Count(s.DataPeers), human.Count(s.Data),
			human.Count(s.SYNACKs), human.Count(s.Resets), clean(s.Pool), r.when(s.First), r.when(s.Last), orNothing(clean(s.Holder)))
	}
	p.table(&t)
}

func (r *Report) textExemptions(p *page) {
	p.title("Exemptions that end")
	if len(r.Exemptions) == 0 {
		p.line("Nothing: no exemption ends soon, and none that has ended is left in the file.")
		return
	}
	t := table{columns: append(names("prefix", "until", ""), numbers("used")...)}
	t.columns = append(t.columns, names("ticket", "by", "reason")...)
	for i := range r.Exemptions {
		e := &r.Exemptions[i]
		t.row(clean(e.Prefix), r.when(e.Until), r.ended(e), human.Count(e.Used), orNothing(clean(e.Ticket)), orNothing(clean(e.By)), clean(e.Reason))
	}
	p.table(&t)
}

// ended says whether an exemption was over when the report was made.
func (r *Report) ended(e *Exemption) string {
	if e.Until.After(r.Made) {
		return "ends"
	}
	return "ended"
}

func (r *Report) textTrend(p *page) {
	p.title("Trend by " + r.stepName())
	steps := r.Trend[max(0, len(r.Trend)-shownSteps):]
	largest := uint64(0)
	for i := range steps {
		largest = max(largest, steps[i].Blocked())
	}
	if largest == 0 {
		p.line("Nothing: no attempt was or would be refused.")
		return
	}
	if earlier := len(r.Trend) - len(steps); earlier > 0 {
		p.say("", fmt.Sprintf("The latest %d; %d earlier ones are in the HTML page, the CSV table trend, and JSON.", len(steps), earlier))
	}
	marks := [3]string{"█", "▒", "░"}
	if p.plain {
		marks = [3]string{"#", "=", "-"}
	}
	p.say("", fmt.Sprintf("%s refused, %s monitored, %s not in force", marks[0], marks[1], marks[2]))
	t := table{columns: append(names(r.stepName()), numbers("subscribers", "refused", "monitored", "not in force")...)}
	for i := range steps {
		s := &steps[i]
		t.row(r.stepLabel(s), human.Count(s.Subscribers), human.Count(s.Refused), human.Count(s.Monitored), human.Count(s.NotInForce))
	}
	lines := t.lines(p.width)
	room := p.width - cells(lines[len(lines)-1]) - gap
	titles := len(lines) - len(steps)
	for i, line := range lines {
		if i >= titles && room >= narrowestBar && titles <= mostTitleLines {
			line += strings.Repeat(" ", gap) + bar(&steps[i-titles].Counts, largest, room, marks)
		}
		p.line(line)
	}
}

// bar is as long as the attempts that are or would be refused. Any attempt is seen.
func bar(c *Counts, largest uint64, room int, marks [3]string) string {
	var drawn strings.Builder
	var sum uint64
	end := 0
	for i, n := range []uint64{c.Refused, c.Monitored, c.NotInForce} {
		if n == 0 {
			continue
		}
		sum += n
		until := max(end+1, int(share(uint64(room), sum, largest)))
		until = min(until, room)
		drawn.WriteString(strings.Repeat(marks[i], until-end))
		end = until
	}
	return drawn.String()
}

func (r *Report) stepName() string {
	if byDay(r.Trend) {
		return "day"
	}
	return "hour"
}

// stepLabel is when a step begins.
func (r *Report) stepLabel(s *Point) string {
	at := s.Time.In(r.From.Location())
	if byDay(r.Trend) {
		return at.Format("Mon 2006-01-02")
	}
	return at.Format("2006-01-02 15:04")
}
