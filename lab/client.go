// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Delivery is a message to hand to a mail server, and how.
type Delivery struct {
	Server netip.AddrPort
	// TLS is the client's configuration; nil means no encryption. On
	// [PortSubmissions] TLS comes first, elsewhere by STARTTLS.
	TLS *tls.Config
	// User and Password log in with AUTH PLAIN; an empty user does not log in.
	User, Password string
	// From, To and Subject may be empty; they have defaults, except Subject.
	From, To, Subject string
}

// Deliver sends the message from the node. It returns nil once the server has
// accepted it. A refusal by the server is an [*smtp.SMTPError]; without a
// connection the error is the dial's.
func (n *Node) Deliver(ctx context.Context, d Delivery) error {
	conn, err := n.Dial(ctx, "tcp", d.Server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	if err := d.send(conn); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the closed connection is only how it showed
		}
		return err
	}
	return nil
}

// send speaks SMTP over the connection.
func (d Delivery) send(conn net.Conn) error {
	client, err := d.open(conn)
	if err != nil {
		return fmt.Errorf("open mail session: %w", err)
	}
	if d.User != "" {
		if err := client.Auth(sasl.NewPlainClient("", d.User, d.Password)); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	from, to := orElse(d.From, "bob@subscriber.example"), orElse(d.To, MailUser)
	if err := client.SendMail(from, []string{to}, strings.NewReader(d.message(from, to))); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	_ = client.Quit() // the message is accepted; how we part does not matter
	return nil
}

func (d Delivery) open(conn net.Conn) (*smtp.Client, error) {
	if d.TLS != nil && d.Server.Port() != PortSubmissions {
		return smtp.NewClientStartTLS(conn, d.TLS)
	}
	if d.TLS != nil {
		conn = tls.Client(conn, d.TLS)
	}
	client := smtp.NewClient(conn)
	return client, client.Hello("subscriber.example")
}

// message is a message as RFC 5322 section 3.6 asks for.
func (d Delivery) message(from, to string) string {
	date := time.Now().Format(time.RFC1123Z)
	return "From: <" + from + ">\r\nTo: <" + to + ">\r\nDate: " + date +
		"\r\nSubject: " + d.Subject + "\r\n\r\nHello from the lab.\r\n"
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// maxPage bounds what Fetch reads, in bytes.
const maxPage = 64 << 10

// Fetch gets a web page over HTTP from the node and returns its body.
func (n *Node) Fetch(ctx context.Context, server netip.AddrPort) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server.String()+"/", nil)
	if err != nil {
		return "", fmt.Errorf("fetch page: %w", err)
	}
	transport := &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", fmt.Errorf("fetch page: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return "", fmt.Errorf("read page: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch page: status %s", response.Status)
	}
	return string(body), nil
}

// errEcho says that an answer came, but not what was sent.
var errEcho = errors.New("wrong answer from UDP echo")

// AskEcho sends a datagram from the node to a UDP echo service and waits for it to
// come back.
func (n *Node) AskEcho(ctx context.Context, server netip.AddrPort, payload []byte) error {
	conn, err := n.Dial(ctx, "udp", server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	answer := make([]byte, maxDatagram)
	size := 0
	if _, err = conn.Write(payload); err == nil {
		size, err = conn.Read(answer)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("ask UDP echo: %w", err)
	case !bytes.Equal(answer[:size], payload):
		return errEcho
	}
	return nil
}
