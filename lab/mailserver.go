// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	// maxMessage is the size of the largest message taken, in bytes.
	maxMessage = 32 << 20
	// idleTimeout ends a session whose client says nothing.
	idleTimeout = time.Minute
	// shutdownTimeout bounds the wait for sessions whose connection is closed.
	shutdownTimeout = 5 * time.Second
)

// mailServer serves one endpoint in one family.
type mailServer struct {
	smtp     *smtp.Server
	listener *trackingListener
	served   sync.WaitGroup
}

func startMailServer(node *Node, plan endpointPlan, f Family, config *tls.Config, box *Mailbox) (*mailServer, error) {
	address := netip.AddrPortFrom(plan.host(f.Addrs()), plan.port)
	listener, err := node.Listen("tcp", address.String())
	if err != nil {
		return nil, err
	}
	s := &mailServer{listener: trackConns(listener)}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		return newMailSession(plan, conn, box), nil
	}))
	s.smtp.Domain = MailServerName
	s.smtp.TLSConfig = config
	s.smtp.AllowInsecureAuth = true // a lab: clients without TLS may log in, too
	s.smtp.MaxMessageBytes = maxMessage
	s.smtp.ReadTimeout = idleTimeout
	s.smtp.WriteTimeout = idleTimeout
	s.smtp.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are part of the tests

	var front net.Listener = s.listener
	if plan.implicitTLS {
		front = tls.NewListener(front, config)
	}
	s.served.Go(func() { _ = s.smtp.Serve(front) }) // ends when the listener closes
	return s, nil
}

// close ends the sessions and waits for them. It closes the connections itself:
// the library's Close misses those that it has not registered yet.
func (s *mailServer) close() {
	s.listener.Close()
	s.served.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	_ = s.smtp.Shutdown(ctx) // sessions end by their idle timeout at the latest
}

// mailSession is one client's session. The library calls it from one goroutine.
type mailSession struct {
	plan    endpointPlan
	conn    *smtp.Conn
	box     *Mailbox
	user    string
	message Message
}

func newMailSession(plan endpointPlan, conn *smtp.Conn, box *Mailbox) smtp.Session {
	s := &mailSession{plan: plan, conn: conn, box: box}
	if plan.requireAuth {
		return &authSession{s}
	}
	return s
}

// Reset implements [smtp.Session].
func (s *mailSession) Reset() { s.message = Message{} }

// Logout implements [smtp.Session].
func (s *mailSession) Logout() error { return nil }

// Mail implements [smtp.Session].
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.plan.requireAuth && s.user == "" {
		// RFC 4954 section 6; the library's ErrAuthRequired says 502.
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.message.From = from
	return nil
}

// Rcpt implements [smtp.Session].
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = append(s.message.To, to)
	return nil
}

// Data implements [smtp.Session].
func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	_, encrypted := s.conn.TLSConnectionState()
	client, err := netip.ParseAddrPort(s.conn.Conn().RemoteAddr().String())
	if err != nil {
		return fmt.Errorf("identify client: %w", err)
	}
	s.box.put(Message{
		Endpoint: s.plan.name,
		Client:   client,
		User:     s.user,
		TLS:      encrypted,
		From:     s.message.From,
		To:       slices.Clone(s.message.To),
		Data:     data,
		Received: time.Now(),
	})
	return nil
}

// authSession offers AUTH. It is a type of its own because the library announces
// AUTH for every session that has these methods.
type authSession struct{ *mailSession }

// AuthMechanisms implements [smtp.AuthSession].
func (s *authSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements [smtp.AuthSession].
func (s *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != MailUser || password != MailPassword {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}
