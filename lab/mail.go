// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"
)

// The account at every endpoint that asks for AUTH.
const (
	MailUser     = "alice@mail.example"
	MailPassword = "lab-password"
)

// MailServerName is the name on the servers' certificate.
const MailServerName = "mail.example"

// Mail is a set of mail servers in the internet: a provider's MX and submission
// servers, and the ISP's own submission server. They accept any sender and
// recipient and keep what they get in the Mailbox.
type Mail struct {
	Mailbox *Mailbox

	clientTLS *tls.Config
	servers   []*mailServer
	closeOnce sync.Once
}

// endpointPlan says what an endpoint is.
type endpointPlan struct {
	name        Endpoint
	host        func(Addrs) netip.Addr
	port        uint16
	requireAuth bool
	implicitTLS bool
}

func planEndpoints() []endpointPlan {
	mx := func(a Addrs) netip.Addr { return a.MX }
	msa := func(a Addrs) netip.Addr { return a.MSA }
	return []endpointPlan{
		{name: EndpointMX, host: mx, port: PortSMTP},
		{name: EndpointSubmission, host: mx, port: PortSubmission, requireAuth: true},
		{name: EndpointSubmissions, host: mx, port: PortSubmissions, requireAuth: true, implicitTLS: true},
		{name: EndpointMSA, host: msa, port: PortSMTP},
		{name: EndpointMSASubmission, host: msa, port: PortSubmission, requireAuth: true},
	}
}

// StartMail starts the mail servers, in every family that works from end to end.
// They are closed with the network, or earlier by the caller.
func (n *Network) StartMail() (*Mail, error) {
	serverTLS, clientTLS, err := newCertificate(MailServerName)
	if err != nil {
		return nil, err
	}
	m := &Mail{Mailbox: newMailbox(), clientTLS: clientTLS}
	for _, plan := range planEndpoints() {
		for _, f := range n.Families() {
			server, err := startMailServer(n.Internet, plan, f, serverTLS, m.Mailbox)
			if err != nil {
				m.Close()
				return nil, fmt.Errorf("start mail server %s: %w", plan.name, err)
			}
			m.servers = append(m.servers, server)
		}
	}
	if err := n.own(m); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// ClientTLS returns a configuration with which a client trusts the servers. The
// caller owns it.
func (m *Mail) ClientTLS() *tls.Config { return m.clientTLS.Clone() }

// Close stops the servers and waits until they are gone. It is safe twice.
func (m *Mail) Close() error {
	m.closeOnce.Do(func() {
		for _, server := range m.servers {
			server.close()
		}
	})
	return nil
}
