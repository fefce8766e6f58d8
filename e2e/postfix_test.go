// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"op25b/lab"
)

// mailDomain is the domain that the provider's Postfix keeps mailboxes for.
const mailDomain = "mail.example"

// postfix is a Postfix of its own: configuration, queue, data and mailbox lie in
// a directory of the test, and it runs in a namespace. The Postfix of the machine, if
// there is one, does not notice.
type postfix struct {
	*program
	dir string
}

// postfixPlan says what a Postfix is.
type postfixPlan struct {
	name     string    // short, a directory and the host part of its host name
	node     *lab.Node // where it runs; nil: in the internet
	services []smtpService
	// clients may send anywhere without a password.
	clients []netip.Prefix
	// next is where mail goes that is not for mailDomain's mailbox; the zero value
	// makes this the server that has the mailbox.
	next netip.Addr
}

// smtpService is one listener. What it logs is under its name.
type smtpService struct {
	name    string
	addr    netip.AddrPort
	auth    bool // asks for SMTP AUTH, and takes nothing without
	wrapped bool // TLS from the first octet (RFC 8314, section 3.3)
}

// startPostfix runs a Postfix until the end of the test. It answers on all its
// addresses when this returns. dir must outlive the network.
func startPostfix(t *testing.T, n *lab.Network, dir string, plan postfixPlan) *postfix {
	t.Helper()
	needTools(t, "postfix", "saslpasswd2")
	p := &postfix{dir: filepath.Join(dir, plan.name)}
	p.makeDirectories(t)
	p.write(t, "conf/main.cf", p.mainCF(plan))
	p.write(t, "conf/master.cf", masterCF(t, plan.services))
	p.write(t, "conf/sasl/smtpd.conf", fmt.Sprintf(
		"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: %s/sasldb2\nmech_list: PLAIN LOGIN CRAM-MD5\n", p.dir))
	p.addUser(t)
	p.makeCertificate(t, plan.services)
	// What this flag skips is slow, and done above: making the queue's directories.
	p.write(t, "queue/quick-start", "")

	node := plan.node
	if node == nil {
		node = n.Internet
	}
	p.program = start(t, node, "postfix", "-c", filepath.Join(p.dir, "conf"), "start-fg")
	t.Cleanup(func() { p.stop(t) })
	for _, s := range plan.services {
		eventually(t, fmt.Sprintf("Postfix answers on %s", s.addr), func() bool {
			return dial(t, node, s.addr).outcome == connected
		})
	}
	return p
}

// stop does what `postfix stop` does, without its sleeping: it tells the master,
// which ends the other processes.
func (p *postfix) stop(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, "queue/pid/master.pid"))
	if err != nil {
		return // it never came up
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Errorf("read Postfix's process id: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Errorf("stop Postfix: %v", err)
	}
	p.wait(t)
}

func (p *postfix) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// makeDirectories makes what `postfix check` would make, owned as postfix-files(5)
// says.
func (p *postfix) makeDirectories(t *testing.T) {
	t.Helper()
	const root, nobody, nogroup = 0, 65534, 65534
	postfix, postdrop := userID(t, "postfix"), groupID(t, "postdrop")
	directory := func(name string, mode os.FileMode, uid, gid int) {
		path := filepath.Join(p.dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	directory("conf/sasl", 0o755, root, root)
	directory("data", 0o700, postfix, root)
	directory("mail", 0o755, nobody, nogroup)
	directory("queue/pid", 0o755, root, root)
	directory("queue/public", 0o710, postfix, postdrop)
	directory("queue/maildrop", 0o730, postfix, postdrop)
	for _, name := range []string{
		"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace",
	} {
		directory("queue/"+name, 0o700, postfix, root)
	}
}

func userID(t *testing.T, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("find Postfix's user: %v", err)
	}
	return number(t, u.Uid)
}

func groupID(t *testing.T, name string) int {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatalf("find Postfix's group: %v", err)
	}
	return number(t, g.Gid)
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mainCF never asks DNS, and never looks outside its own directory.
func (p *postfix) mainCF(plan postfixPlan) string {
	var addresses, networks []string
	for _, s := range plan.services {
		addresses = append(addresses, s.addr.Addr().String())
	}
	for _, c := range plan.clients {
		networks = append(networks, fmt.Sprintf("[%s]/%d", c.Addr(), c.Bits()))
	}
	var b strings.Builder
	set := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s = %s\n", name, fmt.Sprintf(format, args...))
	}
	set("compatibility_level", "3.6")
	set("queue_directory", "%s/queue", p.dir)
	set("data_directory", "%s/data", p.dir)
	set("maillog_file", "/dev/stdout")
	set("myhostname", "%s.%s", plan.name, mailDomain)
	set("mydestination", "")
	set("alias_maps", "")
	set("inet_interfaces", "%s", strings.Join(addresses, ", "))
	set("mynetworks", "%s", strings.Join(networks, ", "))
	set("smtpd_peername_lookup", "no")
	set("smtp_dns_support_level", "disabled")
	set("smtpd_relay_restrictions", "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination")
	set("cyrus_sasl_config_path", "%s/conf/sasl", p.dir)
	set("smtpd_sasl_path", "smtpd")
	set("smtpd_sasl_authenticated_header", "yes")
	set("smtpd_tls_security_level", "may")
	set("smtpd_tls_cert_file", "%s/conf/tls.pem", p.dir)
	if plan.next.IsValid() {
		set("relayhost", "[%s]", plan.next)
		return b.String()
	}
	set("virtual_mailbox_domains", "%s", mailDomain)
	set("virtual_mailbox_base", "%s/mail", p.dir)
	set("virtual_mailbox_maps", "static:inbox/")
	set("virtual_uid_maps", "static:65534")
	set("virtual_gid_maps", "static:65534")
	return b.String()
}

// masterCF puts the listeners before what every Postfix has.
func masterCF(t *testing.T, services []smtpService) string {
	t.Helper()
	var b strings.Builder
	for _, s := range services {
		fmt.Fprintf(&b, "%s inet n - n - - smtpd -o syslog_name=%s", s.addr, s.name)
		if s.auth {
			b.WriteString(" -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject")
		}
		if s.wrapped {
			b.WriteString(" -o smtpd_tls_wrappermode=yes")
		}
		b.WriteByte('\n')
	}
	rest, err := os.ReadFile("testdata/master.cf")
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + string(rest)
}

// addUser gives the account of the lab a password.
func (p *postfix) addUser(t *testing.T) {
	t.Helper()
	name, domain, _ := strings.Cut(lab.MailUser, "@")
	db := filepath.Join(p.dir, "sasldb2")
	cmd := exec.Command("saslpasswd2", "-p", "-c", "-f", db, "-u", domain, name)
	cmd.Stdin = strings.NewReader(lab.MailPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("give %s a password: %v\n%s", lab.MailUser, err, out)
	}
	if err := os.Chown(db, userID(t, "postfix"), 0); err != nil {
		t.Fatal(err)
	}
}

// makeCertificate makes a self-signed certificate for the services' addresses;
// clients trust certificate().
func (p *postfix) makeCertificate(t *testing.T, services []smtpService) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: mailDomain}, // OpenSSL trusts nobody without a name
		DNSNames:     []string{mailDomain},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	for _, s := range services {
		template.IPAddresses = append(template.IPAddresses, net.IP(s.addr.Addr().AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: private}, {Type: "CERTIFICATE", Bytes: der}} {
		if err := pem.Encode(&file, block); err != nil {
			t.Fatal(err)
		}
	}
	p.write(t, "conf/tls.pem", file.String())
}

// certificate is the path of what clients trust.
func (p *postfix) certificate() string { return filepath.Join(p.dir, "conf/tls.pem") }

// find returns the message with the subject from the mailbox, if it is there.
func (p *postfix) find(t *testing.T, subject string) (*mail.Message, bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "mail/inbox/new/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(content))
		if err == nil && m.Header.Get("Subject") == subject {
			return m, true
		}
	}
	return nil, false
}

// wantMessage waits for the message to be in the mailbox, and returns the
// Received lines with which servers recorded its way, the last server's first.
func (p *postfix) wantMessage(t *testing.T, subject string) []string {
	t.Helper()
	var m *mail.Message
	eventually(t, "message in the mailbox: "+subject, func() (found bool) {
		m, found = p.find(t, subject)
		return found
	})
	return m.Header["Received"]
}
