// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"op25b/control"
	"op25b/lab"
)

// noticeGreeting is what begins every notice.
const noticeGreeting = "554 5.7.1 Direct mail to port 25 is refused on this line, to stop spam."

// TestNotice has mail programs that everybody knows meet the notice, for each way that
// packets can take. docs/notice.md says what they do.
func TestNotice(t *testing.T) {
	t.Parallel()
	needTools(t, "swaks", "curl", "msmtp", "postfix")
	for _, opts := range []lab.ConfigOptions{
		{Response: "notice"},
		{Response: "notice", Capture: "smtp", ReturnPath: "router"},
		{Response: "notice", Established: "reset", Offload: "off"},
	} {
		t.Run(fmt.Sprintf("%+v", opts), func(t *testing.T) {
			t.Parallel()
			dir := postfixDir(t)
			n := newNetwork(t, lab.Options{})
			startServer(t, n)
			l := newLineage(t, n, n.GatewayConfig(opts))
			for _, f := range n.Families() {
				t.Run(f.String(), func(t *testing.T) { meetNotice(t, n, f) })
			}
			t.Run("Postfix", func(t *testing.T) { postfixMeetsNotice(t, n, dir) })
			wantConnected(t, n.Static, at(lab.IPv4.Addrs().MX, lab.PortSMTP))
			wantConnected(t, n.Dynamic, at(lab.IPv4.Addrs().MSA, lab.PortSMTP))
			s := l.status(t)
			if s.Notice.Greeted == 0 || s.Refused == 0 || s.Attempts.Outcomes["refused"] == 0 {
				t.Errorf("notice %+v, %d refused, attempts %v", s.Notice, s.Refused, s.Attempts.Outcomes)
			}
			eventually(t, "no notice is open once all is over", func() bool { return l.status(t).Notice.Open == 0 })
			l.stopConserved(t)
		})
	}
}

// meetNotice sends in one family. Every program says to its user what the notice says.
func meetNotice(t *testing.T, n *lab.Network, f lab.Family) {
	t.Helper()
	mx := at(f.Addrs().MX, lab.PortSMTP)
	out := sendWithSwaks(t, letter{from: n.Dynamic, server: mx, subject: "notice"})
	wantSaid(t, "swaks", out, 21, noticeGreeting)
	if !strings.Contains(out.stdout+out.stderr, "QUIT") || !strings.Contains(out.stdout+out.stderr, "221 2.0.0 Bye") {
		t.Errorf("swaks and the notice do not part: %s%s", out.stdout, out.stderr)
	}
	// curl says which code, and with --verbose also the line.
	wantSaid(t, "curl", sendWithCurl(t, letter{from: n.Dynamic, server: mx, subject: "notice"}), 8, noticeGreeting)

	msmtp := exec.Command("msmtp", "--host="+mx.Addr().String(), "--port=25", "--timeout=10", "--from="+sender, "--auth=off", "--tls=off", receiver)
	msmtp.Stdin = strings.NewReader("Subject: notice\n\nhello\n")
	wantSaid(t, "msmtp", runCmd(t, n.Dynamic, msmtp), 76, noticeGreeting)

	// Go's net/smtp has it in its error.
	var greeting string
	if err := n.Dynamic.Do(func() error {
		conn, err := net.DialTimeout("tcp", mx.String(), silence)
		if err != nil {
			return err
		}
		defer conn.Close()
		greeting, err = bufio.NewReader(conn).ReadString('\n')
		return err
	}); err != nil || !strings.HasPrefix(greeting, noticeGreeting) || !strings.HasSuffix(greeting, "\r\n") {
		t.Errorf("greeted with %q, %v", greeting, err)
	}
}

func wantSaid(t *testing.T, program string, out output, code int, words string) {
	t.Helper()
	if out.code != code || !strings.Contains(out.stdout+out.stderr, words) {
		t.Errorf("%s: exit code %d, want %d and %q\n%s%s", program, out.code, code, words, out.stdout, out.stderr)
	}
	t.Logf("%s took %s", program, out.took)
}

// postfixMeetsNotice has a subscriber's own Postfix deliver directly. It defers the
// message (smtp_skip_5xx_greeting is on by default) with the notice in its log, so that
// nothing is lost. One that believes such a greeting tells the sender at once.
func postfixMeetsNotice(t *testing.T, n *lab.Network, dir string) {
	t.Helper()
	a := lab.IPv4.Addrs()
	own := at(a.Dynamic, 2525)
	p := startPostfix(t, n, dir, postfixPlan{
		name: "own", node: n.Dynamic, services: []smtpService{{name: "own", addr: own}},
		clients: []netip.Prefix{netip.PrefixFrom(a.Dynamic, 32)}, next: a.MX,
	})
	out := sendWithSwaks(t, letter{from: n.Dynamic, server: own, subject: "deferred"})
	if out.code != 0 {
		t.Fatalf("exit code %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	eventually(t, "Postfix says why it defers", func() bool {
		return strings.Contains(p.output(), "status=deferred") && strings.Contains(p.output(), "refused to talk to me: "+noticeGreeting)
	})

	conf := filepath.Join(p.dir, "conf")
	mustRun(t, n.Dynamic, "postconf", "-c", conf, "-e", "smtp_skip_5xx_greeting=no")
	mustRun(t, n.Dynamic, "postfix", "-c", conf, "reload")
	p.waitOutput(t, "reload -- version")
	if out := sendWithSwaks(t, letter{from: n.Dynamic, server: own, subject: "bounced"}); out.code != 0 {
		t.Fatalf("exit code %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	eventually(t, "Postfix says why it bounces", func() bool {
		return strings.Contains(p.output(), "status=bounced") && strings.Count(p.output(), "refused to talk to me: "+noticeGreeting) > 1
	})
}

// TestNoticeUnderLoad has clients that do not go away, and more of them than there is
// room for: the rest is refused as ever, at once, and nobody else is slower for it.
func TestNoticeUnderLoad(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Response: "notice"}))
	mx := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	// Hangers-on: each subscriber has four, and none says anything.
	const subscribers, each = 70, 4
	for i := range subscribers {
		mustRun(t, n.Dynamic, "ip", "addr", "add", fmt.Sprintf("100.64.0.%d/32", i+101), "dev", lab.LinkHost)
	}
	var hanging sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	var longest time.Duration
	for i := range subscribers {
		for range each {
			hanging.Go(func() {
				what, took := hangOn(n, netip.AddrFrom4([4]byte{100, 64, 0, byte(i + 101)}), mx)
				mu.Lock()
				defer mu.Unlock()
				outcomes[what]++
				longest = max(longest, took)
			})
		}
	}
	eventually(t, "there is no more room", func() bool { s := l.status(t); return s.Notice.Open >= 200 && s.Notice.FellBack > 0 })
	wantConnected(t, n.Static, mx)
	if got := dial(t, n.Dynamic, mx); got.outcome != refused && got.outcome != connected {
		t.Errorf("one more: %s", got.outcome)
	}
	hanging.Wait()
	if longest > 20*time.Second {
		t.Errorf("somebody hung on for %s", longest)
	}
	if outcomes["told"] == 0 || outcomes["refused"] == 0 || outcomes["told"]+outcomes["refused"] != subscribers*each {
		t.Errorf("what became of them: %v", outcomes)
	}
	t.Logf("%v, the longest %s", outcomes, longest.Round(time.Millisecond))
	eventually(t, "all are gone", func() bool { return l.status(t).Notice.Open == 0 })
	eventually(t, "the next one is told", func() bool {
		got, _ := hangOn(n, lab.IPv4.Addrs().Dynamic, mx)
		return got == "told"
	})
	l.stopConserved(t)
}

// hangOn connects and waits until it is cut off.
func hangOn(n *lab.Network, from netip.Addr, to netip.AddrPort) (outcome string, took time.Duration) {
	begun := time.Now()
	err := n.Dynamic.Do(func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(at(from, 0)), Timeout: silence}
		conn, err := d.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		said, err := io.ReadAll(conn)
		outcome = "told"
		if !strings.HasPrefix(string(said), noticeGreeting) {
			outcome = fmt.Sprintf("said %q, %v", said, err)
		}
		return nil
	})
	if err != nil {
		outcome = err.Error()
		if strings.Contains(outcome, "connection refused") {
			outcome = "refused"
		}
	}
	return outcome, time.Since(begun)
}

// TestNoticeReload changes the text while the gateway runs.
func TestNoticeReload(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	l := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{Response: "notice"}))
	mx := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	const other = "Call us"
	if err := os.WriteFile(l.path, []byte(n.GatewayConfig(lab.ConfigOptions{
		Response: "notice", Set: map[string]string{"texts.notice": other},
	})), 0o600); err != nil {
		t.Fatal(err)
	}
	l.reload(t)
	out := sendWithSwaks(t, letter{from: n.Dynamic, server: mx, subject: "notice"})
	wantSaid(t, "swaks", out, 21, "554 5.7.1 "+other)
	e, err := l.client.Explain(t.Context(), control.ExplainOptions{Source: lab.IPv4.Addrs().Dynamic, Destination: mx})
	if err != nil || !strings.Contains(e.Text, "554") {
		t.Errorf("explain says nothing of the notice: %q, %v", e.Text, err)
	}
	l.stopConserved(t)
}
