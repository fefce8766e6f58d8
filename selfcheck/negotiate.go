// SPDX-License-Identifier: Apache-2.0

package selfcheck

import (
	"mime"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// format is how an answer is written.
type format uint8

const (
	formatHTML format = iota
	formatText
	formatJSON
)

func (f format) contentType() string {
	return [...]string{"text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"}[f]
}

// languageOf returns "en" or "ja", whichever the client understands better
// (RFC 9110 section 12.5.4). English is for those who understand neither, or say so in
// a way that cannot be read.
func languageOf(accept []string) string {
	wanted, _, err := language.ParseAcceptLanguage(strings.Join(accept, ","))
	if err != nil {
		return "en"
	}
	_, i, _ := language.NewMatcher([]language.Tag{language.English, language.Japanese}).Match(wanted...)
	return [...]string{"en", "ja"}[i]
}

// formatOf returns the format that the client likes best (RFC 9110 section 12.5.1), the
// earlier one of two that it likes as much. Who accepts none of them gets the page.
func formatOf(accept []string) format {
	ranges := strings.Split(strings.Join(accept, ","), ",")
	best, most := formatHTML, 0.0
	for f, name := range []string{"text/html", "text/plain", "application/json"} {
		if q := quality(ranges, name); q > most {
			best, most = format(f), q
		}
	}
	return best
}

// quality is how much a client likes a media type, 0 to 1, by the most specific of the
// ranges that take it in.
func quality(ranges []string, name string) float64 {
	kind, _, _ := strings.Cut(name, "/")
	q, rank := 0.0, -1
	for _, r := range ranges {
		got, params, err := mime.ParseMediaType(r)
		if err != nil {
			continue
		}
		if at := specificity(got, kind, name); at > rank {
			q, rank = weight(params["q"]), at
		}
	}
	return q
}

// specificity is -1 for a range that does not take the type in.
func specificity(got, kind, name string) int {
	switch got {
	case name:
		return 2
	case kind + "/*":
		return 1
	case "*/*":
		return 0
	default:
		return -1
	}
}

// weight reads a q parameter. None means 1; what is none means that it is not wanted.
func weight(q string) float64 {
	if q == "" {
		return 1
	}
	w, err := strconv.ParseFloat(q, 64)
	if err != nil || !(w >= 0 && w <= 1) { // NaN is neither
		return 0
	}
	return w
}
