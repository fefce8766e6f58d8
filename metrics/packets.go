// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"

	"op25b/control"
)

// packetFamilies say what became of packets. A super-packet of an offload is one.
func packetFamilies() []family {
	return []family{
		counter("op25b_frames_total", "Packets that were read; the sum of op25b_packets_total over its fates", []string{"direction"}, packets("frames")),
		counter("op25b_octets_total", "Octets of the packets that were read, from the IP header on", []string{"direction"}, packets("octets")),
		counter("op25b_packets_total", "What became of packets: each has one fate", []string{"direction", "fate"}, fates),
		counter("op25b_verdicts_total", "What was decided on packets, and why", []string{"direction", "action", "reason"}, verdicts),
		counter("op25b_drops_total", "Packets dropped without an answer, by why", []string{"direction", "reason"},
			func(s *control.Status, out sink) { reasons(s.Drops, out, dropped()) }),
		counter("op25b_monitored_reasons_total", "Packets that went through and would have been refused or dropped, by why", []string{"direction", "reason"},
			func(s *control.Status, out sink) {
				reasons(s.MonitoredReasons, out, map[string][]string{"outbound": {"blocked_port"}})
			}),
		total("op25b_refused_packets_total", "Packets to a blocked port that were refused, whatever the answer; retries count",
			func(s *control.Status) uint64 { return s.Refused }),
		total("op25b_monitored_packets_total", "Packets to a blocked port that went through and would have been refused; retries count",
			func(s *control.Status) uint64 { return s.Monitored }),
		total("op25b_shed_total", "SYNs of floods that the kernel dropped before the gateway; they are in no other counter",
			func(s *control.Status) uint64 { return s.Shed }),
	}
}

// packets has one of the sums that stand beside the fates.
func packets(what string) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		for _, d := range directions(s.Packets) {
			out(float64(s.Packets[d][what]), d)
		}
	}
}

func fates(s *control.Status, out sink) {
	for _, d := range directions(s.Packets) {
		for fate, n := range counts(s.Packets[d], "forwarded") {
			if fate != "frames" && fate != "octets" {
				out(float64(n), d, fate)
			}
		}
	}
}

func verdicts(s *control.Status, out sink) {
	known := decided()
	for _, d := range directions(s.Verdicts) {
		actions := slices.AppendSeq(slices.Collect(maps.Keys(known[d])), maps.Keys(s.Verdicts[d]))
		slices.Sort(actions)
		for _, action := range slices.Compact(actions) {
			for reason, n := range counts(s.Verdicts[d][action], known[d][action]...) {
				out(float64(n), d, action, reason)
			}
		}
	}
}

func reasons(counted map[string]map[string]uint64, out sink, known map[string][]string) {
	for _, d := range directions(counted) {
		for reason, n := range counts(counted[d], known[d]...) {
			out(float64(n), d, reason)
		}
	}
}

// decided are the verdicts that operators draw and alert on: what was done with
// attempts to send mail.
func decided() map[string]map[string][]string {
	return map[string]map[string][]string{
		"outbound": {
			"forward":    {"exempt", "not_in_force", "other_port", "relay", "static"},
			"monitored":  {"blocked_port"},
			"reset":      {"blocked_port"},
			"prohibited": {"blocked_port"},
			"drop":       append([]string{"blocked_port"}, dropped()["outbound"]...),
		},
		"inbound": {"forward": {"inbound"}, "drop": dropped()["inbound"]},
	}
}

// dropped are the reasons that mean somebody tries to get around the block, or
// something is set wrong.
func dropped() map[string][]string {
	return map[string][]string{
		"outbound": {"bad_checksum", "fragmented_syn", "overlapping_fragment", "spoofed_source", "tiny_fragment", "tunneled_port"},
		"inbound":  {"inbound_source_port"},
	}
}
