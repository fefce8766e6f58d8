// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// fields returns an exemption as key: value, each on a line of its own. Inside
// braces fewer values can do without quotes.
func (e *Exemption) fields(braces bool) []string {
	prefix := e.Prefix.String()
	if e.Prefix.IsSingleIP() {
		prefix = e.Prefix.Addr().String()
	}
	if braces && e.Prefix.Addr().Is6() || strings.HasSuffix(prefix, ":") || strings.HasPrefix(prefix, ":") {
		prefix = `"` + prefix + `"`
	}
	fields := []string{"prefix: " + prefix, "reason: " + scalar(e.Reason)}
	if e.Ticket != "" {
		fields = append(fields, "ticket: "+scalar(e.Ticket))
	}
	if e.By != "" {
		fields = append(fields, "by: "+scalar(e.By))
	}
	if !e.Added.IsZero() {
		fields = append(fields, "added: "+stamp(e.Added))
	}
	return append(fields, "until: "+stamp(e.Until))
}

// stamp writes a time with its own offset, unless that is not in whole minutes.
func stamp(t time.Time) string {
	if _, seconds := t.Zone(); seconds%60 != 0 {
		t = t.UTC()
	}
	return t.Format(time.RFC3339)
}

// scalar writes text in quotes unless it is surely itself without.
func scalar(s string) string {
	odd := func(r rune) bool { return !isWord(r) && !strings.ContainsRune(" ._/@+()-", r) }
	first, _ := utf8.DecodeRuneInString(s)
	if isWord(first) && !strings.ContainsFunc(s, odd) && !strings.HasSuffix(s, " ") && !strings.EqualFold(s, "null") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
