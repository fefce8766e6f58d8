// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func startMail(t *testing.T, n *Network) *Mail {
	t.Helper()
	m, err := n.StartMail()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMailIsDelivered(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	m := startMail(t, n)
	tests := []struct {
		endpoint Endpoint
		host     func(Addrs) netip.Addr
		port     uint16
		tls      bool
		login    bool
	}{
		{EndpointMX, func(a Addrs) netip.Addr { return a.MX }, PortSMTP, false, false},
		{EndpointMX, func(a Addrs) netip.Addr { return a.MX }, PortSMTP, true, false},
		{EndpointSubmission, func(a Addrs) netip.Addr { return a.MX }, PortSubmission, true, true},
		{EndpointSubmission, func(a Addrs) netip.Addr { return a.MX }, PortSubmission, false, true},
		{EndpointSubmissions, func(a Addrs) netip.Addr { return a.MX }, PortSubmissions, true, true},
		{EndpointMSA, func(a Addrs) netip.Addr { return a.MSA }, PortSMTP, false, false},
		{EndpointMSASubmission, func(a Addrs) netip.Addr { return a.MSA }, PortSubmission, true, true},
	}
	for _, f := range n.Families() {
		for i, tt := range tests {
			d := Delivery{
				Server:  netip.AddrPortFrom(tt.host(f.Addrs()), tt.port),
				From:    "sender@example.net",
				To:      "receiver@example.net",
				Subject: fmt.Sprintf("%s %d", f, i),
			}
			want := Message{
				Endpoint: tt.endpoint,
				Client:   netip.AddrPortFrom(f.Addrs().Dynamic, 0),
				TLS:      tt.tls,
				From:     d.From,
				To:       []string{d.To},
				Subject:  d.Subject,
			}
			if tt.tls {
				d.TLS = m.ClientTLS()
			}
			if tt.login {
				d.User, d.Password = MailUser, MailPassword
				want.User = MailUser
			}
			if err := n.Dynamic.Deliver(testContext(t), d); err != nil {
				t.Errorf("%s %s: %v", f, d.Server, err)
				continue
			}
			got, err := m.Mailbox.Wait(testContext(t), d.Subject)
			if err != nil {
				t.Errorf("%s %s: %v", f, d.Server, err)
				continue
			}
			if !strings.Contains(string(got.Data), "Hello from the lab.") {
				t.Errorf("%s %s: body is %q", f, d.Server, got.Data)
			}
			got.Client = netip.AddrPortFrom(got.Client.Addr(), 0)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Message{}, "Data", "Received"),
				cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", f, d.Server, diff)
			}
		}
	}
	if got, want := len(m.Mailbox.Messages()), len(tests)*len(n.Families()); got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
}

func TestSubmissionAsksForLogin(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	m := startMail(t, n)
	server := netip.AddrPortFrom(IPv4.Addrs().MX, PortSubmission)
	tests := []struct {
		name           string
		user, password string
		code           int
	}{
		{"no login", "", "", 530},
		{"wrong password", MailUser, "wrong", 535},
		{"wrong user", "mallory", MailPassword, 535},
	}
	for _, tt := range tests {
		err := n.Dynamic.Deliver(testContext(t), Delivery{Server: server, User: tt.user, Password: tt.password})
		answer, ok := errors.AsType[*smtp.SMTPError](err)
		if !ok || answer.Code != tt.code {
			t.Errorf("%s: %v, want code %d", tt.name, err, tt.code)
		}
	}
	if got := m.Mailbox.Messages(); len(got) != 0 {
		t.Errorf("delivered anyway: %v", got)
	}
}

func TestDeliverFollowsItsContext(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	listener, err := n.Internet.Listen("tcp", "203.0.113.25:25") // takes calls, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err = n.Dynamic.Deliver(ctx, Delivery{Server: netip.MustParseAddrPort("203.0.113.25:25")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Deliver = %v, want context.Canceled", err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := newMailbox().Wait(waiting, "never"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait = %v, want context.DeadlineExceeded", err)
	}
}

// A client that stays connected does not hold up Close.
func TestMailClosesSessions(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	m := startMail(t, n)
	for _, f := range n.Families() {
		for _, port := range []uint16{PortSMTP, PortSubmission, PortSubmissions} {
			conn, err := n.Static.Dial(testContext(t), "tcp", netip.AddrPortFrom(f.Addrs().MX, port).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	start := time.Now()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %s", took)
	}
	if _, err := n.StartMail(); err != nil {
		t.Errorf("a second start: %v", err)
	}
}

// Clients that nobody here wrote.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	m := startMail(t, n)
	if _, err := n.StartWeb(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		subject string
		argv    []string
	}{
		{"swaks by 25", "swaks 25", []string{"swaks", "--server", "203.0.113.25", "--to", MailUser, "--from", "a@b.example", "--header", "Subject: swaks 25"}},
		{"swaks by 587", "swaks 587", []string{"swaks", "--server", "203.0.113.25", "--port", "587", "--auth", "PLAIN", "--auth-user", MailUser,
			"--auth-password", MailPassword, "--to", MailUser, "--from", "a@b.example", "--header", "Subject: swaks 587"}},
		{"curl by HTTP", "", []string{"curl", "-sSf", "--noproxy", "*", "http://[2001:db8:cafe::80]/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.argv[0]); err != nil {
				t.Skipf("SKIPPED: needs %s", tt.argv[0])
			}
			out, err := n.Dynamic.CombinedOutput(exec.CommandContext(testContext(t), tt.argv[0], tt.argv[1:]...))
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			if tt.subject == "" {
				if string(out) != WebGreeting {
					t.Errorf("got %q", out)
				}
				return
			}
			if _, ok := m.Mailbox.Find(tt.subject); !ok {
				t.Errorf("not in the mailbox:\n%s", out)
			}
		})
	}
}

func TestWebAndEcho(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	web, err := n.StartWeb()
	if err != nil {
		t.Fatal(err)
	}
	echo, err := n.StartEcho()
	if err != nil {
		t.Fatal(err)
	}
	large := []byte(strings.Repeat("x", maxDatagram))
	for _, f := range n.Families() {
		server := netip.AddrPortFrom(f.Addrs().Web, PortWeb)
		if page, err := n.Dynamic.Fetch(testContext(t), server); err != nil || page != WebGreeting {
			t.Errorf("%s: Fetch = %q, %v", f, page, err)
		}
		server = netip.AddrPortFrom(f.Addrs().Internet, PortEcho)
		for _, payload := range [][]byte{[]byte("hello"), large} { // large: in fragments
			if err := n.Dynamic.AskEcho(testContext(t), server, payload); err != nil {
				t.Errorf("%s: AskEcho with %d bytes: %v", f, len(payload), err)
			}
		}
	}
	for range 2 {
		if err := errors.Join(web.Close(), echo.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err = n.Dynamic.Fetch(testContext(t), netip.AddrPortFrom(IPv4.Addrs().Web, PortWeb))
	if inWords(err) != "connection refused" {
		t.Errorf("Fetch from a closed server: %v", err)
	}
	err = n.Dynamic.AskEcho(testContext(t), netip.AddrPortFrom(IPv4.Addrs().Internet, PortEcho), []byte("hello"))
	if inWords(err) != "connection refused" {
		t.Errorf("AskEcho without a service: %v", err)
	}
}

func TestInWords(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	m := startMail(t, n)
	server := netip.AddrPortFrom(IPv4.Addrs().MX, PortSubmission)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	untrusting := m.ClientTLS()
	untrusting.RootCAs = nil
	tests := []struct {
		want string
		err  error
	}{
		{"no answer", n.Dynamic.Deliver(ctx, Delivery{Server: server})},
		{"connection refused", n.Dynamic.Deliver(testContext(t), Delivery{Server: netip.MustParseAddrPort("203.0.113.25:26")})},
		{"server said 530 Authentication required", n.Dynamic.Deliver(testContext(t), Delivery{Server: server})},
		{"server's certificate not trusted", n.Dynamic.Deliver(testContext(t), Delivery{Server: server, TLS: untrusting})},
		{"network unreachable", n.Transit.Deliver(testContext(t), Delivery{Server: netip.MustParseAddrPort("233.252.0.1:25")})},
		{"wrong answer from UDP echo", errEcho},
	}
	for _, tt := range tests {
		if got := inWords(tt.err); got != tt.want {
			t.Errorf("inWords(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
