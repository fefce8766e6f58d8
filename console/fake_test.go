// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"op25b/census"
	"op25b/control"
	"op25b/report"
)

// hostile is a name as a subscriber's machine may give itself.
const hostile = `<script>alert("x")</script><img src=x onerror=alert(1)>`

// fake is a gateway with something to say on every page.
type fake struct {
	now   time.Time
	name  string // of hosts and their holders
	moves bool   // time goes on from now, and traffic with it

	mu       sync.Mutex
	reloads  []control.ReloadOptions
	explains []control.ExplainOptions
	looks    []control.SubscriberOptions
	ranges   []control.ReportOptions

	refuse    error         // what Reload returns
	reporting chan struct{} // if not nil: a report begins with a value, and ends with another
	fails     error         // what all others return
}

func attempts(refused, monitored, notInForce, exempt, relayed uint64) map[string]uint64 {
	return map[string]uint64{"refused": refused, "monitored": monitored, "not_in_force": notInForce, "exempt": exempt, "relayed": relayed}
}

func (f *fake) Status() control.Status {
	now := f.now
	if f.moves {
		now = time.Now()
	}
	flow := f.traffic(now)
	frames := flow.outbound / 700
	return control.Status{
		Version: "v1.4.0", Revision: "0123456789abcdef", PID: 4711, Started: now.Add(-4*24*time.Hour - 2*time.Hour),
		State: control.StateDegraded,
		Problems: []control.Problem{{
			Since: now.Add(-11 * time.Minute), What: "the lease source \"radius\" cannot be asked: connection refused",
			Effect: "none: verdicts do not depend on it. Who holds an address is not known for the pool \"mobile\"",
			Fix:    "start it, with: systemctl start freeradius",
		}},
		Policy: control.PolicyStatus{
			Generation: 12, Loaded: now.Add(-26 * time.Hour), File: "/etc/op25b/op25b.yaml", Pools: 3, Prefixes: 41, DynamicPrefixes: 38,
			Ports: []uint16{25, 2525}, Effective: now,
			Active: []control.ActiveStatus{
				{Name: "mobile", Mode: "refuse", Pools: []string{"residential"}, Destinations: []string{"mobile"}, SharePercent: 100, Since: now.Add(-53 * 24 * time.Hour)},
				{Name: "look", Mode: "monitor", SharePercent: 25, Since: now.Add(-5 * 24 * time.Hour), Until: now.Add(9 * 24 * time.Hour)},
			},
			Next:       &control.NextStatus{Time: now.Add(66 * 24 * time.Hour), What: []string{"phase tenth begins"}},
			Exemptions: control.ExemptionsStatus{Active: 12, Expiring: 1, Expired: 3},
		},
		Reload: &control.ReloadStatus{Time: now.Add(-26 * time.Hour), OK: true},
		Interfaces: []control.InterfaceStatus{
			{Name: "eth1", Role: control.RoleSubscriber, MTU: 1500, Queues: 2, Offload: "checksum, TSO, USO", IOUring: true},
			{Name: "eth0", Role: control.RoleUpstream, MTU: 1500, Queues: 2, Offload: "checksum, TSO, USO", IOUring: true, Adopted: true},
		},
		Capture: "all", ReturnPath: "kernel", OnExit: "reject-smtp",
		Workers: []control.WorkerStatus{
			{Direction: "outbound", Queue: 0, Frames: 812_345_678, Octets: 512_345_678_901, Progress: now.Add(-time.Second)},
			{Direction: "outbound", Queue: 1, Frames: 798_231_112, Octets: 498_002_144_310, Progress: now.Add(-time.Second)},
			{Direction: "inbound", Queue: 0, Frames: 1_204_551_220, Octets: 1_610_440_021_771, Progress: now.Add(-time.Second)},
			{Direction: "inbound", Queue: 1, Frames: 41, Octets: 2_911, Progress: now.Add(-3 * time.Minute), Stalled: true},
		},
		Packets: map[string]map[string]uint64{
			"outbound": {"frames": frames, "octets": flow.outbound, "forwarded": frames - 912, "answered_reset": 900, "dropped_by_verdict": 12},
			"inbound":  {"frames": frames * 2, "octets": flow.inbound, "forwarded": frames * 2},
		},
		Drops: map[string]map[string]uint64{"outbound": {"tiny_fragment": 4, "bad_checksum": 8}},
		Attempts: control.AttemptsStatus{
			Outcomes: attempts(flow.refused, 1_904, 1_000_000+flow.attempts-flow.refused, 612, 2_201), Queued: 3, Room: 65536, Subscribers: 117,
		},
		Notice:    control.NoticeStatus{Open: 2, Greeted: 4_011, FellBack: 6},
		SelfCheck: control.SelfCheckStatus{Requests: 219},
		Errors:    map[string]uint64{"tun_write": 2},
		Panics:    []control.PanicStatus{{Time: now.Add(-2 * time.Hour), Direction: "outbound", Reason: "index out of range [20] with length 20", Packet: "4500002800010000400600006440000"}},

		PanicsTotal: 1, Healed: 2, Shed: 11_201,
		Leases: []control.LeaseStatus{
			{Name: "dhcp", Kind: "dnsmasq", Leases: 4_211, LastSuccess: now.Add(-time.Second)},
			{Name: "radius", Kind: "radius", Leases: 911, LastSuccess: now.Add(-11 * time.Minute), BadLines: 3, Error: "connection refused"},
		},
		Journal: &control.JournalStatus{Path: "/var/lib/op25b/journal.db", Size: 19_293_798},
	}
}

// traffic is what has flown up to a moment: the integral of some waves.
func (f *fake) traffic(at time.Time) counters {
	x := at.Sub(f.now).Seconds() / 2
	wave := func(base, a, b, c float64) uint64 {
		return uint64(1e12 + base*(x+a*40*math.Sin(x/40)+b*13*math.Sin(x/13+a)+c*3*math.Sin(x/3+b)))
	}
	return counters{
		time: at, outbound: wave(6e7, 0.3, 0.1, 0.05), inbound: wave(1.8e8, 0.25, -0.15, 0.06),
		refused: wave(28, 0.4, 0.2, 0.1) - 1e12 + 48_211 + 100_000, attempts: wave(80, 0.2, 0.2, 0.1) - 1e12 + 300_000,
	}
}

// counted is what a sampler would see of it.
func (f *fake) counted(at time.Time) counters {
	c := f.traffic(at)
	c.attempts += 1_000_000 + 1_904 + 612 + 2_201
	return c
}

func (f *fake) Explain(_ context.Context, o control.ExplainOptions) (control.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.explains = append(f.explains, o)
	e := f.explanation(o.Source)
	e.Destination = o.Destination
	if !o.At.IsZero() {
		e.At, e.Action, e.Reason, e.Text = o.At, "forward", "not_in_force", "The connection goes through: no phase took it in yet."
	}
	return e, f.fails
}

func (f *fake) explanation(source netip.Addr) control.Explanation {
	since := f.now.Add(-53 * 24 * time.Hour)
	return control.Explanation{
		Source: source, Destination: netip.MustParseAddrPort("198.51.100.25:25"), At: f.now,
		Action: "reset", Reason: "blocked_port", Pool: "residential", PoolPrefix: "100.64.0.0/10", Assignment: "dynamic",
		Phase: "mobile", Subscriber: source.String() + "/32", Place: 65.64,
		Policy: control.PolicyOrigin{Source: "gateway", File: "/etc/op25b/op25b.yaml", Generation: 12, Since: since}, Since: since,
		Next: &control.NextVerdict{Time: f.now.Add(66 * 24 * time.Hour), Action: "reset", Reason: "blocked_port", What: []string{"phase tenth begins"}},
		Holders: []control.Holder{{
			Prefix: source.String() + "/32", Holder: "02:00:00:00:00:07", Hostname: f.called(), Source: "dhcp", From: f.now.Add(-6 * time.Hour), Age: 787,
		}},
		Text: "The connection is refused. " + source.String() + " is in the dynamic pool \"residential\" (100.64.0.0/10), policy.ports holds 25, " +
			"198.51.100.25 is no relay, and \"mobile\" has begun. The client gets a TCP reset and sees \"connection refused\" at once.",
		Customer: "From a line with a changing address, mail cannot be handed directly to other providers' servers on port 25.",
		CustomerTexts: map[string]string{
			"en": "From a line with a changing address, mail cannot be handed directly to other providers' servers on port 25; this keeps infected " +
				"computers from sending spam. Your mail program can send all the same: in its settings for outgoing mail (SMTP), set the port to 587 " +
				"with STARTTLS, or to 465 with SSL/TLS, and switch authentication on with your mailbox's user name and password (SMTP AUTH).",
			"ja": "動的アドレスの回線からは、他社のメールサーバーへポート25番で直接メールを送ることはできません。ウイルスに感染したパソコンなどから迷惑メールが送られるのを防ぐためです。" +
				"送信メールサーバー(SMTP)のポート番号を587(STARTTLS)または465(SSL/TLS)に変更し、送信時の認証(SMTP AUTH)を有効にしてください。",
		},
	}
}

func (f *fake) Top(_ context.Context, o control.TopOptions) (control.Top, error) {
	t := control.Top{Time: f.now, Since: f.now.Truncate(time.Hour), Attempts: attempts(2_011, 80, 9_120, 12, 44), Lost: 3}
	for i := range min(o.Most, 8) {
		n := uint64(900 / (i + 1))
		t.Subscribers = append(t.Subscribers, control.ActiveSubscriber{
			Subscriber: fmt.Sprintf("100.64.%d.%d/32", i*3, 7+i*31), Pool: "residential", Attempts: attempts(n, 0, n/3, 0, 0),
			Destinations: n / 2, Estimated: n > 600, Last: f.now.Add(-time.Duration(i*7) * time.Second),
		})
		t.Destinations = append(t.Destinations, control.ActiveDestination{
			Destination: fmt.Sprintf("198.51.100.%d", 25+i), Port: 25, Attempts: n, Subscribers: uint64(60 - i*7),
		})
	}
	t.Subscribers[2].Subscriber, t.Subscribers[2].Pool = "2001:db8:4000:1200::/56", "residential-v6"
	return t, f.fails
}

func (f *fake) Subscriber(_ context.Context, o control.SubscriberOptions) (control.Subscriber, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks = append(f.looks, o)
	s := control.Subscriber{Explanation: f.explanation(o.Address)}
	hour := f.now.UTC().Truncate(time.Hour)
	for i := range min(o.Days, 7) * 24 {
		if i%24 > 15 || i%5 == 4 {
			continue
		}
		n := uint64(40 + (i*37)%160)
		s.Records = append(s.Records, census.Record{
			Hour: hour.Add(-time.Duration(i) * time.Hour), Subscriber: netip.PrefixFrom(o.Address, o.Address.BitLen()), Pool: "residential",
			Attempts: [census.NumOutcomes]uint64{n, 0, n / 4, 0, n / 9}, Packets: 3 * n, Destinations: n / 2,
		})
	}
	finding := f.findings()[0]
	finding.Subscriber = o.Address.String() + "/32"
	s.Finding = &finding
	return s, f.fails
}

func (f *fake) findings() []report.Finding {
	top := []census.Destination{
		{Prefix: netip.MustParsePrefix("198.51.100.25/32"), Port: 25, Outcome: census.Refused, Attempts: 41, Packets: 120, First: f.now.Add(-50 * time.Hour), Last: f.now.Add(-4 * time.Minute)},
		{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Port: 25, Outcome: census.NotInForce, Attempts: 33, Packets: 99, First: f.now.Add(-49 * time.Hour), Last: f.now.Add(-9 * time.Minute)},
	}
	infected := []report.Evidence{
		{Feature: "destinations_per_hour", Value: 212, Weight: 2.31, Text: "212 different destinations in one hour"},
		{Feature: "hours", Value: 96, Weight: 0.84, Text: "attempts in 96 of 168 hours, at night too"},
		{Feature: "relayed", Value: 18, Weight: -0.22, Text: "18 attempts to a relay of ours"},
	}
	return []report.Finding{
		{
			Subscriber: "100.64.0.7/32", Pool: "residential", Kind: report.Infected, Confidence: 0.97, Evidence: infected, Attempts: attempts(9_112, 0, 2_201, 0, 18),
			Packets: 31_002, Destinations: 4_410, Hours: 96, First: f.now.Add(-160 * time.Hour), Last: f.now.Add(-4 * time.Minute), Top: top, Holder: "02:00:00:00:00:07",
		},
		{
			Subscriber: "2001:db8:4000:1200::/56", Pool: "residential-v6", Kind: report.Mailer, Confidence: 0.88,
			Evidence: []report.Evidence{{Feature: "destinations_per_hour", Value: 1, Weight: -1.9, Text: "one destination, every 15 minutes"}},
			Attempts: attempts(412, 0, 0, 0, 0), Hours: 71, First: f.now.Add(-150 * time.Hour), Last: f.now.Add(-14 * time.Minute), Holder: f.called(),
		},
		{
			Subscriber: "100.64.9.44/32", Pool: "residential", Kind: report.Unclear, Confidence: 0.5,
			Evidence: []report.Evidence{{Feature: "attempts", Value: 2, Text: "2 attempts in one hour, too few to tell"}},
			Attempts: attempts(2, 0, 0, 0, 0), Hours: 1, First: f.now.Add(-9 * time.Hour), Last: f.now.Add(-9 * time.Hour),
		},
	}
}

func (f *fake) Report(ctx context.Context, o control.ReportOptions) (report.Report, error) {
	f.mu.Lock()
	f.ranges = append(f.ranges, o)
	f.mu.Unlock()
	if f.reporting != nil {
		f.reporting <- struct{}{}
		select {
		case <-f.reporting:
		case <-ctx.Done():
			return report.Report{}, ctx.Err()
		}
	}
	from, to := o.From.Truncate(time.Hour), o.To.Truncate(time.Hour)
	r := report.Report{
		From: from, To: to, Made: f.now, Notes: []string{"3 attempts were lost: numbers may be too low by so many"},
		Totals: report.Totals{Counts: report.Counts{Subscribers: 1_412, Refused: 48_211, Monitored: 1_904, NotInForce: 310_552, Exempt: 612, Relayed: 2_201}, Mailers: 801, Infected: 233, Unclear: 378},
		Pools: []report.PoolRow{
			{Pool: "residential", Counts: report.Counts{Subscribers: 1_301, Refused: 47_001, Monitored: 1_804, NotInForce: 290_552, Exempt: 600, Relayed: 2_101}, Mailers: 740, Infected: 221, Unclear: 340},
			{Pool: "residential-v6", Counts: report.Counts{Subscribers: 111, Refused: 1_210, Monitored: 100, NotInForce: 20_000, Exempt: 12, Relayed: 100}, Mailers: 61, Infected: 12, Unclear: 38},
		},
		Phases: []report.PhaseRow{
			{Phase: "mobile", Mode: "refuse", State: "active", Start: f.now.Add(-53 * 24 * time.Hour), Subscribers: 1_301, Attempts: 48_211},
			{Phase: "look", Mode: "monitor", State: "active", Start: f.now.Add(-5 * 24 * time.Hour), End: f.now.Add(9 * 24 * time.Hour), Subscribers: 96, Attempts: 1_904},
			{Phase: "tenth", Mode: "refuse", State: "planned", Start: f.now.Add(66 * 24 * time.Hour), Subscribers: 1_412, Attempts: 310_552},
		},
		Findings: f.findings(),
		Triangular: []report.Suspect{{
			Subscriber: "100.64.31.2/32", Pool: "residential", Kind: "triangular", Unsolicited: census.Unsolicited{SYNACKs: 4_011, Resets: 12, Data: 31_221, Peers: 402, DataPeers: 399},
			First: f.now.Add(-40 * time.Hour), Last: f.now.Add(-time.Hour), Holder: "02:00:00:00:01:1f",
		}},
		Exemptions: []report.Exemption{{Prefix: "100.64.8.0/29", Until: f.now.Add(6 * 24 * time.Hour), Reason: "moves to a static line", Ticket: "NOC-1931", By: "tanaka", Used: 612}},
	}
	for at := from; at.Before(to) && len(r.Trend) < 2000; at = at.Add(time.Hour) {
		n := uint64(200 + (len(r.Trend)*53)%240 + 300*(len(r.Trend)%24)/24)
		r.Trend = append(r.Trend, report.Point{Time: at, Counts: report.Counts{Subscribers: n / 9, Refused: n, Monitored: n / 12, NotInForce: n / 2, Exempt: n / 20, Relayed: n / 10}})
	}
	return r, f.fails
}

func (f *fake) Calendar(context.Context) (control.Calendar, error) {
	at := func(days int) time.Time { return f.now.AddDate(0, 0, days).Truncate(24 * time.Hour).Add(time.Hour) }
	return control.Calendar{Now: f.now, Events: []control.CalendarEvent{
		{Time: at(-60), What: "brownout trial begins, for 2 hours", Past: true},
		{Time: at(-53), What: "phase mobile begins: refuses residential to mobile", Past: true},
		{Time: at(-5), What: "phase look begins: counts 25 % of every pool to everywhere", Past: true},
		{Time: at(9), What: "phase look ends"},
		{Time: at(66), What: "phase tenth begins: refuses 10 % of every pool to everywhere"},
		{Time: at(94), What: "phase everybody begins: refuses every pool to everywhere"},
	}}, f.fails
}

func (f *fake) Reload(_ context.Context, o control.ReloadOptions) (control.ReloadResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reloads = append(f.reloads, o)
	if f.refuse != nil && !o.Force {
		return control.ReloadResult{}, f.refuse
	}
	return control.ReloadResult{Generation: 13, Took: 0.31, Changes: []string{"3 prefixes become dynamic", f.called()}, Warnings: []string{"policy.pools[1] is empty"}}, nil
}

// called is a name that somebody has chosen.
func (f *fake) called() string { return cmp.Or(f.name, hostile) }

// took is how many reloads there were.
func (f *fake) took() []control.ReloadOptions {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reloads
}
