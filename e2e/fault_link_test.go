// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// TestFaultOwnLinks has others work on op25b's own two interfaces.
func TestFaultOwnLinks(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, w *ward) {
		t.Helper()
		w.suffer(t,
			typed("ip link set op25b-sub down").healing(),
			typed("ip link set op25b-up down").healing(),
			fault{name: "both flap 20 times", inflict: sh(`for i in $(seq 20); do for l in op25b-sub op25b-up; do
				ip link set $l down; ip link set $l up; done; done`)},
			typed("ip link del op25b-sub"),
			typed("ip link del op25b-up"),
			// Whether it comes first or the gateway itself, which takes down the other one.
			typed("ip link del op25b-sub; ip link del op25b-up 2>/dev/null || true"),
			fault{name: "op25b-sub deleted 5 times in a row", inflict: sh(
				"for i in 1 2 3 4 5; do until ip link del op25b-sub 2>/dev/null; do sleep 0.02; done; done")},
			typed("ip link set op25b-sub down; ip link set op25b-sub name other0").healing(),
			typed("ip link set op25b-up down; ip link set op25b-up name other0").healing(),
			typed("ip link set op25b-sub mtu 1300").healing(),
			typed("ip link set op25b-sub mtu 1000").healing(), // too small for IPv6, which the kernel forgets there
			typed("ip link set op25b-sub multicast on").healing(),
			typed("ip link set op25b-sub txqueuelen 7").healing(),
			typed("ip link set op25b-sub arp on").until("ip link set op25b-sub arp off"),
			typed("ip link set op25b-sub promisc on").until("ip link set op25b-sub promisc off"),
			typed("tc qdisc replace dev op25b-up root pfifo limit 1000").until("tc qdisc del dev op25b-up root"),
		)
	})
}

// TestFaultNameTaken has somebody take the name of an interface that is to be made
// anew.
func TestFaultNameTaken(t *testing.T) {
	t.Parallel()
	w := openWard(t, lab.ConfigOptions{})
	w.suffer(t, fault{
		name: "op25b-sub deleted, and the name taken",
		// At once: it is made anew within a tenth of a second.
		inflict: sh(`ip link add taken0 type veth peer name taken1
			printf 'link del op25b-sub\nlink set taken0 name op25b-sub\n' | ip -batch -`),
		says: "packets do not flow through op25b",
		mend: sh("ip link del op25b-sub"),
	})
	w.close(t)
}

// TestFaultRealLinks has the machine's own interfaces fail.
func TestFaultRealLinks(t *testing.T) {
	t.Parallel()
	needTools(t, "ethtool")
	w := openWard(t, lab.ConfigOptions{ReturnPath: "router"})
	gateway, transit, subscriber := w.network.Gateway, w.network.Transit, w.network.Dynamic
	w.suffer(t,
		fault{
			name: "upstream down", inflict: sh("ip link set up0 down"),
			says: "interface up0 is down", mend: raise(gateway, lab.LinkUpstream),
		},
		fault{
			name: "subscriber's interface down", inflict: sh("ip link set dyn0 down"),
			says: "interface dyn0 is down", mend: raise(gateway, lab.LinkDynamic),
		},
		fault{
			name: "no carrier upstream", inflict: lower(transit, lab.LinkTransitGateway),
			says: "interface up0 has no link", mend: raise(transit, lab.LinkTransitGateway),
		},
		fault{
			name: "no carrier at the subscriber", inflict: lower(subscriber, lab.LinkHost),
			says: "interface dyn0 has no link", mend: raise(subscriber, lab.LinkHost),
		},
		unplug(gateway, lab.LinkUpstream, transit, lab.LinkTransitGateway),
		unplug(gateway, lab.LinkDynamic, subscriber, lab.LinkHost),
		fault{
			name: "MTU of the upstream", inflict: sh("ip link set up0 mtu 1400"),
			meanwhile: wantMTU(1400), mend: sh("ip link set up0 mtu 1500"),
		},
		typed("ethtool -K up0 tso off gso off gro off tx off; ethtool -K dyn0 tso off gso off gro off tx off").
			until("ethtool -K up0 tx on tso on gso on gro on; ethtool -K dyn0 tx on tso on gso on gro on"),
		typed("ip link set up0 promisc on; ip link set dyn0 promisc on").
			until("ip link set up0 promisc off; ip link set dyn0 promisc off"),
		typed("ip link set dyn0 txqueuelen 2").until("ip link set dyn0 txqueuelen 1000"),
	)
	w.close(t)
}

// TestFaultDeaf has the kernel tell of more than a gateway's sockets hold while the
// gateway does not run: what comes after that is lost on some of them.
func TestFaultDeaf(t *testing.T) {
	t.Parallel()
	needTools(t, "ping")
	w := openWard(t, lab.ConfigOptions{ReturnPath: "router"})
	w.suffer(t,
		fault{
			name: "the kernel tells too much while the MTU is small",
			inflict: func(t testing.TB, w *ward) {
				t.Helper()
				sh("ip link set up0 mtu 1400")(t, w)
				wantMTU(1400)(t, w)
				w.signal(t, unix.SIGSTOP)
				sh("for i in $(seq 3000); do echo link set lo alias $i; done | ip -batch -; ip link set lo alias ''")(t, w)
				w.signal(t, unix.SIGCONT)
			},
			mend: sh("ip link set up0 mtu 1500"),
		},
		typed("ip link set op25b-up down").healing(),
	)
	for _, f := range w.network.Families() {
		eventually(t, f.String()+": packets of 1500 octets pass", func() bool {
			passes, _ := pings(t, w.network.Dynamic, f.Addrs().Internet, "-M", "do", "-s", "1452")
			return passes
		})
	}
	w.close(t)
}

func lower(node *lab.Node, link string) treatment {
	return func(t testing.TB, _ *ward) {
		t.Helper()
		if err := node.SetLinkDown(link); err != nil {
			t.Fatal(err)
		}
	}
}

// raise puts back what went away with the link as well, as a network manager does.
func raise(node *lab.Node, link string) treatment {
	return func(t testing.TB, _ *ward) {
		t.Helper()
		if err := node.SetLinkUp(link); err != nil {
			t.Fatal(err)
		}
		if err := node.WaitLink(link); err != nil {
			t.Fatal(err)
		}
	}
}

// unplug is an interface that goes and comes back as another one with the same name
// and address.
func unplug(near *lab.Node, link string, far *lab.Node, farLink string) fault {
	return fault{
		name: link + " deleted, and made again",
		says: "interface " + link + " is gone",
		inflict: func(t testing.TB, w *ward) {
			t.Helper()
			w.addresses = [2]string{hardwareAddress(t, near, link), hardwareAddress(t, far, farLink)}
			breakIt(t, w.network, "ip link del "+link)
		},
		mend: func(t testing.TB, w *ward) {
			t.Helper()
			breakIt(t, w.network, fmt.Sprintf("ip link add %s address %s type veth peer name %s address %s netns %s",
				link, w.addresses[0], farLink, w.addresses[1], far.Name()))
			for _, end := range []struct {
				node *lab.Node
				link string
			}{{near, link}, {far, farLink}} {
				if err := end.node.SetLinkUp(end.link); err != nil {
					t.Fatal(err)
				}
			}
			raise(near, link)(t, w)
			raise(far, farLink)(t, w)
		},
	}
}

func hardwareAddress(t testing.TB, node *lab.Node, link string) string {
	t.Helper()
	l, err := node.Netlink().LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().HardwareAddr.String()
}

// wantMTU waits until op25b's own interfaces have it.
func wantMTU(mtu int) treatment {
	return func(t testing.TB, w *ward) {
		t.Helper()
		for _, port := range []string{sub, up} {
			eventually(t, fmt.Sprintf("MTU of %s is %d", port, mtu), func() bool {
				return strings.Contains(mustRun(t, w.network.Gateway, "ip", "link", "show", port), fmt.Sprintf("mtu %d ", mtu))
			})
		}
	}
}
