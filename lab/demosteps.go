// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// atOnce is the longest time in which a refusal still counts as immediate. A
// client repeats an unanswered SYN after a second, so what takes longer was not
// an answer to the first.
const atOnce = 900 * time.Millisecond

// demoStep is one thing that the demo tries.
type demoStep struct {
	name   string
	expect string
	play   func(ctx context.Context, s *stage, f Family) (got string, ok bool)
}

// Outcomes that steps expect.
const (
	refusedAtOnce  = "refused at once"
	delivered      = "delivered"
	pageReceived   = "page received"
	answerReceived = "answer received"
)

func demoSteps() []demoStep {
	return []demoStep{
		{"dynamic -> any mail server, port 25", refusedAtOnce, tryDirect},
		{"dynamic -> mail provider, port 587, login", delivered, trySubmission},
		{"dynamic -> the ISP's mail server, port 25", delivered, tryRelay},
		{"static -> any mail server, port 25", delivered, tryStatic},
		{"dynamic -> web server, port 80", pageReceived, tryWeb},
		{"dynamic -> UDP service, port 7", answerReceived, tryUDP},
	}
}

// tryDirect is the one thing that must not work.
func tryDirect(ctx context.Context, s *stage, f Family) (string, bool) {
	server := netip.AddrPortFrom(f.Addrs().MX, PortSMTP)
	start := time.Now()
	conn, err := s.network.Dynamic.Dial(ctx, "tcp", server.String())
	took := time.Since(start)
	switch {
	case err == nil:
		conn.Close()
		return "connected: port 25 is open", false
	case !errors.Is(err, syscall.ECONNREFUSED):
		return inWords(err), false
	case took > atOnce:
		return "connection refused, but too late", false
	}
	return refusedAtOnce, true
}

// trySubmission logs in over STARTTLS, as a mail program does.
func trySubmission(ctx context.Context, s *stage, f Family) (string, bool) {
	return s.deliver(ctx, s.network.Dynamic, f.Addrs().Dynamic, EndpointSubmission, Delivery{
		Server:   netip.AddrPortFrom(f.Addrs().MX, PortSubmission),
		TLS:      s.mail.ClientTLS(),
		User:     MailUser,
		Password: MailPassword,
	})
}

func tryRelay(ctx context.Context, s *stage, f Family) (string, bool) {
	return s.deliver(ctx, s.network.Dynamic, f.Addrs().Dynamic, EndpointMSA, Delivery{
		Server: netip.AddrPortFrom(f.Addrs().MSA, PortSMTP),
	})
}

func tryStatic(ctx context.Context, s *stage, f Family) (string, bool) {
	return s.deliver(ctx, s.network.Static, f.Addrs().Static, EndpointMX, Delivery{
		Server: netip.AddrPortFrom(f.Addrs().MX, PortSMTP),
	})
}

// deliver hands a message over and looks into the mailbox: it must have come in
// where it was sent to, from the subscriber's own address.
func (s *stage) deliver(ctx context.Context, from *Node, client netip.Addr, at Endpoint, d Delivery) (string, bool) {
	d.Subject = fmt.Sprintf("op25b demo: %s to %s", client, d.Server)
	if err := from.Deliver(ctx, d); err != nil {
		return inWords(err), false
	}
	message, found := s.mail.Mailbox.Find(d.Subject)
	switch {
	case !found:
		return "accepted, but not in the mailbox", false
	case message.Endpoint != at:
		return fmt.Sprintf("delivered to the wrong server (%s)", message.Endpoint), false
	case message.User != d.User:
		return "delivered without a login", false
	case message.Client.Addr() != client:
		return fmt.Sprintf("delivered from a changed address, %s", message.Client.Addr()), false
	}
	return delivered, true
}

func tryWeb(ctx context.Context, s *stage, f Family) (string, bool) {
	page, err := s.network.Dynamic.Fetch(ctx, netip.AddrPortFrom(f.Addrs().Web, PortWeb))
	switch {
	case err != nil:
		return inWords(err), false
	case page != WebGreeting:
		return "wrong page received", false
	}
	return pageReceived, true
}

func tryUDP(ctx context.Context, s *stage, f Family) (string, bool) {
	server := netip.AddrPortFrom(f.Addrs().Internet, PortEcho)
	if err := s.network.Dynamic.AskEcho(ctx, server, []byte("op25b demo")); err != nil {
		return inWords(err), false
	}
	return answerReceived, true
}
