// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// reach reports whether the internet echoes what a node sends.
func reach(t *testing.T, from *Node, f Family) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := from.AskEcho(ctx, netip.AddrPortFrom(f.Addrs().Internet, PortEcho), []byte("hello"))
	return err == nil
}

func TestNetworkReaches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts Options
		v4   bool
		v6   bool
	}{
		{"default", Options{}, true, true},
		{"IPv6 off on the gateway", Options{IPv6: IPv6OffGateway}, true, false},
		{"IPv6 off", Options{IPv6: IPv6Off}, true, false},
		{"small MTUs", Options{UpstreamMTU: 1400, InternetMTU: 1280}, true, true},
		{"no offloads", Options{NoOffloads: true}, true, true},
		{"strict reverse path filter", Options{ReversePathFilter: 1}, true, true},
		{"no forwarding", Options{NoForwarding: true}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, tt.opts)
			if _, err := n.StartEcho(); err != nil {
				t.Fatal(err)
			}
			for _, node := range []*Node{n.Dynamic, n.Static} {
				if got := reach(t, node, IPv4); got != tt.v4 {
					t.Errorf("%s reaches the internet by IPv4: %t, want %t", node.Name(), got, tt.v4)
				}
				if len(n.Families()) == 1 {
					continue
				}
				if got := reach(t, node, IPv6); got != tt.v6 {
					t.Errorf("%s reaches the internet by IPv6: %t, want %t", node.Name(), got, tt.v6)
				}
			}
		})
	}
}

func TestEveryAddressAnswers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	for _, f := range n.Families() {
		a := f.Addrs()
		for name, addr := range map[string]netip.Addr{
			"dynamic": a.Dynamic, "static": a.Static, "gateway, dynamic side": a.GatewayDynamic,
			"gateway, static side": a.GatewayStatic, "gateway, upstream side": a.GatewayUpstream,
			"transit, gateway side": a.TransitGateway, "transit, internet side": a.TransitInternet,
			"internet": a.Internet, "mx": a.MX, "web": a.Web, "msa": a.MSA,
		} {
			// A closed port refuses: the packet was there and the answer came back.
			_, err := n.Static.Dial(testContext(t), "tcp", netip.AddrPortFrom(addr, 9).String())
			if inWords(err) != "connection refused" {
				t.Errorf("%s %s (%s): %v", f, name, addr, err)
			}
		}
	}
}

func TestOptionsAreApplied(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{UpstreamMTU: 1400, InternetMTU: 1300, ReversePathFilter: 2, IPv6: IPv6OffGateway})
	mtus := map[string]int{}
	for _, end := range []struct {
		node *Node
		link string
	}{
		{n.Dynamic, LinkHost}, {n.Gateway, LinkDynamic}, {n.Gateway, LinkUpstream},
		{n.Transit, LinkTransitGateway}, {n.Transit, LinkTransitInternet}, {n.Internet, LinkHost},
	} {
		link, err := end.node.Netlink().LinkByName(end.link)
		if err != nil {
			t.Fatal(err)
		}
		mtus[end.node.plan.role+"/"+end.link] = link.Attrs().MTU
	}
	wantMTUs := map[string]int{
		"dynamic/eth0": 1500, "gateway/dyn0": 1500, "gateway/up0": 1400,
		"transit/gw0": 1400, "transit/inet0": 1300, "internet/eth0": 1300,
	}
	if diff := cmp.Diff(wantMTUs, mtus); diff != "" {
		t.Errorf("MTUs (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":              "1",
		"net.ipv4.conf.up0.rp_filter":      "2",
		"net.ipv4.conf.all.rp_filter":      "2",
		"net.ipv6.conf.all.disable_ipv6":   "1",
		"net.ipv6.conf.dyn0.disable_ipv6":  "1",
		"net.ipv4.conf.default.rp_filter":  "2",
		"net.ipv6.conf.all.accept_dad":     "0",
		"net.ipv6.conf.default.accept_dad": "0",
	} {
		if got, err := n.Gateway.Sysctl(key); err != nil || got != want {
			t.Errorf("gateway's %s = %q, %v; want %q", key, got, err, want)
		}
	}
	if got, err := n.Transit.Sysctl("net.ipv4.conf.all.rp_filter"); err != nil || got != "0" {
		t.Errorf("transit's rp_filter = %q, %v; want 0", got, err)
	}
}

func TestNoOffloads(t *testing.T) {
	t.Parallel()
	ethtool, err := exec.LookPath("ethtool")
	if err != nil {
		t.Skip("SKIPPED: needs ethtool to read features back")
	}
	for _, off := range []bool{false, true} {
		n := newNetwork(t, Options{NoOffloads: off})
		want := map[bool]string{false: "on", true: "off"}[off]
		for _, end := range []struct {
			node *Node
			link string
		}{{n.Dynamic, LinkHost}, {n.Gateway, LinkDynamic}, {n.Gateway, LinkUpstream}, {n.Internet, LinkHost}} {
			out, err := end.node.Output(exec.Command(ethtool, "-k", end.link))
			if err != nil {
				t.Fatal(err)
			}
			for _, feature := range []string{"tx-checksumming", "scatter-gather", "tx-tcp-segmentation", "tx-tcp6-segmentation", "generic-segmentation-offload"} {
				if !strings.Contains(string(out), feature+": "+want) {
					t.Errorf("%s %s: want %s %s:\n%s", end.node.Name(), end.link, feature, want, out)
				}
			}
		}
	}
}

func TestLinkFlapRestoresRoutes(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	if _, err := n.StartEcho(); err != nil {
		t.Fatal(err)
	}
	if err := n.Gateway.SetLinkDown(LinkUpstream); err != nil {
		t.Fatal(err)
	}
	if reach(t, n.Gateway, IPv4) {
		t.Error("gateway reaches the internet without its uplink")
	}
	if err := n.Gateway.SetLinkUp(LinkUpstream); err != nil {
		t.Fatal(err)
	}
	if err := n.Gateway.WaitLink(LinkUpstream); err != nil {
		t.Fatal(err)
	}
	for _, f := range n.Families() {
		if !reach(t, n.Dynamic, f) {
			t.Errorf("%s: internet unreachable after the flap", f)
		}
	}
	if err := n.Gateway.SetMTU(LinkUpstream, 1400); err != nil {
		t.Fatal(err)
	}
	link, err := n.Gateway.Netlink().LinkByName(LinkUpstream)
	if err != nil || link.Attrs().MTU != 1400 {
		t.Errorf("MTU = %d, %v; want 1400", link.Attrs().MTU, err)
	}
}

func TestNewRefusesSmallMTU(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{{UpstreamMTU: 1279}, {InternetMTU: 1}, {UpstreamMTU: 1000, IPv6: IPv6OffGateway}} {
		if n, err := New(opts); err == nil {
			n.Close()
			t.Errorf("New(%+v) succeeded", opts)
		}
	}
	newNetwork(t, Options{UpstreamMTU: 576, IPv6: IPv6Off})
}

func TestUnknownLink(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	for name, err := range map[string]error{
		"up":   n.Gateway.SetLinkUp("nosuch"),
		"down": n.Gateway.SetLinkDown("nosuch"),
		"wait": n.Gateway.WaitLink("nosuch"),
		"mtu":  n.Gateway.SetMTU("nosuch", 1400),
	} {
		if _, ok := errors.AsType[netlink.LinkNotFoundError](err); !ok {
			t.Errorf("%s: %v, want LinkNotFoundError", name, err)
		}
	}
}

func TestNetworksSideBySide(t *testing.T) {
	t.Parallel()
	needRoot(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			n, err := New(Options{})
			if err != nil {
				t.Errorf("New: %v", err)
				return
			}
			if _, err := n.StartEcho(); err != nil {
				t.Errorf("StartEcho: %v", err)
			}
			if !reach(t, n.Dynamic, IPv4) || !reach(t, n.Static, IPv6) {
				t.Errorf("%s does not work beside others", n.claim.base)
			}
			if err := n.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestVisibleToIPNetns(t *testing.T) {
	t.Parallel()
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("SKIPPED: needs the ip command")
	}
	n := newNetwork(t, Options{})
	out, err := exec.Command(ip, "netns", "exec", n.Static.Name(), ip, "-brief", "addr", "show", LinkHost).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "100.65.0.2/24") {
		t.Errorf("ip netns exec: %v: %s", err, out)
	}
}

// Not parallel: a namespace's inode number may be given to the next one.
func TestCloseLeavesNothing(t *testing.T) {
	needRoot(t)
	home, err := statNamespace("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.StartMail(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.StartWeb(); err != nil {
		t.Fatal(err)
	}
	ids := map[namespaceID]bool{}
	for _, node := range n.Nodes() {
		ids[node.id] = true
		for range 20 {
			if err := node.Do(func() error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if left := leftovers(n.claim.base); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	handles, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range handles {
		if target, _ := os.Readlink(path); !strings.HasPrefix(target, "net:[") {
			continue
		}
		if id, err := statNamespace(path); err == nil && ids[id] {
			t.Errorf("%s still holds a namespace", path)
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		if id, err := statNamespace(path); err == nil && id != home {
			t.Errorf("thread %s did not come back", path)
		}
	}
	after, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(links) {
		t.Errorf("the host has %d links, had %d", len(after), len(links))
	}
}

func TestClosedNetworkRefuses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, errStart := n.Dynamic.Start(exec.Command("true"))
	_, errListen := n.Dynamic.Listen("tcp", "127.0.0.1:0")
	_, errDial := n.Dynamic.Dial(t.Context(), "tcp", "127.0.0.1:1")
	_, errMail := n.StartMail()
	_, errSysctl := n.Dynamic.Sysctl("net.ipv4.ip_forward")
	for name, err := range map[string]error{
		"Do":     n.Dynamic.Do(func() error { return nil }),
		"Start":  errStart,
		"Listen": errListen,
		"Dial":   errDial,
		"Mail":   errMail,
		"Sysctl": errSysctl,
	} {
		if !errors.Is(err, ErrClosed) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}

// The caller learns that root is needed, and nothing is left behind.
func TestNewWithoutPermission(t *testing.T) {
	t.Parallel()
	needRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVariable+"="+partNobody)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "permission denied" {
		t.Errorf("New as nobody: %v: %s", err, out)
	}
}
