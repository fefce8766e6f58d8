// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
	"op25b/control"
	"op25b/lab"
)

// street is where subscribers of every habit live: all but the static one on the dynamic
// subscriber's link.
type street struct {
	*lab.Network
	config string
	mx     lab.Addrs // where they send, in IPv4
}

// Those who live there.
const (
	mailerAt  = "100.64.0.2"  // one server, again and again
	botAt     = "100.64.0.50" // as many servers as it can
	silentAt  = "100.64.0.70" // its pool drops
	watchedAt = "100.64.0.90" // its pool is monitored
	exemptAt  = "100.64.0.40"
	relayedAt = "100.64.0.60" // a customer as it should be
	familyAt  = "2001:db8:a::/56"
)

// botServers is how many servers the bot tries.
const botServers = 30

// did is what one has done, as far as it is the same each time.
type did struct {
	Pool                       string
	Attempts                   [census.NumOutcomes]uint64
	Destinations               uint64
	Exact, Retried, Unexpected bool // Retried: more packets than attempts; Unexpected: unsolicited replies
}

// whatStreetDoes is what liveOn does.
func whatStreetDoes() map[string]did {
	return map[string]did{
		mailerAt + "/32":  {"residential", [...]uint64{census.Refused: 1, census.Relayed: 0}, 1, true, true, false},
		botAt + "/32":     {"residential", [...]uint64{census.Refused: botServers, census.Relayed: 0}, botServers, true, false, false},
		silentAt + "/32":  {"silent", [...]uint64{census.Refused: 1, census.Relayed: 0}, 1, true, true, false},
		watchedAt + "/32": {"watched", [...]uint64{census.Monitored: 1, census.Relayed: 0}, 1, true, false, false},
		exemptAt + "/32":  {"residential", [...]uint64{census.Exempt: 1, census.Relayed: 0}, 1, true, false, false},
		relayedAt + "/32": {"residential", [...]uint64{census.Relayed: 1}, 1, true, false, false},
		familyAt:          {"residential", [...]uint64{census.Refused: 2, census.Relayed: 0}, 2, true, false, false},
	}
}

// newStreet builds the street and writes its configuration.
func newStreet(t testing.TB, opts lab.ConfigOptions) *street {
	t.Helper()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	for _, addr := range []string{botAt, silentAt, watchedAt, exemptAt, relayedAt} {
		mustRun(t, n.Dynamic, "ip", "addr", "add", addr+"/32", "dev", lab.LinkHost)
	}
	mustRun(t, n.Dynamic, "ip", "addr", "add", "2001:db8:a:1::3/128", "dev", lab.LinkHost, "nodad")
	exemptions := filepath.Join(n.Dir(), "exemptions.yaml")
	writeFile(t, exemptions, "exemptions:\n  - prefix: "+exemptAt+"/32\n    reason: Mr Example runs a server\n    until: "+
		time.Now().Add(72*time.Hour).UTC().Format(time.RFC3339)+"\n")
	set := map[string]string{
		"journal.path":      filepath.Join(n.Dir(), "journal.db"),
		"policy.exemptions": "[" + exemptions + "]",
		"policy.pools": `
    - {name: residential, prefixes: [100.64.0.0/10, "2001:db8:a::/48"], assignment: dynamic}
    - {name: silent, prefixes: [100.64.0.64/28], assignment: dynamic, response: drop}
    - {name: watched, prefixes: [100.64.0.80/28], assignment: dynamic, mode: monitor}
    - {name: business, prefixes: [100.65.0.0/24, "2001:db8:a:ffff::/64"], assignment: static}`,
	}
	maps.Copy(set, opts.Set)
	opts.Set = set
	return &street{n, n.GatewayConfig(opts), lab.IPv4.Addrs()}
}

// liveOn has everybody do as they do, once.
func (s *street) liveOn(t testing.TB) {
	t.Helper()
	want := func(node *lab.Node, from string, to netip.Addr, outcome string) {
		t.Helper()
		if got := dialFrom(t, node, netip.MustParseAddr(from), at(to, lab.PortSMTP)); got.outcome != outcome {
			t.Errorf("%s to %s: %s, want %s", from, to, got.outcome, outcome)
		}
	}
	for range 3 {
		want(s.Dynamic, mailerAt, s.mx.MX, refused)
	}
	server := netip.MustParseAddr("198.18.0.1")
	for range botServers {
		want(s.Dynamic, botAt, server, refused)
		server = server.Next()
	}
	want(s.Dynamic, silentAt, s.mx.MX, noAnswer)
	want(s.Dynamic, watchedAt, s.mx.MX, connected)
	want(s.Dynamic, exemptAt, s.mx.MX, connected)
	want(s.Dynamic, relayedAt, s.mx.MSA, connected)
	want(s.Static, s.mx.Static.String(), s.mx.MX, connected)
	six := lab.IPv6.Addrs()
	want(s.Dynamic, six.Dynamic.String(), six.MX, refused)
	want(s.Dynamic, "2001:db8:a:1::3", six.MX.Next(), refused)
}

// thisHour waits for the next hour if this one is nearly over: what tells of the current
// hour would begin anew in between.
func thisHour() {
	const enough = time.Minute
	if next := time.Now().Truncate(time.Hour).Add(time.Hour); time.Until(next) < enough {
		waitUntil(next.Add(time.Second))
	}
}

// waitCounted waits until so many attempts have been counted since the gateway began.
func (l *lineage) waitCounted(t testing.TB, want map[string]uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("attempts to be %v", want), func() bool { return cmp.Equal(want, l.status(t).Attempts.Outcomes) })
}

// whatIs sums up the records of those of the street.
func whatIs(records []census.Record) map[string]did {
	all := map[string]did{}
	packets := map[string]uint64{}
	for _, r := range records {
		name := r.Subscriber.String()
		d, known := all[name]
		for o, n := range r.Attempts {
			d.Attempts[o] += n
		}
		packets[name] += r.Packets
		d.Pool, d.Destinations = r.Pool, max(d.Destinations, r.Destinations)
		d.Exact = (d.Exact || !known) && !r.Estimated
		d.Unexpected = d.Unexpected || r.Unsolicited != census.Unsolicited{}
		var sum uint64
		for _, n := range d.Attempts {
			sum += n
		}
		d.Retried = packets[name] > sum
		all[name] = d
	}
	return all
}

// TestAttempts has subscribers of every habit try, and asks for it in every way there is.
func TestAttempts(t *testing.T) {
	t.Parallel()
	for _, opts := range []lab.ConfigOptions{
		{Capture: "all"}, {Capture: "smtp"}, {Capture: "all", ReturnPath: "router"}, {Capture: "smtp", ReturnPath: "router"},
	} {
		t.Run(opts.Capture+" "+opts.ReturnPath, func(t *testing.T) {
			t.Parallel()
			thisHour()
			s := newStreet(t, opts)
			l := newLineage(t, s.Network, s.config)
			tail := new(bytes.Buffer)
			follow := l.tail(t, tail, "--count", fmt.Sprint(botServers+7))
			one := new(bytes.Buffer)
			followOne := l.tail(t, one, "--within", "2001:db8:a:1::3", "--count", "1")
			eventually(t, "both look", func() bool { return l.status(t).Attempts.Watchers == 2 })
			s.liveOn(t)
			l.waitCounted(t, map[string]uint64{"refused": botServers + 4, "monitored": 1, "not_in_force": 0, "exempt": 1, "relayed": 1})
			if a := l.status(t).Attempts; a.Subscribers != 7 || a.Lost != 0 || a.Overflowed != 0 {
				t.Errorf("status: %+v", a)
			}
			follow.wait(t)
			followOne.wait(t)
			wantTail(t, tail)
			if e := readTail(t, one); len(e) != 1 || e[0].Source.String() != "2001:db8:a:1::3" || e[0].Subscriber != familyAt {
				t.Errorf("tail --within: %+v", e)
			}
			l.wantTop(t)
			l.wantSubscribers(t)
			l.wantReport(t)
			eventually(t, "nobody looks any more", func() bool { return l.status(t).Attempts.Watchers == 0 })
			l.stopConserved(t)
			if d := cmp.Diff(whatStreetDoes(), whatIs(kept(t, s.Network))); d != "" {
				t.Errorf("in the journal (-want +got):\n%s", d)
			}
		})
	}
}

// tail follows attempts until it has had enough.
func (l *lineage) tail(t testing.TB, out *bytes.Buffer, more ...string) *program {
	t.Helper()
	cmd := execIn(append([]string{"tail", "--json", "-c", l.path}, more...)...)
	cmd.Stdout = out
	return startCmd(t, l.network.Gateway, cmd)
}

func readTail(t testing.TB, said *bytes.Buffer) (events []control.TailEvent) {
	t.Helper()
	dec := json.NewDecoder(said)
	for dec.More() {
		var e struct {
			SchemaVersion int `json:"schema_version"`
			control.TailEvent
		}
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.SchemaVersion == 0 || e.Missed > 0 || e.Time.IsZero() || e.Port != lab.PortSMTP {
			t.Errorf("%+v", e)
		}
		events = append(events, e.TailEvent)
	}
	return events
}

// wantTail holds what was told as it came against what was done.
func wantTail(t testing.TB, said *bytes.Buffer) {
	t.Helper()
	type line struct{ subscriber, pool, outcome string }
	want, got := map[line]uint64{}, map[line]uint64{}
	for subscriber, d := range whatStreetDoes() {
		for o, n := range d.Attempts {
			if n > 0 {
				want[line{subscriber, d.Pool, census.Outcome(o).String()}] = n
			}
		}
	}
	for _, e := range readTail(t, said) {
		got[line{e.Subscriber, e.Pool, e.Outcome}]++
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(line{})); d != "" {
		t.Errorf("tail (-want +got):\n%s", d)
	}
}

func (l *lineage) wantTop(t testing.TB) {
	t.Helper()
	var said struct{ Top control.Top }
	text := mustRun(t, l.network.Gateway, binaryPath, "top", "--json", "-c", l.path)
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		t.Fatal(err)
	}
	asked, err := l.client.Top(t.Context(), control.TopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, top := range map[string]control.Top{"op25b top": said.Top, "the socket": asked} {
		got := map[string]did{}
		for _, s := range top.Subscribers {
			d := did{Pool: s.Pool, Destinations: s.Destinations, Exact: !s.Estimated}
			for o := range census.NumOutcomes {
				d.Attempts[o] = s.Attempts[o.String()]
			}
			got[s.Subscriber] = d
		}
		want := whatStreetDoes()
		for subscriber, d := range want {
			d.Retried = false // not told
			want[subscriber] = d
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if first := top.Subscribers[0]; first.Subscriber != botAt+"/32" {
			t.Errorf("%s: %s tries most", name, first.Subscriber)
		}
		// The mailer, the silent, the watched and the exempt one.
		if first := top.Destinations[0]; first.Destination != lab.IPv4.Addrs().MX.String() || first.Attempts != 4 || first.Subscribers != 4 {
			t.Errorf("%s: most tried is %+v", name, first)
		}
	}
}

// wantSubscribers asks for each by one of its addresses.
func (l *lineage) wantSubscribers(t testing.TB) {
	t.Helper()
	for _, row := range []struct{ subscriber, addr, reason, kind string }{
		{mailerAt + "/32", mailerAt, "blocked_port", "unclear"},
		{botAt + "/32", botAt, "blocked_port", "infected"},
		{silentAt + "/32", silentAt, "blocked_port", "unclear"},
		{watchedAt + "/32", watchedAt, "blocked_port", "unclear"},
		{exemptAt + "/32", exemptAt, "exempt", ""},
		{relayedAt + "/32", relayedAt, "blocked_port", ""},
		{familyAt, "2001:db8:a:ff::1234", "blocked_port", "unclear"},
	} {
		s, err := l.client.Subscriber(t.Context(), control.SubscriberOptions{Address: netip.MustParseAddr(row.addr)})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string]did{row.subscriber: whatStreetDoes()[row.subscriber]}, whatIs(s.Records)); d != "" {
			t.Errorf("%s (-want +got):\n%s", row.addr, d)
		}
		if s.Explanation.Reason != row.reason {
			t.Errorf("%s: %s, want %s", row.addr, s.Explanation.Reason, row.reason)
		}
		if s.Finding == nil || row.kind != "" && string(s.Finding.Kind) != row.kind {
			t.Errorf("%s: finding %+v, want %s", row.addr, s.Finding, row.kind)
		}
	}
	s, err := l.client.Subscriber(t.Context(), control.SubscriberOptions{Address: lab.IPv4.Addrs().Static})
	if err != nil || len(s.Records) > 0 || s.Finding != nil || s.Explanation.Action != "forward" {
		t.Errorf("the static one: %+v, %v", s, err)
	}
}

// TestAttemptsOfMany has one flood a server, and one all servers there are, from a pool that
// is monitored, so that the kernel sheds nothing. All goes on to whom it is for, others are
// refused as ever, and each packet is in a record, or counted as lost.
func TestAttemptsOfMany(t *testing.T) {
	t.Parallel()
	needTools(t, "hping3")
	for name, to := range map[string][]string{
		"one server": {lab.IPv4.Addrs().MX.String()}, "all servers": {"--rand-dest", "198.18.x.x", "--interface", lab.LinkHost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			thisHour()
			s := newStreet(t, lab.ConfigOptions{})
			l := newLineage(t, s.Network, s.config)
			const enough = 20_000
			monitored := func(s control.Status) uint64 { return s.Verdicts["outbound"]["monitored"]["blocked_port"] }
			flood := start(t, s.Dynamic, "hping3", append([]string{"--quiet", "--flood", "--syn", "--spoof", watchedAt, "--destport", "25"}, to...)...)
			eventually(t, "many have come", func() bool { return monitored(l.status(t)) > enough })
			wantConnected(t, s.Static, at(s.mx.MX, lab.PortSMTP))
			_ = flood.cmd.Process.Kill()
			<-flood.ended
			wantRefused(t, s.Dynamic, at(s.mx.MX, lab.PortSMTP))
			var now control.Status
			var was uint64
			eventually(t, "all has been counted", func() bool {
				now = l.status(t)
				over := now.Attempts.Queued == 0 && monitored(now) == was
				was = monitored(now)
				return over
			})
			asked, err := l.client.Subscriber(t.Context(), control.SubscriberOptions{Address: netip.MustParseAddr(watchedAt)})
			if err != nil || len(asked.Records) != 1 {
				t.Fatalf("%+v, %v", asked.Records, err)
			}
			r := asked.Records[0]
			t.Logf("%d packets to %d destinations (estimated: %t), lost %d, outcomes %v", r.Packets, r.Destinations, r.Estimated, now.Attempts.Lost, now.Attempts.Outcomes)
			if r.Packets+now.Attempts.Lost != monitored(now) {
				t.Errorf("%d packets are in the record, %d are lost, and %d were judged", r.Packets, now.Attempts.Lost, monitored(now))
			}
			if most := r.Attempts[census.Monitored]; name == "one server" && most > 1 {
				t.Errorf("one who tries one server all the time has made %d attempts", most)
			}
			made, err := l.client.Report(t.Context(), control.ReportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Contains(strings.Join(made.Notes, " "), "too many to be counted"); told != (now.Attempts.Lost > 0) {
				t.Errorf("lost %d, told: %t: %q", now.Attempts.Lost, told, made.Notes)
			}
			l.stopConserved(t)
		})
	}
}
