// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"op25b/control"
)

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, clock)
	if err != nil {
		panic(err)
	}
	return t
}

// full is a status with something in every field, no two numbers the same.
func full() control.Status {
	return control.Status{
		Version: "v1.2.0", Revision: "0123456789abcdef", PID: 4711, Started: at("2026-11-20 10:00:00"),
		State: control.StateDegraded,
		Problems: []control.Problem{
			{Since: at("2026-11-24 11:00:00"), What: "the interface up0 is down", Effect: "subscribers reach nothing", Fix: "ip link set up0 up"},
			{Since: at("2026-11-24 10:00:00"), What: "the last reload was refused: exempt.yaml:3: 192.0.2.77/32: no such pool\nexempt.yaml:4: more", Fix: "correct it"},
		},
		Policy: control.PolicyStatus{
			Generation: 101, Loaded: at("2026-11-24 09:30:00"), File: "/etc/op25b/op25b.yaml", Pools: 103, Prefixes: 300, DynamicPrefixes: 193,
			Ports: []uint16{25, 2525}, Effective: at("2026-11-24 12:00:00"),
			Active: []control.ActiveStatus{
				{
					Name: "mobile", Mode: "refuse", Pools: []string{"residential"}, Destinations: []string{"abroad"}, SharePercent: 37.5,
					Since: at("2026-11-01 00:00:00"), Until: at("2026-12-01 00:00:00"),
				},
				{Name: "everybody", Mode: "monitor", SharePercent: 100, Since: at("2026-11-02 00:00:00")},
			},
			Next:       &control.NextStatus{Time: at("2026-12-24 00:00:00"), What: []string{"phase tenth begins"}},
			Exemptions: control.ExemptionsStatus{Active: 113, Expiring: 127, Expired: 131},
		},
		Reload: &control.ReloadStatus{Time: at("2026-11-24 09:45:00"), Error: "exempt.yaml:3: 192.0.2.77/32: no such pool\nexempt.yaml:4: more"},
		Interfaces: []control.InterfaceStatus{
			{Name: "op25b-sub", Role: control.RoleSubscriber, MTU: 1499, Queues: 2, Offload: "checksum, TSO, USO", IOUring: true},
			{Name: "op25b-up", Role: control.RoleUpstream, MTU: 1498, Queues: 3, Adopted: true},
		},
		Capture: "all", ReturnPath: "kernel", OnExit: "reject-smtp",
		Workers: []control.WorkerStatus{
			{Direction: "outbound", Queue: 0, Frames: 137, Octets: 139, Progress: at("2026-11-24 11:59:59")},
			{Direction: "inbound", Queue: 1, Frames: 149, Octets: 151, Stalled: true},
		},
		Packets: map[string]map[string]uint64{
			"outbound": {"frames": 157, "octets": 163, "forwarded": 167, "answered_reset": 173},
			"inbound":  {"frames": 179, "octets": 181, "forwarded": 191, "dropped_short": 197},
		},
		Verdicts: map[string]map[string]map[string]uint64{
			"outbound": {"reset": {"blocked_port": 199}, "forward": {"relay": 211}, "local": {"router": 223}},
			"inbound":  {"forward": {"inbound": 227}},
		},
		Drops:     map[string]map[string]uint64{"outbound": {"spoofed_source": 229, "malformed": 233}, "inbound": {"land": 239}},
		Refused:   241,
		Monitored: 251, MonitoredReasons: map[string]map[string]uint64{"outbound": {"blocked_port": 257, "unlisted": 263}},
		Attempts: control.AttemptsStatus{
			Outcomes: map[string]uint64{"refused": 269, "monitored": 271, "not_in_force": 277, "exempt": 281, "relayed": 283},
			Queued:   293, Room: 307, Lost: 311, Subscribers: 313, Overflowed: 317, Watchers: 331,
		},
		Notice:      control.NoticeStatus{Open: 337, Greeted: 347, FellBack: 349},
		SelfCheck:   control.SelfCheckStatus{Open: 353, Requests: 359, Refused: 367},
		Errors:      map[string]uint64{"write ENOBUFS": 373, "read EIO": 379},
		Panics:      []control.PanicStatus{{Time: at("2026-11-24 11:00:00"), Direction: "outbound", Reason: "index of 198.51.100.9", Packet: "45000028c6336409"}},
		PanicsTotal: 383, Healed: 389, Shed: 397,
		Leases: []control.LeaseStatus{
			{Name: "dhcp", Kind: "dnsmasq", Leases: 401, LastSuccess: at("2026-11-24 11:58:00"), BadLines: 409},
			{Name: "radius", Kind: "radius", Leases: 419, BadLines: 421, Error: "listen on 203.0.113.7:1813: no"},
		},
		Journal: &control.JournalStatus{Path: "/var/lib/op25b/journal.db", Size: 431, Waiting: 433, Lost: 439, Error: "disk full"},
	}
}

// well is a gateway with which nothing is wrong.
func well() control.Status {
	s := full()
	s.State, s.Problems, s.Reload = control.StateOK, nil, &control.ReloadStatus{Time: at("2026-11-24 09:30:00"), OK: true}
	s.Workers[1].Stalled, s.Leases[1].Error, s.Journal.Error = false, "", ""
	return s
}
