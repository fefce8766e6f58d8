// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"op25b/control"
)

// answers is a gateway that says what it is told to.
type answers struct {
	status control.Status
	result control.ReloadResult
	err    error
	forced bool // by the last reload
}

func (a *answers) Status() control.Status { return a.status }

func (a *answers) Reload(_ context.Context, opts control.ReloadOptions) (control.ReloadResult, error) {
	a.forced = opts.Force
	return a.result, a.err
}

func (a *answers) Explain(context.Context, control.ExplainOptions) (control.Explanation, error) {
	return control.Explanation{}, a.err
}

func (a *answers) Lend(context.Context, string) (control.LendResult, error) {
	return control.LendResult{}, a.err
}

func (a *answers) Yield(context.Context, control.Peer) (control.Handover, error) {
	return control.Handover{}, a.err
}

// listen makes a gateway answer until the test's end, and returns its socket.
func listen(t *testing.T, g control.Gateway) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	server, err := control.Listen(control.Options{Path: path, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Publish(); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(g); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return path
}

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, clock)
	if err != nil {
		panic(err)
	}
	return t
}

func healthy() control.Status {
	return control.Status{
		Version: "v1.2.0", Revision: "0123456789abcdef0123", PID: 4711, Started: at("2026-11-20 10:00:00"), State: control.StateOK,
		Policy: control.PolicyStatus{
			Generation: 3, Loaded: at("2026-11-24 09:30:00"), File: "/etc/op25b/op25b.yaml",
			Pools: 2, Prefixes: 4, DynamicPrefixes: 3, Ports: []uint16{25, 2525},
		},
		Reload: &control.ReloadStatus{Time: at("2026-11-24 09:30:00"), OK: true},
		Interfaces: []control.InterfaceStatus{
			{Name: "eth1", Role: control.RoleSubscriber, MTU: 1500, Queues: 2, Offload: "checksum, TSO, USO", IOUring: true},
			{Name: "eth0", Role: control.RoleUpstream, MTU: 1500, Queues: 2, Offload: "checksum, TSO, USO", IOUring: true, Adopted: true},
		},
		Capture: "all", ReturnPath: "kernel", OnExit: "reject-smtp",
		Workers: []control.WorkerStatus{
			{Direction: "outbound", Queue: 0, Frames: 1234000, Octets: 987654321, Progress: at("2026-11-24 11:59:59")},
			{Direction: "outbound", Queue: 1, Frames: 567, Octets: 45360, Progress: at("2026-11-24 11:58:00")},
			{Direction: "inbound", Queue: 0},
		},
		Packets: map[string]map[string]uint64{
			"outbound": {"frames": 1234567, "octets": 987699681, "forwarded": 1234500, "answered_reset": 60, "dropped_by_verdict": 7, "dropped_short": 0},
			"inbound":  {"frames": 0, "octets": 0, "forwarded": 0},
		},
		Drops: map[string]map[string]uint64{
			"outbound": {"spoofed_source": 6, "short_fragment": 1, "martian_source": 0},
			"inbound":  {},
		},
		Refused:   60,
		Attempts:  control.AttemptsStatus{Outcomes: map[string]uint64{"refused": 41, "relayed": 1007, "exempt": 0}, Lost: 1, Overflowed: 2},
		Notice:    control.NoticeStatus{Open: 1, Greeted: 2, FellBack: 9},
		SelfCheck: control.SelfCheckStatus{Requests: 12},
	}
}

const healthyPage = `op25b is ok: process 4711, for 4 d 2 h, version v1.2.0 (0123456789ab)

policy      generation 3, for 2 h 30 min, from /etc/op25b/op25b.yaml
            ports 25, 2525 refused to 3 dynamic prefixes of 4 in 2 pools
            capture all, return path kernel, on exit reject-smtp
interfaces  eth1: subscriber, MTU 1500, 2 queues, offload checksum, TSO, USO, io_uring
            eth0: upstream, MTU 1500, 2 queues, offload checksum, TSO, USO, io_uring, adopted

packets                  outbound  inbound
  frames                1,234,567        0
  octets              987,699,681        0
  forwarded             1,234,500        0
  answered_reset               60        0
  dropped_by_verdict            7        0

dropped because of  outbound  inbound
  spoofed_source           6        0
  short_fragment           1        0

60 packets to blocked ports refused
attempts, with retries as one: 41 refused, 1,007 relayed
3 packets could not be counted as attempts: there were too many
2 connections told why by a notice, 1 now; 9 reset, since there were too many
12 requests to the self-check page; 0 refused, since there were too many

workers          frames       octets      moved
  outbound 0  1,234,000  987,654,321    1 s ago
  outbound 1        567       45,360  2 min ago
  inbound 0           0            0    not yet
`

// ill is healthy with everything that can be wrong.
func ill() control.Status {
	s := healthy()
	s.State = control.StateDegraded
	s.Revision = "unknown"
	s.Problems = []control.Problem{{
		Since: at("2026-11-24 11:55:00"), What: "the interface eth0 is down",
		Effect: "subscribers reach nothing", Fix: "ip link set eth0 up",
	}, {Since: at("2026-11-24 12:00:00"), What: "something is odd"}}
	s.Reload = &control.ReloadStatus{Time: at("2026-11-24 11:00:00"), Error: "op25b.yaml:3: one\nop25b.yaml:4: two"}
	s.Interfaces, s.Packets, s.Drops = nil, nil, nil
	s.Workers = []control.WorkerStatus{{Direction: "outbound", Frames: 1, Octets: 60, Progress: at("2026-11-24 11:59:30"), Stalled: true}}
	s.Attempts, s.Notice, s.SelfCheck = control.AttemptsStatus{}, control.NoticeStatus{}, control.SelfCheckStatus{}
	s.Refused, s.Healed, s.PanicsTotal = 1, 2, 1001
	s.Errors = map[string]uint64{"write_enobufs": 12, "read_eio": 0}
	s.Panics = []control.PanicStatus{{Time: at("2026-11-24 11:59:00"), Direction: "outbound", Reason: "index out of range [5]", Packet: "4500"}}
	return s
}

const illPage = `op25b is degraded: process 4711, for 4 d 2 h, version v1.2.0

problem for 5 min: the interface eth0 is down
  effect: subscribers reach nothing
  fix: ip link set eth0 up

problem for 0 s: something is odd

policy      generation 3, for 2 h 30 min, from /etc/op25b/op25b.yaml
            ports 25, 2525 refused to 3 dynamic prefixes of 4 in 2 pools
            capture all, return path kernel, on exit reject-smtp
            the last reload, 1 h 0 min ago, was refused: op25b.yaml:3: one
            op25b.yaml:4: two

1 packet to blocked ports refused

workers       frames  octets              moved
  outbound 0       1      60  STALLED, 30 s ago

errors           times
  write_enobufs     12

2 changes by others to the kernel's settings put back

1,001 packets dropped because of a fault of op25b; report the latest:
  1 min ago, outbound: index out of range [5]
    4500
`

func TestStatusPage(t *testing.T) {
	t.Parallel()
	now := at("2026-11-24 12:00:00")
	for want, status := range map[string]control.Status{healthyPage: healthy(), illPage: ill()} {
		if diff := cmp.Diff(want, string(statusPage(&status, now))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status.State, diff)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	p := &page{now: at("2026-11-24 12:00:00")}
	for then, want := range map[string]string{
		"0001-01-01 00:00:00": "an unknown time", "2026-11-24 12:00:05": "0 s", "2026-11-24 11:59:01": "59 s",
		"2026-11-24 11:59:00": "1 min", "2026-11-24 11:00:01": "59 min", "2026-11-24 11:00:00": "1 h 0 min",
		"2026-11-23 12:00:01": "23 h 59 min", "2026-11-23 12:00:00": "1 d 0 h",
	} {
		if got := p.since(at(then)); got != want {
			t.Errorf("since %s: %s, want %s", then, got, want)
		}
	}
}

func TestStatusCommand(t *testing.T) {
	t.Parallel()
	for state, want := range map[control.State]int{
		control.StateOK: exitOK, control.StateDegraded: exitDegraded,
		control.StateStarting: exitDegraded, control.StateStopping: exitDegraded,
	} {
		s := healthy()
		s.State = state
		socket := listen(t, &answers{status: s})
		code, out, talk := op25b(t, "status", "--socket", socket)
		if code != want || !strings.HasPrefix(out, "op25b is "+string(state)) || talk != "" {
			t.Errorf("%s: exit %d, want %d\n%s%s", state, code, want, out, talk)
		}
		code, out, _ = op25b(t, "status", "--socket", socket, "--json")
		var got struct {
			SchemaVersion int           `json:"schema_version"`
			State         control.State `json:"state"`
			Drops         map[string]map[string]uint64
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != want ||
			got.SchemaVersion != schemaVersion || got.State != state || got.Drops["outbound"]["spoofed_source"] != 6 {
			t.Errorf("%s: exit %d, %v, %+v", state, code, err, got)
		}
	}
}

func TestWhichSocket(t *testing.T) {
	t.Parallel()
	socket := listen(t, &answers{status: healthy()})
	with := func(socket string) string { return writeConfig(t, testConfig+"control: {socket: "+socket+"}\n") }
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"named", []string{"--socket", socket}, exitOK, ""},
		{"by the configuration", []string{"-c", with(socket)}, exitOK, ""},
		{"both", []string{"-c", with(socket), "--socket", socket}, exitUsage, "leave one out"},
		{"a configuration that is not there", []string{"-c", "/nonexistent.yaml"}, exitUsage, "/nonexistent.yaml"},
		{"nobody listens", []string{"--socket", "/nonexistent/socket"}, exitNotRunning, "nobody listens on /nonexistent/socket: start it with: op25b run -c FILE"},
		{"nobody listens, by the configuration", []string{"-c", with("/nonexistent/s")}, exitNotRunning, "/nonexistent/s"},
		{"an argument", []string{"what"}, exitUsage, "--help"},
	} {
		for _, command := range []string{"status", "reload"} {
			code, _, talk := op25b(t, append([]string{command}, tt.args...)...)
			if code != tt.code || !strings.Contains(talk, tt.says) {
				t.Errorf("%s, %s: exit %d, want %d: %s", command, tt.name, code, tt.code, talk)
			}
		}
	}
}
