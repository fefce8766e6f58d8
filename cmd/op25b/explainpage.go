// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"op25b/control"
)

// explanationPage returns what people read.
func explanationPage(e *control.Explanation) []byte {
	p := &page{}
	p.printf("%s -> %s: %s (%s)\n\n%s\n", e.Source, e.Destination, e.Action, e.Reason, wrap(e.Text))
	p.explained(e)
	if len(e.CustomerTexts) > 0 {
		p.printf("\nTell the customer:\n")
	}
	for _, language := range languages() {
		if text, told := e.CustomerTexts[language]; told {
			p.printf("%s\n", wrap(text))
		}
	}
	return p.Bytes()
}

// explained writes the facts beside the verdict, a line each.
func (p *page) explained(e *control.Explanation) {
	var rows [][]string
	row := func(label, format string, args ...any) {
		rows = append(rows, []string{label, fmt.Sprintf(format, args...)})
	}
	row("at", "%s", clockTime(e.At))
	switch {
	case e.Policy.Generation > 0:
		row("policy", "generation %d, in force from %s", e.Policy.Generation, clockTime(e.Policy.Since))
	default:
		row("policy", "%s", e.Policy.File)
	}
	if e.Phase != "" {
		row("phase", "%s; %s stands at %.2f%% of all subscribers", e.Phase, e.Subscriber, e.Place)
	}
	if x := e.Exemption; x != nil {
		row("exemption", "%s until %s: %s", x.Prefix, clockTime(x.Until), strings.Join(notEmpty(x.Reason, x.Ticket, x.By), ", "))
	}
	if !e.Since.IsZero() {
		row("since", "%s", clockTime(e.Since))
	}
	if n := e.Next; n != nil {
		row("next", "%s: %s (%s): %s", clockTime(n.Time), n.Action, n.Reason, strings.Join(n.What, ", "))
	}
	for _, h := range e.Holders {
		until := "on"
		if !h.To.IsZero() {
			until = "to " + clockTime(h.To)
		}
		row("held by", "%s: %s from %s %s, as %s said %s before", h.Prefix, strings.Join(notEmpty(h.Holder, h.Hostname), ", "),
			clockTime(h.From), until, h.Source, time.Duration(h.Age*float64(time.Second)).Round(time.Second))
	}
	p.printf("\n")
	for _, r := range rows {
		p.printf("%-10s  %s\n", r[0], r[1])
	}
}

func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

func notEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// wrap breaks text into lines of at most 80 columns: at blanks, and behind the full
// stops of a script that has none.
func wrap(text string) string {
	const width = 80
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(strings.ReplaceAll(text, "。", "。 ")) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" && !strings.HasSuffix(line, "。") {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
