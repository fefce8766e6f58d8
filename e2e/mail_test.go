// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"op25b/lab"
)

// mailLab is a network with a mail provider and the ISP's own submission server,
// both Postfix, and a gateway.
type mailLab struct {
	*lab.Network
	gateway  *lab.Gateway
	provider *postfix // 25, 465 and 587, and the mailbox
	isp      *postfix // 25 for the ISP's subscribers; hands on to the provider
}

// postfixDir makes a directory for Postfix. It is called before the network is made, so
// that it is removed after what runs in that has ended.
func postfixDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// Postfix gives up root, and testing's own directory is for root alone.
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newMailLab(t *testing.T, opts lab.ConfigOptions) *mailLab {
	t.Helper()
	dir := postfixDir(t)
	n := newNetwork(t, lab.Options{})
	m := &mailLab{Network: n}
	provider, isp := postfixPlan{name: "mx"}, postfixPlan{name: "isp", next: lab.IPv4.Addrs().MX}
	for _, f := range n.Families() {
		a := f.Addrs()
		provider.services = append(provider.services,
			smtpService{name: "mx", addr: at(a.MX, lab.PortSMTP)},
			smtpService{name: "submission", addr: at(a.MX, lab.PortSubmission), auth: true},
			smtpService{name: "submissions", addr: at(a.MX, lab.PortSubmissions), auth: true, wrapped: true})
		isp.services = append(isp.services, smtpService{name: "isp", addr: at(a.MSA, lab.PortSMTP)})
		isp.clients = append(isp.clients, netip.PrefixFrom(a.Dynamic, a.Dynamic.BitLen()))
	}
	m.provider = startPostfix(t, n, dir, provider)
	m.isp = startPostfix(t, n, dir, isp)
	m.gateway = startGateway(t, n, opts)
	return m
}

// letter is a message that a subscriber sends, and how.
type letter struct {
	from    *lab.Node
	server  netip.AddrPort
	subject string
	login   bool
	// tls is the certificate to trust; empty: no TLS.
	tls string
}

// mailer is a mail program that subscribers use.
type mailer struct {
	name string
	send func(t *testing.T, l letter) output
	// what it says and returns when it cannot connect.
	refused     string
	refusedCode int
}

func mailers() []mailer {
	return []mailer{
		{name: "swaks", send: sendWithSwaks, refused: "Connection refused", refusedCode: 2},
		{name: "curl", send: sendWithCurl, refused: "Connection refused", refusedCode: 7},
	}
}

const (
	sender   = "bob@subscriber.example"
	receiver = lab.MailUser
)

// sendWithSwaks logs in with CRAM-MD5; TLS is for curl, as is IPv6 where the
// Perl module is missing that swaks needs for it.
func sendWithSwaks(t *testing.T, l letter) output {
	t.Helper()
	needTools(t, "swaks")
	if l.server.Addr().Is6() && exec.Command("perl", "-MIO::Socket::INET6", "-e", "1").Run() != nil {
		lack(t, "IO::Socket::INET6 for swaks over IPv6 (Debian: libio-socket-inet6-perl)")
	}
	args := []string{
		"--server", l.server.Addr().String(), "--port", fmt.Sprint(l.server.Port()), "--timeout", "10",
		"--from", sender, "--to", receiver, "--header", "Subject: " + l.subject,
	}
	if l.login {
		args = append(args, "--auth", "CRAM-MD5", "--auth-user", lab.MailUser, "--auth-password", lab.MailPassword)
	}
	return runIn(t, l.from, "swaks", args...)
}

// sendWithCurl logs in with PLAIN.
func sendWithCurl(t *testing.T, l letter) output {
	t.Helper()
	needTools(t, "curl")
	scheme := "smtp"
	if l.server.Port() == lab.PortSubmissions {
		scheme = "smtps"
	}
	args := []string{
		"--silent", "--show-error", "--verbose", "--max-time", "10", "--url", fmt.Sprintf("%s://%s/subscriber.example", scheme, l.server),
		"--mail-from", sender, "--mail-rcpt", receiver, "--upload-file", "-",
	}
	if l.tls != "" {
		args = append(args, "--ssl-reqd", "--cacert", l.tls)
	}
	if l.login {
		args = append(args, "--user", lab.MailUser+":"+lab.MailPassword, "--login-options", "AUTH=PLAIN")
	}
	cmd := exec.Command("curl", args...)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\nhello\r\n", sender, receiver, l.subject))
	return runCmd(t, l.from, cmd)
}

// TestMail is what the program is for, with mail servers and mail programs that
// everybody knows, for each way that packets can take through the gateway.
func TestMail(t *testing.T) {
	t.Parallel()
	for _, capture := range []string{"all", "smtp"} {
		for _, returnPath := range []string{"kernel", "router"} {
			t.Run(fmt.Sprintf("capture %s, return path %s", capture, returnPath), func(t *testing.T) {
				t.Parallel()
				newMailLab(t, lab.ConfigOptions{Capture: capture, ReturnPath: returnPath}).play(t)
			})
		}
	}
}

// play sends in both families, with every program.
func (m *mailLab) play(t *testing.T) {
	t.Helper()
	for _, f := range m.Families() {
		t.Logf("%s: a Go program is refused after %s", f, wantRefused(t, m.Dynamic, at(f.Addrs().MX, lab.PortSMTP)))
		for _, program := range mailers() {
			t.Run(fmt.Sprintf("%s, %s", f, program.name), func(t *testing.T) { m.send(t, f, program) })
		}
	}
}

// send sends with one program all that subscribers send in one family.
func (m *mailLab) send(t *testing.T, f lab.Family, program mailer) {
	t.Helper()
	a := f.Addrs()
	subject := func(what string) string { return fmt.Sprintf("%s by %s over %s", what, program.name, f) }
	delivered := func(t *testing.T, l letter) []string {
		t.Helper()
		if out := program.send(t, l); out.code != 0 {
			t.Fatalf("%s to %s: exit code %d\n%s%s", l.from.Name(), l.server, out.code, out.stdout, out.stderr)
		}
		return m.provider.wantMessage(t, l.subject)
	}

	t.Run("dynamic to the MX is refused", func(t *testing.T) {
		l := letter{from: m.Dynamic, server: at(a.MX, lab.PortSMTP), subject: subject("direct")}
		out := program.send(t, l)
		if out.code != program.refusedCode || !strings.Contains(out.stdout+out.stderr, program.refused) {
			t.Errorf("exit code %d, want %d and %q\n%s%s", out.code, program.refusedCode, program.refused, out.stdout, out.stderr)
		}
		if _, found := m.provider.find(t, l.subject); found {
			t.Error("the message is in the mailbox")
		}
		// Postfix logs each connection that reaches it, under the service's name.
		if line := "connect from unknown[" + a.Dynamic.String() + "]"; saidBy(m.provider, "mx/smtpd", line) {
			t.Errorf("the MX says %q", line)
		}
		t.Logf("the whole run took %s", out.took)
	})
	t.Run("dynamic with a password by 587 is delivered", func(t *testing.T) {
		l := letter{from: m.Dynamic, server: at(a.MX, lab.PortSubmission), subject: subject("submission"), login: true}
		received := delivered(t, l)
		wantReceived(t, received, a.Dynamic, "mx")
		wantWords(t, strings.Join(received, "\n"), "(Authenticated sender: "+lab.MailUser+")")
	})
	t.Run("dynamic by the ISP's server is delivered", func(t *testing.T) {
		l := letter{from: m.Dynamic, server: at(a.MSA, lab.PortSMTP), subject: subject("relay")}
		received := delivered(t, l)
		if len(received) != 2 {
			t.Fatalf("came by %d servers, want 2: %q", len(received), received)
		}
		wantReceived(t, received[1:], a.Dynamic, "isp")
		wantReceived(t, received[:1], lab.IPv4.Addrs().MSA, "mx")
	})
	t.Run("static to the MX is delivered", func(t *testing.T) {
		l := letter{from: m.Static, server: at(a.MX, lab.PortSMTP), subject: subject("static")}
		wantReceived(t, delivered(t, l), a.Static, "mx")
	})
	if program.name != "curl" {
		return
	}
	for _, port := range []uint16{lab.PortSubmission, lab.PortSubmissions} {
		t.Run(fmt.Sprintf("dynamic with TLS by %d is delivered", port), func(t *testing.T) {
			l := letter{
				from: m.Dynamic, server: at(a.MX, port), subject: subject(fmt.Sprintf("TLS %d", port)),
				login: true, tls: m.provider.certificate(),
			}
			wantReceived(t, delivered(t, l), a.Dynamic, "mx")
		})
	}
}

// wantReceived holds one server's record against what must be true: the client's
// address is its own, unchanged.
func wantReceived(t *testing.T, received []string, client netip.Addr, server string) {
	t.Helper()
	from := "[" + client.String() + "]"
	if client.Is6() {
		from = "[IPv6:" + client.String() + "]"
	}
	if len(received) != 1 || !strings.Contains(received[0], from) || !strings.Contains(received[0], "by "+server+"."+mailDomain) {
		t.Errorf("received %q, want once from %s by %s", received, from, server)
	}
}

// saidBy reports whether the service has logged text.
func saidBy(p *postfix, service, text string) bool {
	for line := range strings.Lines(p.output()) {
		if strings.Contains(line, service) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}
