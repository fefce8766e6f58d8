// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"net/mail"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Endpoint names the server and port at which a message came in.
type Endpoint string

// The endpoints of [Mail].
const (
	EndpointMX            Endpoint = "mx"             // MX, port 25: mail for its own users, no AUTH
	EndpointSubmission    Endpoint = "submission"     // the same provider, port 587: STARTTLS, AUTH required
	EndpointSubmissions   Endpoint = "submissions"    // the same provider, port 465: implicit TLS, AUTH required
	EndpointMSA           Endpoint = "msa"            // the ISP, port 25: mail of its subscribers, no AUTH
	EndpointMSASubmission Endpoint = "msa-submission" // the ISP, port 587: STARTTLS, AUTH required
)

// Message is a message that was delivered.
type Message struct {
	Endpoint Endpoint
	Client   netip.AddrPort // the client's address as the server saw it
	User     string         // who logged in; empty without AUTH
	TLS      bool
	From     string   // envelope sender
	To       []string // envelope recipients
	Subject  string
	Data     []byte // header and body as received
	Received time.Time
}

// Mailbox records every message that the servers of one [Mail] accepted. Its
// messages are shared: do not change their slices.
type Mailbox struct {
	mu       sync.Mutex // protects the fields below
	messages []Message
	changed  chan struct{} // closed and replaced when a message comes in
}

func newMailbox() *Mailbox {
	return &Mailbox{changed: make(chan struct{})}
}

func (b *Mailbox) put(m Message) {
	if parsed, err := mail.ReadMessage(bytes.NewReader(m.Data)); err == nil {
		m.Subject = parsed.Header.Get("Subject")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, m)
	close(b.changed)
	b.changed = make(chan struct{})
}

// Messages returns what was delivered so far, oldest first.
func (b *Mailbox) Messages() []Message {
	messages, _ := b.snapshot()
	return messages
}

func (b *Mailbox) snapshot() ([]Message, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages), b.changed
}

// Find returns the first message with this subject.
func (b *Mailbox) Find(subject string) (Message, bool) {
	messages, _ := b.snapshot()
	return findSubject(messages, subject)
}

// Wait waits for a message with this subject and returns the first. Its error is
// the context's.
func (b *Mailbox) Wait(ctx context.Context, subject string) (Message, error) {
	for {
		messages, changed := b.snapshot()
		if m, ok := findSubject(messages, subject); ok {
			return m, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

func findSubject(messages []Message, subject string) (Message, bool) {
	i := slices.IndexFunc(messages, func(m Message) bool { return m.Subject == subject })
	if i < 0 {
		return Message{}, false
	}
	return messages[i], true
}
