// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/control"
	"op25b/lab"
)

// TestComplaint is what the abuse desk asks: who had this address then? A subscriber
// gets a lease from a real dnsmasq and is refused; the lease moves to another one; and
// the answer for the time before stays what it was, also once nothing runs any more.
func TestComplaint(t *testing.T) {
	t.Parallel()
	needTools(t, "dnsmasq", "dhclient")
	o := newOffice(t)
	startServer(t, o.Network)
	leases, kept := o.path("dnsmasq.leases"), o.path("journal.db")
	addr := netip.MustParseAddr("100.64.0.129") // the only one there is
	start(t, o.Gateway, o.unconfined("dnsmasq"), "--conf-file="+o.write("dnsmasq.conf", ""), "--no-daemon", "--port=0",
		"--bind-interfaces", "--interface="+lab.LinkDynamic, "--user=root", "--pid-file=", "--dhcp-leasefile="+leases,
		"--dhcp-range="+addr.String()+","+addr.String()+",120").waitOutput(t, "DHCP, IP range")
	l := newLineage(t, o.Network, o.GatewayConfig(lab.ConfigOptions{Set: map[string]string{
		"journal.path": kept, "leases": fmt.Sprintf("[{name: dhcp, kind: dnsmasq, file: %s}]", leases),
	}}))
	mx := netip.AddrPortFrom(lab.IPv4.Addrs().MX, lab.PortSMTP)
	ask := func(at time.Time) control.Explanation {
		e, err := l.client.Explain(t.Context(), control.ExplainOptions{Source: addr, Destination: mx, At: at})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	heldBy := func(e control.Explanation) string {
		if len(e.Holders) == 0 {
			return ""
		}
		return e.Holders[0].Holder
	}

	first := macOf(t, o.Network)
	client := o.dhclient("-4")
	running := client.lease()
	mustRun(t, o.Dynamic, "ip", "addr", "add", addr.String()+"/32", "dev", lab.LinkHost)
	eventually(t, "the gateway knows who has the address", func() bool { return heldBy(ask(time.Time{})) == first })
	if got := dialFrom(t, o.Dynamic, addr, mx); got.outcome != refused {
		t.Errorf("port 25 from the leased address: %s", got.outcome)
	}
	complaint := time.Now()
	if e := ask(complaint); e.Action != "reset" || e.Holders[0].Hostname != "laptop" || e.Holders[0].Source != "dhcp" {
		t.Errorf("%+v", e)
	}

	running.signal(t, unix.SIGKILL)
	client.release()
	eventually(t, "the address is free", func() bool { return heldBy(ask(time.Time{})) == "" })
	const second = "02:00:00:00:00:99"
	mustRun(t, o.Dynamic, "ip", "link", "set", lab.LinkHost, "address", second)
	again := o.dhclient("-4", "-v") // another file of leases: it remembers nothing
	again.lease()
	eventually(t, "the gateway knows who has it now", func() bool { return heldBy(ask(time.Time{})) == second })
	if e := ask(complaint); heldBy(e) != first || e.Holders[0].To.IsZero() {
		t.Errorf("at the time of the complaint: %+v", e.Holders)
	}
	if s := l.status(t); len(s.Leases) != 1 || s.Leases[0].Leases != 1 || s.Leases[0].Kind != "dnsmasq" || s.Journal == nil || s.Journal.Lost > 0 || s.State != control.StateOK {
		t.Errorf("status: %s, %+v, %+v", s.State, s.Leases, s.Journal)
	}

	// A source that is lost changes no verdict, and is told.
	mustRun(t, nil, "mv", leases, leases+".away")
	eventually(t, "the lost source is told", func() bool { return l.status(t).State == control.StateDegraded })
	if got := dialFrom(t, o.Dynamic, addr, mx); got.outcome != refused {
		t.Errorf("port 25 without the source: %s", got.outcome)
	}
	l.stopConserved(t)
	var said struct{ Holders []control.Holder }
	out := op25b(t, o.Gateway, "explain", "--json", "-c", l.path, "--at", complaint.UTC().Format(time.RFC3339), addr.String(), mx.String())
	if err := json.Unmarshal([]byte(out.stdout), &said); err != nil {
		t.Fatalf("explain: %d, %v: %s%s", out.code, err, out.stdout, out.stderr)
	}
	if len(said.Holders) != 1 || said.Holders[0].Holder != first {
		t.Errorf("from the journal alone: %+v", said.Holders)
	}
}
