// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"op25b/lab"
	"op25b/lease"
)

// office is a network whose gateway also hands out leases to the dynamic
// subscriber, and a lease.Book that reads what the servers there write.
type office struct {
	*lab.Network
	t    *testing.T
	dir  string
	book *lease.Book

	mu   sync.Mutex
	told []lease.Event
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{Network: newNetwork(t, lab.Options{}), t: t, dir: t.TempDir()}
	o.book = lease.NewBook(lease.Options{OnChange: func(e lease.Event) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = append(o.told, e)
	}})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("health: %+v", o.book.Health())
			o.mu.Lock()
			defer o.mu.Unlock()
			t.Logf("told: %v", o.told)
		}
	})
	return o
}

// read runs the Book and its sources in the gateway until the end of the test.
func (o *office) read(sources ...lease.Source) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(o.t.Context())
	var running sync.WaitGroup
	run := func(f func() error) {
		running.Go(func() {
			if err := f(); !errors.Is(err, context.Canceled) {
				o.t.Errorf("leases: %v", err)
			}
		})
	}
	run(func() error { return o.book.Run(ctx) })
	for _, s := range sources {
		run(func() error { return o.Gateway.Do(func() error { return s.Run(ctx, o.book) }) })
	}
	o.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// happened waits until the Book has told of something.
func (o *office) happened(kind lease.Kind, prefix netip.Prefix) lease.Event {
	o.t.Helper()
	var found lease.Event
	eventually(o.t, fmt.Sprintf("%s is %s", prefix, kind), func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, e := range o.told {
			if e.Kind == kind && e.Prefix == prefix {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// granted waits until a client's lease is known, whatever its prefix.
func (o *office) granted(within netip.Prefix) lease.Event {
	o.t.Helper()
	var found lease.Event
	eventually(o.t, fmt.Sprintf("something of %s is granted", within), func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, e := range o.told {
			if e.Kind == lease.Granted && within.Overlaps(e.Prefix) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// holder returns who has an address, empty for nobody.
func (o *office) holder(addr netip.Addr) string {
	l, _ := o.book.Lookup(addr)
	return l.Holder
}

// healthy waits until a source is or is not degraded, and returns its health.
func (o *office) healthy(source string, want bool) lease.SourceHealth {
	o.t.Helper()
	var found lease.SourceHealth
	eventually(o.t, fmt.Sprintf("%s is well: %t", source, want), func() bool {
		for _, h := range o.book.Health() {
			if h.Source == source && h.Degraded() != want {
				found = h
				return true
			}
		}
		return false
	})
	return found
}

func (o *office) path(name string) string { return filepath.Join(o.dir, name) }

func (o *office) write(name, text string) string {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return o.path(name)
}

// unconfined copies a program into the test's directory: where AppArmor confines
// DHCP programs, it knows them by their paths, and lets them write nowhere else.
// Another program copies: what we had open for writing ourselves, a child that is
// started meanwhile would hold open, and nobody could run it (ETXTBSY).
func (o *office) unconfined(program string) string {
	o.t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		o.t.Fatal(err)
	}
	to := o.path(program)
	if _, err := os.Stat(to); err != nil {
		mustRun(o.t, nil, "cp", path, to)
	}
	return to
}

// client is a DHCP client of the dynamic subscriber that changes nothing there.
type client struct {
	*office
	args []string
}

// dhclient returns a client; more are its arguments, such as -6.
func (o *office) dhclient(more ...string) *client {
	o.t.Helper()
	name := "client" + strings.Join(more, "")
	args := append(more, "-cf", o.write(name+".conf", "send host-name \"laptop\";\n"), "-sf", "/bin/true",
		"-lf", o.path(name+".leases"), "-pf", o.path(name+".pid"))
	return &client{o, args}
}

// lease gets a lease and keeps it until the end of the test.
func (c *client) lease() *program {
	c.t.Helper()
	args := append(append([]string{"-d"}, c.args...), lab.LinkHost)
	p := start(c.t, c.Dynamic, c.unconfined("dhclient"), args...)
	eventually(c.t, "the client has a lease", func() bool {
		return strings.Contains(p.output(), "bound to") || strings.Contains(p.output(), "Bound to lease")
	})
	return p
}

// release gives the lease back.
func (c *client) release() {
	c.t.Helper()
	mustRun(c.t, c.Dynamic, c.path("dhclient"), append(append([]string{"-r"}, c.args...), lab.LinkHost)...)
}

// pools of the servers, on the link between gateway and dynamic subscriber.
var (
	pool4  = netip.MustParsePrefix("100.64.0.128/26")
	pool6  = netip.MustParsePrefix("2001:db8:a:1::100/120")
	poolPD = netip.MustParsePrefix("2001:db8:b::/48")
)

// macOf returns the address that the DHCP servers see of the dynamic subscriber.
func macOf(t *testing.T, n *lab.Network) string {
	t.Helper()
	link, err := n.Dynamic.Netlink().LinkByName(lab.LinkHost)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().HardwareAddr.String()
}

// TestLeasesOfDnsmasq: a client gets a lease from dnsmasq, gives it back, and the
// server goes away and comes back; IPv6 too.
func TestLeasesOfDnsmasq(t *testing.T) {
	t.Parallel()
	needTools(t, "dnsmasq", "dhclient")
	o := newOffice(t)
	file := o.path("dnsmasq.leases")
	o.read(lease.NewDnsmasq("dhcp", file))
	if h := o.healthy("dhcp", false); !errors.Is(h.Err, os.ErrNotExist) {
		t.Errorf("before dnsmasq: %v", h.Err)
	}
	serve := func() *program {
		return start(t, o.Gateway, o.unconfined("dnsmasq"), "--conf-file="+o.write("dnsmasq.conf", ""), "--no-daemon", "--port=0",
			"--bind-interfaces", "--interface="+lab.LinkDynamic, "--user=root", "--pid-file=", "--dhcp-leasefile="+file,
			"--dhcp-range=100.64.0.129,100.64.0.190,120", "--dhcp-range=2001:db8:a:1::101,2001:db8:a:1::1ff,64,600")
	}
	server := serve()
	server.waitOutput(t, "DHCP, IP range")
	c := o.dhclient("-4")
	c.lease()
	e := o.granted(pool4)
	if e.Holder != macOf(t, o.Network) || e.Hostname != "laptop" || e.Source != "dhcp" || e.End.Before(time.Now()) || e.End.After(time.Now().Add(5*time.Minute)) {
		t.Errorf("%+v", e)
	}
	if o.healthy("dhcp", true).Leases == 0 {
		t.Error("no leases are counted")
	}

	server.signal(t, os.Kill) // what it said stays
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	o.healthy("dhcp", false)
	if got := o.holder(e.Prefix.Addr()); got != e.Holder {
		t.Errorf("with the file away: %q", got)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	serve().waitOutput(t, "DHCP, IP range")
	o.healthy("dhcp", true)

	c.release()
	o.happened(lease.Released, e.Prefix)
	if got := o.holder(e.Prefix.Addr()); got != "" {
		t.Errorf("given back, and still held by %q", got)
	}

	c6 := o.dhclient("-6", "-N")
	c6.lease()
	e = o.granted(pool6)
	if !strings.HasPrefix(e.Holder, "00:0") || len(e.Holder) < 20 || e.Prefix.Bits() != 128 {
		t.Errorf("not a DUID: %+v", e)
	}
	c6.release()
	o.happened(lease.Released, e.Prefix)
}

// TestLeasesOfISC: dhcpd's leases, of IPv4 and IPv6, one given back and one that
// ends; and dhcpd writes its file anew when it is started again.
func TestLeasesOfISC(t *testing.T) {
	t.Parallel()
	needTools(t, "dhcpd", "dhclient")
	o := newOffice(t)
	dhcpd := o.unconfined("dhcpd")
	serve := func(family, conf string) *program {
		return start(t, o.Gateway, dhcpd, family, "-f", "-d", "-cf", o.write("dhcpd"+family+".conf", conf),
			"-lf", o.path("dhcpd"+family+".leases"), "-pf", o.path("dhcpd"+family+".pid"), lab.LinkDynamic)
	}
	const conf4 = `default-lease-time 12; max-lease-time 12; authoritative;
subnet 100.64.0.0 netmask 255.255.255.0 { range 100.64.0.129 100.64.0.190; }
`
	o.write("dhcpd-4.leases", "")
	o.write("dhcpd-6.leases", "")
	o.read(lease.NewISC("four", o.path("dhcpd-4.leases")), lease.NewISC("six", o.path("dhcpd-6.leases")))
	server := serve("-4", conf4)
	serve("-6", `default-lease-time 600; authoritative;
subnet6 2001:db8:a:1::/64 { range6 2001:db8:a:1::101 2001:db8:a:1::1ff; prefix6 2001:db8:b:: 2001:db8:b:f00:: /56; }
`).waitOutput(t, "Server starting service")
	server.waitOutput(t, "Server starting service")

	keeper := o.dhclient("-4").lease()
	e := o.granted(pool4)
	if e.Holder != macOf(t, o.Network) || e.Hostname != "laptop" || e.Source != "four" {
		t.Errorf("%+v", e)
	}
	server.signal(t, os.Kill)
	server = serve("-4", conf4) // a new file in place of the old one
	server.waitOutput(t, "Server starting service")
	o.healthy("four", true)
	keeper.signal(t, os.Kill) // nobody renews it
	over := o.happened(lease.Released, e.Prefix)
	if over.Time.After(over.End) || over.End.Sub(over.Start) > time.Minute {
		t.Errorf("%+v", over)
	}

	c6 := o.dhclient("-6", "-N", "-P")
	c6.lease()
	delegated, addr := o.granted(poolPD), o.granted(pool6)
	if delegated.Prefix.Bits() != 56 || delegated.Holder != addr.Holder || !strings.HasPrefix(addr.Holder, "00:0") {
		t.Errorf("%+v, %+v", delegated, addr)
	}
	if got := o.holder(delegated.Prefix.Addr().Next()); got != delegated.Holder {
		t.Errorf("in the delegated prefix: %q", got)
	}
	c6.release()
	o.happened(lease.Released, delegated.Prefix)
	o.happened(lease.Released, addr.Prefix)
}

// TestLeasesOfKea: Kea's files while its cleanup works on them, and its control
// socket, with the hook library and without.
func TestLeasesOfKea(t *testing.T) {
	t.Parallel()
	needTools(t, "kea-dhcp4", "kea-dhcp6", "kea-lfc", "dhclient")
	o := newOffice(t)
	four, six := o.path("kea-leases4.csv"), o.path("kea-leases6.csv")
	socket, bare := o.path("kea4.sock"), o.path("kea6.sock")
	o.read(lease.NewKea("four", four), lease.NewKea("six", six),
		lease.NewKeaSocket("asked", socket), lease.NewKeaSocket("bare", bare))

	hook := keaHook(t)
	keaServer(o, "kea-dhcp4", fmt.Sprintf(`{"Dhcp4": {
	"interfaces-config": {"interfaces": [%q]}, "valid-lifetime": 8,
	"lease-database": {"type": "memfile", "name": %q, "lfc-interval": 1},
	"expired-leases-processing": {"reclaim-timer-wait-time": 1, "flush-reclaimed-timer-wait-time": 1, "hold-reclaimed-time": 0},
	"control-socket": {"socket-type": "unix", "socket-name": %q}, "hooks-libraries": [{"library": %q}],
	"subnet4": [{"id": 1, "subnet": "100.64.0.0/24", "pools": [{"pool": "100.64.0.129 - 100.64.0.190"}]}],
	"loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}]}}`, lab.LinkDynamic, four, socket, hook))
	keaServer(o, "kea-dhcp6", fmt.Sprintf(`{"Dhcp6": {
	"interfaces-config": {"interfaces": [%q]}, "valid-lifetime": 600, "preferred-lifetime": 300,
	"server-id": {"type": "LL", "htype": 1, "identifier": "525400000001", "persist": false},
	"lease-database": {"type": "memfile", "name": %q, "lfc-interval": 0},
	"control-socket": {"socket-type": "unix", "socket-name": %q},
	"subnet6": [{"id": 1, "subnet": "2001:db8:a:1::/64", "interface": %q, "pools": [{"pool": "2001:db8:a:1::101 - 2001:db8:a:1::1ff"}],
		"pd-pools": [{"prefix": "2001:db8:b::", "prefix-len": 48, "delegated-len": 56}]}],
	"loggers": [{"name": "kea-dhcp6", "severity": "INFO", "output_options": [{"output": "stdout"}]}]}}`, lab.LinkDynamic, six, bare, lab.LinkDynamic))

	keeper := o.dhclient("-4").lease()
	e := o.granted(pool4)
	if e.Holder != macOf(t, o.Network) || e.Hostname != "laptop" {
		t.Errorf("%+v", e)
	}
	bySource := func(source string) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, e := range o.told {
			if e.Source == source && e.Kind == lease.Granted {
				return true
			}
		}
		return false
	}
	eventually(t, "file and socket both know it", func() bool { return bySource("four") && bySource("asked") })
	eventually(t, "Kea has cleaned up", func() bool {
		_, err := os.Stat(four + ".2")
		return err == nil
	})
	if got := o.holder(e.Prefix.Addr()); got != e.Holder {
		t.Errorf("after the cleanup: %q", got)
	}
	keeper.signal(t, os.Kill)
	o.happened(lease.Released, e.Prefix)

	c6 := o.dhclient("-6", "-N", "-P")
	c6.lease()
	delegated, addr := o.granted(poolPD), o.granted(pool6)
	if delegated.Prefix.Bits() != 56 || delegated.Holder != addr.Holder || delegated.Source != "six" {
		t.Errorf("%+v, %+v", delegated, addr)
	}
	c6.release()
	o.happened(lease.Released, delegated.Prefix)

	if h := o.healthy("bare", false); !errors.Is(h.Err, lease.ErrNoLeaseCommands) {
		t.Errorf("without the hook library: %v", h.Err)
	}
	for _, source := range []string{"four", "six", "asked"} {
		if h := o.healthy(source, true); h.BadLines != 0 {
			t.Errorf("%+v", h)
		}
	}
}

// keaHook returns where the hook library lease_cmds is; it comes with Debian's
// kea-common.
func keaHook(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/kea/hooks/libdhcp_lease_cmds.so")
	if err != nil || len(found) == 0 {
		lack(t, "Kea's hook library lease_cmds")
	}
	return found[0]
}

// keaServer runs a Kea server with all its files in the test's directory.
func keaServer(o *office, program, conf string) {
	o.t.Helper()
	cmd := exec.Command(o.unconfined(program), "-c", o.write(program+".conf", conf))
	cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+o.dir, "KEA_LOCKFILE_DIR="+o.dir, "KEA_LFC_EXECUTABLE="+o.unconfined("kea-lfc"))
	startCmd(o.t, o.Gateway, cmd).waitOutput(o.t, "_STARTED")
}

// TestAccounting: an access server tells of sessions, by FreeRADIUS' radclient.
func TestAccounting(t *testing.T) {
	t.Parallel()
	needTools(t, "radclient")
	o := newOffice(t)
	addrs := lab.IPv4.Addrs()
	listen := at(addrs.GatewayDynamic, 1813)
	source, err := lease.NewRADIUS(lease.RADIUSOptions{
		Name: "bras", Listen: listen, Secret: []byte("testing123"),
		Clients: []netip.Prefix{netip.PrefixFrom(addrs.Dynamic, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.read(source)
	o.healthy("bras", true)
	// tell sends a request and returns whether it was answered.
	tell := func(from *lab.Node, secret string, attributes ...string) bool {
		cmd := exec.Command("radclient", "-r", "2", "-t", "1", listen.String(), "acct", secret)
		cmd.Stdin = strings.NewReader(strings.Join(attributes, "\n") + "\n")
		return runCmd(t, from, cmd).code == 0
	}
	alice := []string{`User-Name = "alice@example"`, `Acct-Session-Id = "1"`, "Framed-IP-Address = 100.64.0.129",
		"Framed-IPv6-Prefix = 2001:db8:a:2::/64", "Delegated-IPv6-Prefix = 2001:db8:b:100::/56"}
	prefixes := []netip.Prefix{
		netip.MustParsePrefix("100.64.0.129/32"), netip.MustParsePrefix("2001:db8:a:2::/64"), netip.MustParsePrefix("2001:db8:b:100::/56"),
	}
	if !tell(o.Dynamic, "testing123", append(alice, "Acct-Status-Type = Start")...) {
		t.Fatal("the start is not answered")
	}
	for _, p := range prefixes {
		if e := o.happened(lease.Granted, p); e.Holder != "alice@example" || e.Source != "bras/"+addrs.Dynamic.String() {
			t.Errorf("%+v", e)
		}
	}
	if !tell(o.Dynamic, "testing123", append(alice, "Acct-Status-Type = Interim-Update", "Acct-Session-Time = 600")...) {
		t.Error("the interim update is not answered")
	}
	if !tell(o.Dynamic, "testing123", `Acct-Session-Id = "1"`, "Acct-Status-Type = Stop") {
		t.Error("the stop is not answered")
	}
	for _, p := range prefixes {
		o.happened(lease.Released, p)
	}

	mallory := []string{`User-Name = "mallory"`, `Acct-Session-Id = "2"`, "Framed-IP-Address = 100.64.0.130", "Acct-Status-Type = Start"}
	if tell(o.Dynamic, "guess", mallory...) {
		t.Error("with a wrong secret, and answered")
	}
	if tell(o.Static, "testing123", mallory...) {
		t.Error("not on the list, and answered")
	}
	if got := o.holder(netip.MustParseAddr("100.64.0.130")); got != "" {
		t.Errorf("held by %q", got)
	}
	problems := fmt.Sprint(o.healthy("bras", true).Problems)
	for _, want := range []string{"from " + addrs.Dynamic.String() + ": a wrong authenticator", "from " + addrs.Static.String() + ": not on the list"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%s, want %s", problems, want)
		}
	}

	if !tell(o.Dynamic, "testing123", `User-Name = "bob"`, `Acct-Session-Id = "3"`, "Framed-IP-Address = 100.64.0.131", "Acct-Status-Type = Start") ||
		!tell(o.Dynamic, "testing123", "Acct-Status-Type = Accounting-On") {
		t.Error("not answered")
	}
	if got := o.holder(netip.MustParseAddr("100.64.0.131")); got != "" {
		t.Errorf("the access server has begun anew, and it is held by %q", got)
	}
}
