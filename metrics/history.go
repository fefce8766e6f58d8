// SPDX-License-Identifier: Apache-2.0

package metrics

import "op25b/control"

// historyFamilies say how it is known who has an address, and had it.
func historyFamilies() []family {
	return []family{
		gauge("op25b_lease_source_up", "Whether a source of leases can be asked", []string{"source", "kind"},
			func(s *control.Status, out sink) {
				for _, l := range s.Leases {
					out(yes(l.Error == ""), l.Name, l.Kind)
				}
			}),
		gauge("op25b_leases", "Leases that a source tells of", []string{"source"},
			leases(func(l *control.LeaseStatus) float64 { return float64(l.Leases) })),
		gauge("op25b_lease_source_last_success_timestamp_seconds", "When it could last be asked; 0: never", []string{"source"},
			leases(func(l *control.LeaseStatus) float64 { return seconds(l.LastSuccess) })),
		counter("op25b_lease_bad_lines_total", "What could not be understood: lines since the whole was last read, or packets since the start",
			[]string{"source"}, leases(func(l *control.LeaseStatus) float64 { return float64(l.BadLines) })),
		gauge("op25b_journal_up", "Whether the journal can be written; absent, as all of its metrics, if it is off", nil,
			journal(func(j *control.JournalStatus) float64 { return yes(j.Error == "") })),
		gauge("op25b_journal_size_bytes", "Size of the journal's file and log", nil,
			journal(func(j *control.JournalStatus) float64 { return float64(j.Size) })),
		gauge("op25b_journal_waiting", "Entries that are not yet written", nil,
			journal(func(j *control.JournalStatus) float64 { return float64(j.Waiting) })),
		counter("op25b_journal_lost_total", "Entries that never will be", nil,
			journal(func(j *control.JournalStatus) float64 { return float64(j.Lost) })),
	}
}

func leases(of func(*control.LeaseStatus) float64) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		for i := range s.Leases {
			out(of(&s.Leases[i]), s.Leases[i].Name)
		}
	}
}

func journal(of func(*control.JournalStatus) float64) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		if s.Journal != nil {
			out(of(s.Journal))
		}
	}
}
