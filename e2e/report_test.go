// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"op25b/census"
	"op25b/control"
	"op25b/filter/filtertest"
	"op25b/journal"
	"op25b/lab"
	reports "op25b/report"
)

// execIn is the program under test, to be started.
func execIn(args ...string) *exec.Cmd { return exec.Command(binaryPath, args...) }

// kept reads all records of the journal. The gateway may go on.
func kept(t testing.TB, n *lab.Network) (records []census.Record) {
	t.Helper()
	r, err := journal.OpenReader(filepath.Join(n.Dir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for record, err := range r.Records(context.Background(), time.Now().Add(-24*time.Hour), time.Now().Add(time.Hour), netip.Prefix{}) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// report asks for one as a person does.
func (l *lineage) report(t testing.TB) (r reports.Report) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustRun(t, l.network.Gateway, binaryPath, "report", "--json", "-c", l.path)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// streetTotals are those of a street that has lived some times, minutes apart or in one.
func streetTotals() reports.Totals {
	return reports.Totals{
		Counts:   reports.Counts{Subscribers: 5, Refused: botServers + 4, Monitored: 1, Exempt: 1, Relayed: 1},
		Infected: 1, Unclear: 4,
	}
}

// wantReport asks for each form of a report.
func (l *lineage) wantReport(t testing.TB) {
	t.Helper()
	r := l.report(t)
	if d := cmp.Diff(streetTotals(), r.Totals); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
	if len(r.Findings) != 5 || r.Findings[0].Subscriber != botAt+"/32" || r.Findings[0].Kind != reports.Infected || len(r.Triangular) > 0 {
		t.Errorf("findings: %+v, triangular: %+v", r.Findings, r.Triangular)
	}
	if len(r.Exemptions) != 1 || r.Exemptions[0].Used != 1 || r.Exemptions[0].Prefix != exemptAt+"/32" {
		t.Errorf("exemptions: %+v", r.Exemptions)
	}
	rows, err := csv.NewReader(strings.NewReader(mustRun(t, l.network.Gateway, binaryPath, "report", "--csv", "findings", "-c", l.path))).ReadAll()
	if err != nil || len(rows) != 6 || !slices.Contains(rows[1], botAt+"/32") {
		t.Errorf("report --csv: %q, %v", rows, err)
	}
	page := filepath.Join(l.network.Dir(), "report.html")
	mustRun(t, l.network.Gateway, binaryPath, "report", "--html", page, "-c", l.path)
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"html": string(written), "text": mustRun(t, l.network.Gateway, binaryPath, "report", "-c", l.path)} {
		for _, word := range []string{botAt, mailerAt, familyAt, "residential", "silent", "watched", "Mr Example"} {
			if !strings.Contains(text, word) {
				t.Errorf("report as %s does not have %q:\n%s", form, word, text)
			}
		}
		if strings.Contains(text, relayedAt) {
			t.Errorf("report as %s names who did nothing wrong", form)
		}
	}
}

// TestJournalOfAttempts ends gateways within an hour, in each way: what was counted before
// is in reports once.
func TestJournalOfAttempts(t *testing.T) {
	t.Parallel()
	thisHour()
	s := newStreet(t, lab.ConfigOptions{})
	l := newLineage(t, s.Network, s.config)
	server := netip.MustParseAddr("198.19.0.1")
	tries := func(n uint64) {
		t.Helper()
		before := l.status(t).Attempts.Outcomes["refused"]
		for range n {
			if got := dialFrom(t, s.Dynamic, netip.MustParseAddr(botAt), at(server, lab.PortSMTP)); got.outcome != refused {
				t.Errorf("%s: %s", server, got.outcome)
			}
			server = server.Next()
		}
		eventually(t, "all has been counted", func() bool { return l.status(t).Attempts.Outcomes["refused"] == before+n })
	}
	reported := func() uint64 {
		t.Helper()
		return l.report(t).Totals.Refused
	}
	want := func(when string, n uint64) {
		t.Helper()
		if got := reported(); got != n {
			t.Errorf("%s: %d attempts are reported, want %d", when, got, n)
		}
	}
	tries(3)
	want("at first", 3)
	l.stopConserved(t)
	l.run(t)
	want("after a stop", 3)
	tries(4)
	want("after a stop, and more", 7)
	l.succeed(t)
	want("after a succession", 7)
	tries(5)
	want("after a succession, and more", 12)
	if got := l.current.signal(t, unix.SIGTERM); got != 0 {
		t.Errorf("ended with %d", got)
	}
	records := kept(t, s.Network)
	if len(records) != 1 || records[0].Attempts[census.Refused] != 12 || records[0].Destinations != 12 || records[0].Estimated || len(records[0].Top) != 12 {
		t.Errorf("in the journal: %+v", records)
	}
}

// TestJournalPrivacy looks for destinations where none may be.
func TestJournalPrivacy(t *testing.T) {
	t.Parallel()
	for _, privacy := range []string{"truncated", "none"} {
		t.Run(privacy, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, lab.ConfigOptions{Set: map[string]string{"journal.destinations": privacy}})
			l := newLineage(t, s.Network, s.config)
			s.liveOn(t)
			l.waitCounted(t, map[string]uint64{"refused": botServers + 4, "monitored": 1, "not_in_force": 0, "exempt": 1, "relayed": 1})
			before := l.report(t)
			l.stopConserved(t)
			l.run(t)
			after := l.report(t)
			if d := cmp.Diff(before.Totals, after.Totals); d != "" {
				t.Errorf("totals, before the restart and after it:\n%s", d)
			}
			want := map[string]bool{}
			if privacy == "truncated" {
				want = map[string]bool{"198.18.0.0/24": true, "203.0.113.0/24": true, "2001:db8:cafe::/48": true}
			}
			for when, r := range map[string]reports.Report{"before": before, "after": after} {
				got := map[string]bool{}
				for _, f := range r.Findings {
					for _, d := range f.Top {
						got[d.Prefix.String()] = true
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("destinations in the report %s the restart (-want +got):\n%s", when, d)
				}
			}
			l.stopConserved(t)
			if privacy == "truncated" {
				want["192.0.2.0/24"] = true // the relay
			}
			got := map[string]bool{}
			for _, r := range kept(t, s.Network) {
				if r.Subscriber.String() == botAt+"/32" && r.Destinations != botServers {
					t.Errorf("the number of destinations is kept: %d, want %d", r.Destinations, botServers)
				}
				for _, d := range r.Top {
					got[d.Prefix.String()] = true
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("destinations in the journal (-want +got):\n%s", d)
			}
			s.wantNoDestinations(t)
		})
	}
}

// wantNoDestinations looks for their octets, and for what people write, in the journal's
// files.
func (s *street) wantNoDestinations(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "journal.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	// Few, so that they are not there by chance. What is truncated stands before its length.
	addrs := []netip.Addr{lab.IPv6.Addrs().MX, lab.IPv6.Addrs().MX.Next(), s.mx.MX, s.mx.MSA}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if strings.Contains(string(text), string(a.AsSlice())) || strings.Contains(string(text), a.String()) {
				t.Errorf("%s is in %s", a, file)
			}
		}
	}
}

// TestTriangular has the internet answer what nobody has sent, and somebody answer that.
func TestTriangular(t *testing.T) {
	t.Parallel()
	s := newStreet(t, lab.ConfigOptions{ReturnPath: "router"})
	l := newLineage(t, s.Network, s.config)
	const lender, forged = botAt, mailerAt
	// A session with a mail server, as it comes back.
	for i := range 2 {
		from := s.mx.MX
		if i == 1 {
			from = netip.MustParseAddr("203.0.113.26")
		}
		s.answer(t, from, lender, filtertest.SYN|filtertest.ACK, "")
		for _, line := range []string{"220 mx.example ESMTP\r\n", "250 OK\r\n", "250 OK\r\n", "354 go on\r\n"} {
			s.answer(t, from, lender, filtertest.ACK|filtertest.PSH, line)
		}
	}
	for i := range 5 {
		s.answer(t, netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)}), forged, filtertest.SYN|filtertest.ACK, "")
	}
	// A session that was asked for.
	if got := dialFrom(t, s.Dynamic, netip.MustParseAddr(exemptAt), at(s.mx.MX, lab.PortSMTP)); got.outcome != connected {
		t.Fatalf("exempt: %s", got.outcome)
	}
	type suspect struct {
		Subscriber, Kind                        string
		SYNACKs, Resets, Data, Peers, DataPeers uint64
	}
	want := []suspect{
		{lender + "/32", reports.Triangular, 2, 0, 8, 2, 2},
		{forged + "/32", reports.Backscatter, 5, 0, 0, 5, 0},
	}
	var got []suspect
	eventually(t, "all has been counted", func() bool {
		got = nil
		var n uint64
		for _, s := range l.report(t).Triangular {
			got = append(got, suspect{s.Subscriber, s.Kind, s.SYNACKs, s.Resets, s.Data, s.Peers, s.DataPeers})
			n += s.SYNACKs + s.Data
		}
		return n >= 15
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("suspects (-want +got):\n%s", d)
	}
	text := mustRun(t, l.network.Gateway, binaryPath, "report", "-c", l.path)
	if !strings.Contains(text, "triangular") || !strings.Contains(text, "backscatter") {
		t.Errorf("the report says nothing of it:\n%s", text)
	}
	l.stopConserved(t)
	l.run(t)
	got = nil
	for _, s := range l.report(t).Triangular {
		got = append(got, suspect{s.Subscriber, s.Kind, s.SYNACKs, s.Resets, s.Data, s.Peers, s.DataPeers})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("after a restart (-want +got):\n%s", d)
	}
	l.stopConserved(t)
}

// answer sends a segment from port 25 of an address in the internet.
func (s *street) answer(t testing.TB, from netip.Addr, to string, flags filtertest.Flags, data string) {
	t.Helper()
	pkt := filtertest.TCP(at(from, lab.PortSMTP).String(), at(netip.MustParseAddr(to), 40000).String()).Flags(flags).Data(data).Bytes()
	err := s.Internet.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, pkt, 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDiag makes bundles of a gateway that knows much of subscribers and some secrets.
func TestDiag(t *testing.T) {
	t.Parallel()
	s := newStreet(t, lab.ConfigOptions{})
	dir := s.Dir()
	leases := filepath.Join(dir, "leases")
	const mac, hostname, secret, token = "02:00:00:00:00:99", "mr-examples-laptop", "radius-secret-that-nobody-may-see", "console-token-that-nobody-may-see-either"
	writeFile(t, leases, fmt.Sprintf("%d %s %s %s 01:%s\n", time.Now().Add(time.Hour).Unix(), mac, botAt, hostname, mac))
	writeFile(t, filepath.Join(dir, "radius.secret"), secret+"\n")
	writeFile(t, filepath.Join(dir, "console.tokens"), token+"\n")
	config := s.config + fmt.Sprintf(`
leases:
  - {name: dhcp, kind: dnsmasq, file: %s}
  - {name: bras, kind: radius, listen: 127.0.0.1:1813, clients: [127.0.0.1], secret_file: radius.secret}
console: {listen: "127.0.0.1:9926", token_file: console.tokens}
`, leases) + "# Mr Example at " + exemptAt + " and 2001:db8:a:1::2 has called\n"
	l := newLineage(t, s.Network, strings.Replace(config, "log:\n", "log:\n  level: debug\n", 1))
	s.liveOn(t)
	eventually(t, "the gateway knows who has the address", func() bool {
		e, err := l.client.Explain(t.Context(), control.ExplainOptions{Source: netip.MustParseAddr(botAt), Destination: at(s.mx.MX, lab.PortSMTP)})
		return err == nil && len(e.Holders) == 1 && e.Holders[0].Holder == mac
	})
	// What is broken says so in the log.
	exemptions := filepath.Join(dir, "exemptions.yaml")
	const office = "100.64.0.128/28"
	good := fmt.Sprintf("exemptions:\n  - {prefix: %s/32, until: 2100-01-01T00:00:00Z, reason: Mr Example}\n  - {prefix: %s, until: 2100-01-01T00:00:00Z, reason: Mr Example's office}\n", botAt, office)
	writeFile(t, exemptions, good)
	l.reload(t)
	for _, bad := range []string{"  - {prefix: 100.64.0.1/9, reason: Mr Example}\n", "  - {prefix: 100.64.0.41/32, until: Mr Example}\n", "  - Mr Example\n", "Mr Example: yes\n"} {
		writeFile(t, exemptions, good+bad)
		if _, err := l.client.Reload(t.Context(), control.ReloadOptions{}); err == nil {
			t.Errorf("%q was loaded", bad)
		}
	}
	writeFile(t, leases, fmt.Sprintf("nonsense of %s %s %s\n", mac, botAt, hostname))
	eventually(t, "the broken source is told", func() bool { return l.status(t).State == control.StateDegraded })

	closed, open := filepath.Join(dir, "closed.zip"), filepath.Join(dir, "open.zip")
	mustRun(t, s.Gateway, binaryPath, "diag", "-c", l.path, "-o", closed)
	mustRun(t, s.Gateway, binaryPath, "diag", "-c", l.path, "-o", open, "--include-subscribers")
	if out := op25b(t, s.Gateway, "diag", "-c", l.path, "-o", open); out.code != 1 {
		t.Errorf("over a file that is there: %d\n%s", out.code, out.stderr)
	}
	masked, all := unzip(t, closed), unzip(t, open)
	parts := []string{"calendar.json", "goroutines.txt", "log.txt", "machine.txt", "op25b.yaml", "routes.txt", "status.json", "version.json"}
	for _, name := range parts {
		if len(masked[name]) == 0 || len(all[name]) == 0 {
			t.Errorf("no %s", name)
		}
	}
	for name, text := range masked {
		for _, word := range []string{
			mailerAt, botAt, silentAt, watchedAt, exemptAt, relayedAt, "2001:db8:a:1::", "2001:db8:a::/56", office, mac, hostname, "Mr Example",
		} {
			if has(text, word) {
				t.Errorf("%q is in %s:\n%s", word, name, text)
			}
		}
	}
	for name, text := range masked {
		all[name] += text
	}
	for name, text := range all {
		for _, word := range []string{secret, token} {
			if strings.Contains(text, word) {
				t.Errorf("%q is in %s", word, name)
			}
		}
	}
	// What is no subscriber's stays, or the bundle would be of no use.
	for _, words := range [][2]string{
		{"op25b.yaml", "100.64.0.0/10"}, {"op25b.yaml", "2001:db8:a::/48"}, {"op25b.yaml", "secret_file: radius.secret"}, {"op25b.yaml", "192.0.2.25/32"},
		{"routes.txt", lab.LinkDynamic}, {"log.txt", `"ready"`}, {"status.json", `"refused"`}, {"machine.txt", "op25b-sub"},
	} {
		if !strings.Contains(masked[words[0]], words[1]) {
			t.Errorf("%q is not in %s:\n%s", words[1], words[0], masked[words[0]])
		}
	}
	for _, word := range []string{botAt, mailerAt, familyAt} {
		if !strings.Contains(all["top.json"], word) {
			t.Errorf("%s is not in top.json, though it was asked for:\n%s", word, all["top.json"])
		}
	}
	l.stopConserved(t)
}

// has reports whether an address or word is in a text, and not only as a part of another
// address.
func has(text, word string) bool {
	for i := strings.Index(text, word); i >= 0; {
		end := i + len(word)
		if end == len(text) || text[end] < '0' || text[end] > '9' {
			return true
		}
		next := strings.Index(text[end:], word)
		if next < 0 {
			return false
		}
		i = end + next
	}
	return false
}

func unzip(t testing.TB, path string) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	parts := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		parts[f.Name] = string(text)
	}
	return parts
}

// TestActivityIsNotForAll has somebody else ask about subscribers.
func TestActivityIsNotForAll(t *testing.T) {
	t.Parallel()
	s := newStreet(t, lab.ConfigOptions{})
	l := newLineage(t, s.Network, s.config)
	socket := filepath.Join(s.Dir(), "op25b.sock")
	ask := func(args ...string) output {
		cmd := execIn(append(args, "--socket", socket)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
		return runCmd(t, s.Gateway, cmd)
	}
	commands := [][]string{{"top", "--once"}, {"top", "--json"}, {"tail", "--count", "1"}, {"report"}, {"diag", "-o", filepath.Join(s.Dir(), "diag.zip")}}
	for _, args := range commands {
		if out := ask(args...); out.code != 5 || out.stdout != "" || out.stderr == "" {
			t.Errorf("%v: %d\n%s%s", args, out.code, out.stdout, out.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), "diag.zip")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bundle is left: %v", err)
	}
	l.stopConserved(t)
}
