// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"go4.org/netipx"
)

// openPorts opens the plan's two ports.
func openPorts(t *testing.T, plan *Plan) func() {
	t.Helper()
	var ports []*Port
	for _, name := range plan.ports() {
		p, err := OpenPort(options(name, 1))
		must(t, err)
		ports = append(ports, p)
	}
	return func() {
		for _, p := range ports {
			must(t, p.Close())
		}
	}
}

// snapshot is what an operator could see of the namespace.
func snapshot(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, args := range []string{
		"-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all", "-br link", "-br addr",
	} {
		fmt.Fprintf(&b, "ip %s\n%s", args, output(t, "ip", strings.Fields(args)...))
	}
	b.WriteString(output(t, "nft", "list", "ruleset"))
	b.WriteString(output(t, "sysctl", "-a", "-r", `net\.ipv[46]\.(ip_forward|conf\..*\.(forwarding|rp_filter|accept_local|send_redirects))`))
	return b.String()
}

func TestHostUndoesWhatItApplied(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		plan.OnExit, plan.ReturnPath = OnExitForward, true
		before := snapshot(t)
		closePorts := openPorts(t, &plan)
		h, err := NewHost(plan, zap.NewNop())
		must(t, err)
		must(t, h.Up())
		must(t, h.Apply())
		during := snapshot(t)
		for _, want := range []string{
			"iif sub0 lookup 25 proto 25", "iif up0 lookup 26 proto 25", "default dev op25b-sub table 25 proto 25",
			"table inet op25b_divert_", "net.ipv4.conf.sub0.forwarding = 1", "net.ipv4.conf.op25b-up.rp_filter = 2",
			"net.ipv6.conf.all.forwarding = 1",
		} {
			if !strings.Contains(during, want) {
				t.Errorf("no %q in\n%s", want, during)
			}
		}
		must(t, h.Undo())
		closePorts()
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before (-before +after):\n%s", diff)
		}
	})
}

func TestReconcilePutsBack(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		defer openPorts(t, &plan)()
		h, err := NewHost(plan, zap.NewNop())
		must(t, err)
		must(t, h.Up())
		must(t, h.Apply())
		if added, err := h.reconcile(); err != nil || len(added) > 0 {
			t.Errorf("nothing was missing: %v, %v", added, err)
		}
		output(t, "ip", "-4", "rule", "del", "pref", "2500")
		output(t, "ip", "-6", "route", "del", "default", "table", "25")
		output(t, "ip", "link", "set", "op25b-up", "mtu", "1400")
		output(t, "ip", "addr", "flush", "dev", "op25b-sub")
		output(t, "sysctl", "-w", "net.ipv4.conf.op25b-sub.rp_filter=1")
		output(t, "nft", "delete", "table", "inet", "op25b")
		added, err := h.reconcile()
		must(t, err)
		guard, err := h.reconcileGuard()
		must(t, err)
		added = append(added, guard...)
		got := strings.Join(added, "\n")
		for _, want := range []string{
			"ip -4 rule add pref 2500 iif sub0", "ip -6 route add default dev op25b-sub", "op25b-up mtu 1500",
			"ip addr add 192.0.0.8/32 dev op25b-sub", "rp_filter=2", "nft table inet op25b",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		for _, flush := range []string{"flush chain inet op25b guard4", "flush set inet op25b sources6", "delete table inet op25b"} {
			if added, err := h.reconcileGuard(); err != nil || len(added) > 0 {
				t.Errorf("the guard was whole: %v, %v", added, err)
			}
			output(t, "nft", strings.Fields(flush)...)
			if added, err := h.reconcileGuard(); err != nil || len(added) != 1 {
				t.Errorf("after %s: %v, %v", flush, added, err)
			}
		}
		if added, err := h.reconcile(); err != nil || len(added) > 0 {
			t.Errorf("the second time: %v, %v", added, err)
		}
		must(t, h.Undo())
	})
}

// Leftovers of a crash go with the next start, and cleanup takes what is left;
// what others made stays.
func TestLeftovers(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		output(t, "ip", "rule", "add", "pref", "2500", "iif", "up0", "lookup", "25")                    // someone else's
		output(t, "ip", "rule", "add", "pref", "2510", "iif", "old0", "lookup", "25", "protocol", "25") // ours, from another configuration
		output(t, "ip", "route", "add", "blackhole", "default", "table", "25", "metric", "9", "protocol", "25")
		closePorts := openPorts(t, &plan)
		h, err := NewHost(plan, zap.NewNop())
		must(t, err)
		must(t, h.Up())
		must(t, h.Apply())
		during := snapshot(t)
		if strings.Contains(during, "old0") || strings.Contains(during, "blackhole") || !strings.Contains(during, "iif up0 lookup 25") {
			t.Errorf("leftovers are still there, or another's rule is gone:\n%s", during)
		}
		must(t, h.divert.Close()) // as if the process had died
		closePorts()
		if _, running := Running(plan.SubscriberPort); running {
			t.Error("nobody is running")
		}
		removed, err := Cleanup(plan.Table)
		must(t, err)
		if len(removed) != 3 { // two rules and the guard
			t.Errorf("removed %v", removed)
		}
		after := snapshot(t)
		if strings.Contains(after, "proto 25") || strings.Contains(after, "table inet op25b") || !strings.Contains(after, "iif up0 lookup 25") {
			t.Errorf("after cleanup:\n%s", after)
		}
	})
}

// strangeGuard has names of the guard's for other things.
const strangeGuard = `table inet op25b {
	set sources4 { type inet_service; elements = { 25 }; }
	chain forward { type filter hook forward priority 10; tcp dport @sources4 jump deeper; }
	chain deeper { drop; }
}`

// The scripts that routes prints make the tables that Host makes.
func TestTablesAreAsWritten(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		written := func(script, table string) string {
			file := filepath.Join(t.TempDir(), "script.nft")
			must(t, os.WriteFile(file, []byte(script), 0o600))
			output(t, "nft", "-f", file)
			defer output(t, "nft", "delete", "table", "inet", table)
			return output(t, "nft", "list", "table", "inet", table)
		}
		other := func(change func(*Plan)) func() error {
			plan := testPlan(t)
			plan.Guard.Sources, plan.Guard.Relays = plan.Guard.Relays, plan.Guard.Sources
			change(&plan)
			h, err := NewHost(plan, zap.NewNop())
			must(t, err)
			return h.applyGuard
		}
		found := map[string]func() error{
			"nothing":                    func() error { return nil },
			"another guard":              other(func(*Plan) {}),
			"another guard, unlimited":   other(func(p *Plan) { p.Guard.Answers = 0 }),
			"a table of another release": func() error { return exec.Command("nft", strangeGuard).Run() },
		}
		owner := regexp.MustCompile(`(?m)^table inet op25b_divert_\d+ \{.*\n\tflags owner\n\n`)
		for name, change := range map[string]func(*Plan){
			"everything":                      func(*Plan) {},
			"no limit":                        func(p *Plan) { p.Guard.Answers = 0 },
			"mail only":                       func(p *Plan) { p.Capture = p.Guard.Ports },
			"mail only, return by the router": func(p *Plan) { p.Capture, p.ReturnPath = p.Guard.Ports, true },
		} {
			plan := testPlan(t)
			change(&plan)
			h, err := NewHost(plan, zap.NewNop())
			must(t, err)
			want := written(plan.guardScript(), guardTable)
			for before, there := range found {
				must(t, there())
				must(t, h.applyGuard())
				loaded := output(t, "nft", "list", "table", "inet", guardTable)
				must(t, removeGuard())
				if diff := cmp.Diff(want, loaded); diff != "" {
					t.Errorf("%s: the guard, where %s is (-written +loaded):\n%s", name, before, diff)
				}
			}
			must(t, h.divertPackets())
			loaded := output(t, "nft", "list", "table", "inet", divertTable())
			loaded = owner.ReplaceAllString(loaded, "table inet op25b_divert {\n")
			must(t, h.divert.Close())
			if diff := cmp.Diff(written(plan.divertScript(), "op25b_divert"), loaded); diff != "" {
				t.Errorf("%s: the diversion (-written +loaded):\n%s", name, diff)
			}
		}
	})
}

// A guard of any size is loaded, and missed when somebody flushes it.
func TestLargeGuard(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		var ranges []netipx.IPRange
		for a := netip.MustParseAddr("10.0.0.0"); len(ranges) < 150_000; a = a.Next().Next() {
			ranges = append(ranges, netipx.IPRangeFrom(a, a))
		}
		for _, n := range []int{countable / 2, countable/2 + 1, len(ranges)} {
			plan.Guard.Sources = ranges[:n]
			h, err := NewHost(plan, zap.NewNop())
			must(t, err)
			must(t, h.applyGuard())
			if !h.guardPresent() {
				t.Errorf("%d ranges: the guard is not there after it was loaded", n)
			}
			output(t, "nft", "flush", "set", "inet", guardTable, "sources4")
			if h.guardPresent() {
				t.Errorf("%d ranges: nobody notices that they are gone", n)
			}
			must(t, removeGuard())
		}
	})
}

func TestTableInUse(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		output(t, "ip", "route", "add", "192.0.2.0/24", "dev", "sub0", "table", "26")
		before := snapshot(t)
		h, err := NewHost(plan, zap.NewNop())
		must(t, err)
		var hint *Hint
		if err := h.Up(); !errors.As(err, &hint) || !strings.Contains(hint.Fix, "forwarding.table") {
			t.Errorf("Up: %v", err)
		}
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before (-before +after):\n%s", diff)
		}
	})
}

func TestInterfaceAbsent(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		plan := testPlan(t)
		plan.Upstream = "up9"
		_, err := NewHost(plan, zap.NewNop())
		var hint *Hint
		if !errors.As(err, &hint) || !regexp.MustCompile(`this machine has .*sub0`).MatchString(hint.Fix) {
			t.Errorf("NewHost: %v", err)
		}
	})
}

func TestMTUFollowsTheSmallest(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		output(t, "ip", "link", "set", "up0", "mtu", "1400")
		plan := testPlan(t)
		plan.MTU = 0
		if mtu, err := MTU(&plan); err != nil || mtu != 1400 {
			t.Errorf("MTU %d, %v", mtu, err)
		}
	})
}

func TestAddressesLeavesOutLinkLocal(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		link, err := netlink.LinkByName("sub0")
		must(t, err)
		for _, a := range []string{"192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"} {
			addr, err := netlink.ParseAddr(a)
			must(t, err)
			must(t, netlink.AddrAdd(link, addr))
		}
		got, err := Addresses("sub0")
		must(t, err)
		if len(got) != 2 || got[0].String() != "192.0.2.1" || got[1].String() != "2001:db8::1" {
			t.Errorf("addresses %v", got)
		}
	})
}
