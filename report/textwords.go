// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"op25b/census"
	"op25b/human"
)

// when writes a time for people, in the report's location.
func (r *Report) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(r.From.Location()).Format("2006-01-02 15:04 MST")
}

// stretch says how long the report's time is, and when it was.
func (r *Report) stretch() string {
	length := r.To.Sub(r.From)
	hours := uint64(length / time.Hour)
	text := human.Counted(hours, "hour", "hours")
	// A day of summer time's begin or end has an hour less or more.
	if days := (hours + 1) / 24; hours >= 47 && hours-days*24+1 <= 2 {
		text = human.Count(days) + " days"
	}
	if late := r.Made.Sub(r.To); late < 2*time.Hour && late > -2*time.Hour {
		return "the last " + strings.TrimPrefix(text, "1 ")
	}
	return "the " + strings.TrimPrefix(text, "1 ") + " up to " + r.when(r.To)
}

// headlines are the report in a few sentences.
func (r *Report) headlines() []string {
	lines := []string{r.whoTried()}
	for _, more := range []string{r.whatBecame(), r.whatPassed(), r.whoLends(), r.whatEnds()} {
		if more != "" {
			lines = append(lines, more)
		}
	}
	return lines
}

func (r *Report) whoTried() string {
	t := &r.Totals
	if t.Subscribers == 0 {
		return fmt.Sprintf("In %s nobody in the dynamic pools tried a blocked port that is or would be refused.", r.stretch())
	}
	looks := phrases(
		phrase{t.Mailers, "looks like a misconfigured mail program", "look like misconfigured mail programs"},
		phrase{t.Infected, "looks like an infected computer", "look like infected computers"},
		phrase{t.Unclear, "is unclear", "are unclear"},
	)
	return fmt.Sprintf("In %s %s tried a blocked port: %s.", r.stretch(),
		human.Counted(t.Subscribers, "subscriber in dynamic pools", "subscribers in dynamic pools"), looks)
}

func (r *Report) whatBecame() string {
	t := &r.Totals
	if t.Blocked() == 0 {
		return ""
	}
	return fmt.Sprintf("Of %s %s.", human.Counted(t.Blocked(), "attempt", "attempts"), phrases(
		phrase{t.Refused, "was refused", "were refused"},
		phrase{t.Monitored, "went through and would have been refused", "went through and would have been refused"},
		phrase{t.NotInForce, "went through since no phase takes it in yet", "went through since no phase takes them in yet"},
	))
}

func (r *Report) whatPassed() string {
	t := &r.Totals
	if t.Exempt+t.Relayed == 0 {
		return ""
	}
	return fmt.Sprintf("Beside these, %s.", phrases(
		phrase{t.Exempt, "attempt went through by an exemption", "attempts went through by an exemption"},
		phrase{t.Relayed, "attempt went to a relay, as it should", "attempts went to a relay, as they should"},
	))
}

func (r *Report) whoLends() string {
	var lends, forged uint64
	for i := range r.Triangular {
		if r.Triangular[i].Kind == Triangular {
			lends++
		} else {
			forged++
		}
	}
	said := phrases(
		phrase{lends, "subscriber may lend an address to triangular spam", "subscribers may lend their addresses to triangular spam"},
		phrase{forged, "subscriber has an address that somebody else forges", "subscribers have addresses that somebody else forges"},
	)
	if said == "" {
		return ""
	}
	return said + "."
}

func (r *Report) whatEnds() string {
	var over, soon uint64
	for i := range r.Exemptions {
		if r.Exemptions[i].Until.After(r.Made) {
			soon++
		} else {
			over++
		}
	}
	said := phrases(
		phrase{over, "exemption has ended and still stands in the file", "exemptions have ended and still stand in the file"},
		phrase{soon, "exemption ends soon", "exemptions end soon"},
	)
	if said == "" {
		return ""
	}
	return said + "."
}

// phrase is a number and what is said of so many.
type phrase struct {
	n         uint64
	one, many string
}

// phrases says them one after the other, without those of nothing.
func phrases(all ...phrase) string {
	var said []string
	for _, p := range all {
		if p.n > 0 {
			said = append(said, human.Counted(p.n, p.one, p.many))
		}
	}
	if len(said) > 1 {
		last := len(said) - 1
		return strings.Join(said[:last], ", ") + " and " + said[last]
	}
	return strings.Join(said, "")
}

// looksLike says a kind in a word or two.
func looksLike(k Kind) string {
	switch k {
	case Mailer:
		return "mail program"
	case Infected:
		return "infected"
	default:
		return "unclear"
	}
}

// sure writes a confidence.
func sure(confidence float64) string { return fmt.Sprintf("%.0f %%", confidence*100) }

// outcomes says what became of a finding's attempts, the outcomes in their order.
func outcomes(attempts map[string]uint64) string {
	words := [census.NumOutcomes]string{"refused", "monitored", "not in force yet", "exempt", "to a relay"}
	var said []string
	for o := range census.NumOutcomes {
		if n := attempts[o.String()]; n > 0 {
			said = append(said, human.Count(n)+" "+words[o])
		}
	}
	return strings.Join(said, ", ")
}

// address writes a prefix without its length if it is a single address.
func address(prefix string) string {
	if strings.HasSuffix(prefix, "/32") && !strings.Contains(prefix, ":") {
		return strings.TrimSuffix(prefix, "/32")
	}
	addr, _ := strings.CutSuffix(prefix, "/128")
	return addr
}

// clean makes text that others wrote harmless on a terminal and in a line: what does
// not print, or turns the direction of writing, becomes a question mark.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, text)
}

// orNothing has a dash where a table would have a hole.
func orNothing(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
