// SPDX-License-Identifier: Apache-2.0

package metrics

import "op25b/control"

// attemptFamilies say what subscribers tried, and how they were told.
func attemptFamilies() []family {
	return []family{
		counter("op25b_attempts_total", "Attempts to reach a blocked port, by outcome; retries of one are one", []string{"outcome"},
			func(s *control.Status, out sink) {
				for outcome, n := range counts(s.Attempts.Outcomes, "exempt", "monitored", "not_in_force", "refused", "relayed") {
					out(float64(n), outcome)
				}
			}),
		level("op25b_attempts_subscribers", "Subscribers who tried in this hour",
			func(s *control.Status) int { return s.Attempts.Subscribers }),
		total("op25b_attempts_overflowed_total", "Attempts of subscribers for whom there was no room to be counted one by one",
			func(s *control.Status) uint64 { return s.Attempts.Overflowed }),
		level("op25b_attempts_watchers", "How many look at attempts as they come",
			func(s *control.Status) int { return s.Attempts.Watchers }),
		level("op25b_ring_packets", "Packets to blocked ports that wait to be counted",
			func(s *control.Status) int { return s.Attempts.Queued }),
		level("op25b_ring_capacity_packets", "How many can wait",
			func(s *control.Status) int { return s.Attempts.Room }),
		total("op25b_ring_lost_total", "Packets that found no room there: attempts and reports lack them, the block does not",
			func(s *control.Status) uint64 { return s.Attempts.Lost }),
		level("op25b_notice_connections", "Connections that are being told that mail is refused",
			func(s *control.Status) int { return s.Notice.Open }),
		total("op25b_notice_greeted_total", "Connections that were told so",
			func(s *control.Status) uint64 { return s.Notice.Greeted }),
		total("op25b_notice_fell_back_total", "Connections that were reset instead, since there were too many",
			func(s *control.Status) uint64 { return s.Notice.FellBack }),
		level("op25b_self_check_connections", "Connections to the subscribers' page about their own line",
			func(s *control.Status) int { return s.SelfCheck.Open }),
		total("op25b_self_check_requests_total", "Requests for that page",
			func(s *control.Status) uint64 { return s.SelfCheck.Requests }),
		total("op25b_self_check_refused_total", "Connections and requests for it that were too many",
			func(s *control.Status) uint64 { return s.SelfCheck.Refused }),
	}
}
