// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"op25b/control"
	"op25b/human"
)

// narrow is below how many columns words are shortened.
const narrow = 60

// head says what the gateway is and what is wrong.
func (m *model) head() []row {
	s := m.now.status
	look := lookWarn
	switch s.State {
	case control.StateOK:
		look = lookGood
	case control.StateDegraded:
		look = lookBad
	default:
	}
	left := row{strong("op25b "), piece{string(s.State), look}, say("  for " + since(s.Started, m.now.at))}
	if m.width >= narrow {
		left = append(left, dim("  "+s.Version))
	}
	rows := []row{m.withClock(left)}
	if m.failure != nil {
		rows = append(rows, row{piece{"no answer for " + human.Span(m.failed.Sub(m.now.at)) + ": " + m.failure.Error(), lookBad}})
	}
	for i, p := range s.Problems {
		if i == 2 && len(s.Problems) > 3 {
			rows = append(rows, row{piece{fmt.Sprintf("%d more problems: op25b status", len(s.Problems)-i), lookBad}})
			break
		}
		text := "problem: " + p.What
		if p.Fix != "" {
			text += "; fix: " + p.Fix
		}
		rows = append(rows, row{piece{text, lookBad}})
	}
	return append(rows, m.policy()...)
}

// withClock puts the time of the reading at the right end.
func (m *model) withClock(left row) row {
	used := 0
	for _, p := range left {
		used += lipgloss.Width(m.paint.clean(p.text))
	}
	right := clock(m.now.at, m.zone)
	if m.paused {
		right = "paused at " + right
	}
	if pad := m.width - used - len(right); pad > 1 {
		return append(left, say(strings.Repeat(" ", pad)), piece{right, lookDim})
	}
	return left
}

// policy says what is in force, and what comes next.
func (m *model) policy() []row {
	p := &m.now.status.Policy
	var active []string
	for _, a := range p.Active {
		text := a.Name + " " + a.Mode
		if a.SharePercent < 100 {
			text += fmt.Sprintf(" %g%%", a.SharePercent)
		}
		active = append(active, text)
	}
	in := "no phase in force"
	if len(active) > 0 {
		in = strings.Join(active, ", ")
	}
	rows := []row{{dim("policy    "), say(fmt.Sprintf("generation %d: %s", p.Generation, in))}}
	if n := p.Next; n != nil {
		rows = append(rows, row{dim("next      "), say(n.Time.In(m.zone).Format("2006-01-02 15:04") + ": " + strings.Join(n.What, ", "))})
	}
	return rows
}

// traffic says what passes, in both directions, and what is refused.
func (m *model) traffic() []row {
	var rows []row
	for _, direction := range []string{"outbound", "inbound"} {
		f := m.rates.direction[direction]
		text := fmt.Sprintf("%12s", bitRate(f.bits, m.rates.known))
		if m.width >= narrow {
			text += fmt.Sprintf("  %14s", strings.Replace(perSecond(f.frames, m.rates.known), "/s", " frames/s", 1))
		}
		graph := m.width - 10 - len(text) - 2
		rows = append(rows, row{dim(fmt.Sprintf("%-10s", direction)), strong(text), say("  "), piece{m.paint.spark(m.history[direction], graph), lookGraph}})
	}
	s := m.now.status
	r := row{
		dim("refused   "), strong(fmt.Sprintf("%12s", perSecond(m.rates.refused, m.rates.known))),
		dim("  monitored "), say(perSecond(m.rates.monitored, m.rates.known)),
	}
	if s.Shed > 0 {
		r = append(r, dim("  shed "), piece{perSecond(m.rates.shed, m.rates.known), lookWarn})
	}
	rows = append(rows, r)
	return append(rows, m.attempts())
}

// attempts says what they became since the hour began.
func (m *model) attempts() row {
	top := m.now.top
	counts, label := top.Attempts, "since "+top.Since.In(m.zone).Format("15:04")
	if top.Time.IsZero() || top.Since.IsZero() {
		counts, label = m.now.status.Attempts.Outcomes, "attempts"
	}
	r := row{dim(fmt.Sprintf("%-12s", label))}
	for i, outcome := range outcomes() {
		if i > 0 {
			r = append(r, say("  "))
		}
		r = append(r, dim(strings.ReplaceAll(outcome, "_", " ")+" "), say(human.Count(counts[outcome])))
	}
	if lost := max(top.Lost, m.now.status.Attempts.Lost); lost > 0 {
		r = append(r, piece{"  lost " + human.Count(lost), lookWarn})
	}
	return r
}

// outcomes in the order in which they matter.
func outcomes() []string {
	return []string{"refused", "monitored", "not_in_force", "exempt", "relayed"}
}

// tabs shows which pane is chosen.
func (m *model) tabs() row {
	var r row
	used := 0
	for p := range numPanes {
		title := p.title()
		if m.width < narrow {
			title = p.short()
		}
		look := lookDim
		if p == m.pane {
			title, look = "["+title+"]", lookChosen
		} else {
			title = " " + title + " "
		}
		r = append(r, piece{title, look})
		used += len(title)
	}
	return append(r, dim(" "+m.paint.rule(m.width-used-1)))
}

// foot says which keys there are.
func (m *model) foot() row {
	pause := "p pause"
	if m.paused {
		pause = "p go on"
	}
	keys := []string{"q quit", pause, "s sort", "tab pane", "+- every " + m.interval.String(), "? help"}
	if m.width < narrow {
		keys = []string{"q quit", "p", "s", "tab", "+- " + m.interval.String(), "? help"}
	}
	return row{dim(strings.Join(keys, "  "))}
}

// help takes the place of all else.
func (m *model) help() []row {
	rows := []row{{strong("op25b top")}, {}}
	for _, line := range [][2]string{
		{"q, ctrl+c", "quit"},
		{"p, space", "pause: what is shown stays, and the gateway is not asked"},
		{"s", "sort by the next column; * marks it"},
		{"tab, left, right", "choose what the table shows"},
		{"up, down", "move in the table"},
		{"+, -", "ask more often, less often"},
		{"?", "back"},
	} {
		rows = append(rows, row{strong(fmt.Sprintf("%-18s", line[0])), say(line[1])})
	}
	return append(rows, row{}, row{dim("Attempts are counted since the hour began; retries of one are one.")},
		row{dim("What is per second is the difference of the last two readings.")})
}

// waiting is shown until a gateway has answered for the first time.
func (m *model) waiting() []row {
	if m.failure == nil {
		return []row{{dim("asking the gateway")}}
	}
	return []row{{strong("op25b "), piece{"no answer", lookBad}}, {say(m.failure.Error())}, {}, {dim("It is asked again every " + m.interval.String() + "; q quits.")}}
}

// screenful is all of it, exactly as high as the terminal.
func (m *model) screenful() []row {
	switch {
	case m.helping:
		return fit(m.help(), m.height)
	case m.now.status == nil:
		return fit(m.waiting(), m.height)
	}
	rows := append(m.head(), m.traffic()...)
	// The table keeps three lines and the keys one, whatever is wrong.
	rows = rows[:min(len(rows), max(1, m.height-5))]
	rows = append(rows, m.tabs())
	room := m.height - len(rows) - 1
	rows = append(rows, m.pane.table(&m.now, &m.rates, m.zone, m.order[m.pane]).rows(m.paint, m.width, room, m.offset)...)
	return append(fit(rows, max(0, m.height-1)), m.foot())
}

// fit cuts rows, or fills them up with empty ones.
func fit(rows []row, height int) []row {
	rows = rows[:min(len(rows), height)]
	for len(rows) < height {
		rows = append(rows, nil)
	}
	return rows
}
