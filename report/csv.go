// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tables are the names of those that [Report.WriteCSV] writes.
func Tables() []string {
	return []string{"pools", "phases", "findings", "triangular", "exemptions", "trend"}
}

// WriteCSV writes one of [Tables] as RFC 4180 has it, with a line of titles first.
// Times are RFC 3339 and in UTC, numbers have no separators, lists within a field have
// semicolons. Text that a spreadsheet would take for a formula has an apostrophe before
// it. The error is the writer's, or names the tables that there are.
func (r *Report) WriteCSV(w io.Writer, table string) error {
	var rows [][]string
	switch table {
	case "pools":
		rows = r.csvPools()
	case "phases":
		rows = r.csvPhases()
	case "findings":
		rows = r.csvFindings()
	case "triangular":
		rows = r.csvTriangular()
	case "exemptions":
		rows = r.csvExemptions()
	case "trend":
		rows = r.csvTrend()
	default:
		return fmt.Errorf("a report has no table %q: ask for one of %s", table, strings.Join(Tables(), ", "))
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	return out.WriteAll(rows)
}

// harmless is text as a field. What begins with one of these characters is run by
// spreadsheets, some of which skip blanks before it.
func harmless(text string) string {
	text = clean(text)
	if begin := strings.TrimLeft(text, " "); begin != "" && strings.ContainsAny(begin[:1], "=+-@|%") ||
		strings.HasPrefix(begin, "＝") || strings.HasPrefix(begin, "＋") || strings.HasPrefix(begin, "－") || strings.HasPrefix(begin, "＠") {
		return "'" + text
	}
	return text
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func csvNumbers(all ...uint64) []string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.FormatUint(n, 10)
	}
	return texts
}

func (r *Report) csvPools() [][]string {
	rows := [][]string{{"pool", "subscribers", "infected", "mailers", "unclear", "refused", "monitored", "not_in_force", "exempt", "relayed"}}
	for i := range r.Pools {
		rows = append(rows, append([]string{harmless(r.Pools[i].Pool)}, csvNumbers(r.Pools[i].numbers()...)...))
	}
	return rows
}

func (r *Report) csvPhases() [][]string {
	rows := [][]string{{"phase", "mode", "state", "start", "end", "subscribers", "attempts"}}
	for i := range r.Phases {
		p := &r.Phases[i]
		rows = append(rows, append([]string{harmless(p.Phase), harmless(p.Mode), harmless(p.State), csvTime(p.Start), csvTime(p.End)},
			csvNumbers(p.Subscribers, p.Attempts)...))
	}
	return rows
}

func (r *Report) csvFindings() [][]string {
	rows := [][]string{{"subscriber", "pool", "kind", "confidence", "refused", "monitored", "not_in_force", "exempt", "relayed",
		"packets", "destinations", "hours", "first", "last", "evidence", "top", "holder"}}
	for i := range r.Findings {
		f := &r.Findings[i]
		row := []string{f.Subscriber, harmless(f.Pool), harmless(string(f.Kind)), strconv.FormatFloat(f.Confidence, 'f', 2, 64)}
		row = append(row, csvNumbers(f.Attempts["refused"], f.Attempts["monitored"], f.Attempts["not_in_force"], f.Attempts["exempt"],
			f.Attempts["relayed"], f.Packets, f.Destinations, f.Hours)...)
		rows = append(rows, append(row, csvTime(f.First), csvTime(f.Last), csvEvidence(f.Evidence), csvTop(f), harmless(f.Holder)))
	}
	return rows
}

func csvEvidence(all []Evidence) string {
	var texts []string
	for _, e := range all {
		texts = append(texts, e.Text)
	}
	return harmless(strings.Join(texts, "; "))
}

// csvTop lists destination, port and attempts.
func csvTop(f *Finding) string {
	var texts []string
	for _, d := range f.Top {
		texts = append(texts, fmt.Sprintf("%s %d %d", d.Prefix, d.Port, d.Attempts))
	}
	return strings.Join(texts, "; ")
}

func (r *Report) csvTriangular() [][]string {
	rows := [][]string{{"subscriber", "pool", "kind", "syn_acks", "resets", "data", "peers", "data_peers", "first", "last", "holder"}}
	for i := range r.Triangular {
		s := &r.Triangular[i]
		rows = append(rows, slices.Concat([]string{s.Subscriber, harmless(s.Pool), harmless(s.Kind)},
			csvNumbers(s.SYNACKs, s.Resets, s.Data, s.Peers, s.DataPeers),
			[]string{csvTime(s.First), csvTime(s.Last), harmless(s.Holder)}))
	}
	return rows
}

func (r *Report) csvExemptions() [][]string {
	rows := [][]string{{"prefix", "until", "used", "ticket", "by", "reason"}}
	for i := range r.Exemptions {
		e := &r.Exemptions[i]
		rows = append(rows, []string{harmless(e.Prefix), csvTime(e.Until), strconv.FormatUint(e.Used, 10),
			harmless(e.Ticket), harmless(e.By), harmless(e.Reason)})
	}
	return rows
}

func (r *Report) csvTrend() [][]string {
	rows := [][]string{{"time", "subscribers", "refused", "monitored", "not_in_force", "exempt", "relayed"}}
	for i := range r.Trend {
		p := &r.Trend[i]
		rows = append(rows, append(append([]string{csvTime(p.Time)}, csvNumbers(p.Subscribers)...), csvNumbers(p.attempts()...)...))
	}
	return rows
}
