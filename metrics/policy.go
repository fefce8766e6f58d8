// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"time"

	"op25b/control"
)

// policyFamilies say what is in force.
func policyFamilies() []family {
	return []family{
		level("op25b_policy_generation", "Counts policies; it grows when another one is in force",
			func(s *control.Status) int { return s.Policy.Generation }),
		gauge("op25b_policy_loaded_timestamp_seconds", "When that policy came into force", nil,
			func(s *control.Status, out sink) { out(seconds(s.Policy.Loaded)) }),
		gauge("op25b_policy_effective_timestamp_seconds", "The moment that the policy is for, by the rollout's clock", nil,
			func(s *control.Status, out sink) { out(seconds(s.Policy.Effective)) }),
		gauge("op25b_policy_next_change_timestamp_seconds", "When the policy changes next by itself; absent if nothing is planned", nil,
			func(s *control.Status, out sink) {
				if n := s.Policy.Next; n != nil {
					out(seconds(n.Time))
				}
			}),
		level("op25b_policy_pools", "Pools of subscribers' addresses",
			func(s *control.Status) int { return s.Policy.Pools }),
		gauge("op25b_policy_prefixes", "Prefixes of the pools, by assignment", []string{"assignment"},
			func(s *control.Status, out sink) {
				out(float64(s.Policy.DynamicPrefixes), "dynamic")
				out(float64(s.Policy.Prefixes-s.Policy.DynamicPrefixes), "static")
			}),
		gauge("op25b_policy_port_info", "A port that is refused to dynamic subscribers: always 1", []string{"port"},
			func(s *control.Status, out sink) {
				for _, port := range s.Policy.Ports {
					out(1, strconv.Itoa(int(port)))
				}
			}),
		gauge("op25b_phase_active", "A phase or brownout that is in force, by its name: always 1", []string{"phase", "mode"},
			func(s *control.Status, out sink) {
				for _, a := range s.Policy.Active {
					out(1, a.Name, a.Mode)
				}
			}),
		gauge("op25b_phase_share_ratio", "How many of the subscribers it takes in, of 1", []string{"phase"},
			func(s *control.Status, out sink) {
				for _, a := range s.Policy.Active {
					out(a.SharePercent/100, a.Name)
				}
			}),
		gauge("op25b_phase_start_timestamp_seconds", "Since when it is in force", []string{"phase"},
			moments(func(a *control.ActiveStatus) time.Time { return a.Since })),
		gauge("op25b_phase_end_timestamp_seconds", "When it ends; absent if it stays", []string{"phase"},
			moments(func(a *control.ActiveStatus) time.Time { return a.Until })),
		gauge("op25b_exemptions", "Exemptions: active; expiring, those of the active that end within 14 days; expired, still in the files",
			[]string{"state"}, func(s *control.Status, out sink) {
				e := s.Policy.Exemptions
				out(float64(e.Active), "active")
				out(float64(e.Expiring), "expiring")
				out(float64(e.Expired), "expired")
			}),
		gauge("op25b_config_last_reload_successful", "Whether the last reload put its policy in force; 1 before the first", nil,
			func(s *control.Status, out sink) { out(yes(s.Reload == nil || s.Reload.OK)) }),
		gauge("op25b_config_last_reload_timestamp_seconds", "When the last reload was tried; absent before the first", nil,
			func(s *control.Status, out sink) {
				if s.Reload != nil {
					out(seconds(s.Reload.Time))
				}
			}),
	}
}

// moments has a moment of each phase that has one.
func moments(of func(*control.ActiveStatus) time.Time) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		for i := range s.Policy.Active {
			if at := of(&s.Policy.Active[i]); !at.IsZero() {
				out(seconds(at), s.Policy.Active[i].Name)
			}
		}
	}
}
