// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"op25b/lab"
)

// TestFaultRoutes has others work on addresses, rules and routes.
func TestFaultRoutes(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, w *ward) {
		t.Helper()
		gateway := w.network.Gateway
		w.suffer(t,
			typed("ip addr del 192.0.0.8/32 dev op25b-sub").healing(),
			typed("ip addr flush dev op25b-up; ip addr flush dev op25b-sub").healing(),
			// The way out is the machine's own.
			fault{
				name: "upstream's address removed", inflict: sh("ip -4 addr flush dev up0"),
				mend: raise(gateway, lab.LinkUpstream),
			},
			typed("ip rule del pref 2500 iif dyn0").healing(),
			typed("ip -6 rule del pref 2500 iif stat0").healing(),
			typed("ip rule del pref 2501 2>/dev/null || ip rule del pref 2500").healing(),
			typed("ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default").healing(),
			typed("ip -6 rule flush; ip -6 rule add pref 32766 lookup main").healing(),
			typed("ip route flush table 25; ip -6 route flush table 25").healing(),
			typed("ip route flush table 26 2>/dev/null || ip route flush table 25").healing(),
			typed("ip route del default").until("ip route add default via 198.51.100.2"),
			typed("ip route replace blackhole default").until("ip route replace default via 198.51.100.2"),
			typed("ip route add 203.0.113.0/24 via 198.51.100.2 table 25").saying("routing table 25 is in use by others").
				until("ip route del 203.0.113.0/24 table 25"),
			typed("ip rule add pref 100 iif dyn0 lookup main").saying("comes before op25b's").until("ip rule del pref 100"),
			typed("ip -6 rule add pref 100 lookup main").saying("comes before op25b's").until("ip -6 rule del pref 100"),
			typed("ip rule add pref 100 fwmark 7 lookup 100; ip rule add pref 101 from 10.9.0.0/16 lookup 100").
				until("ip rule del pref 100; ip rule del pref 101"), // of no concern to subscribers
			networkManager(gateway), networkd(),
		)
	})
}

// networkManager is what happens when a network manager starts anew: what is not in its
// profiles goes, and the interface gets what is.
func networkManager(gateway *lab.Node) fault {
	return fault{
		name: "NetworkManager restarted", healed: true, mend: raise(gateway, lab.LinkUpstream),
		inflict: sh(`ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default
			ip -6 rule flush; ip -6 rule add pref 32766 lookup main
			ip route flush table 25; ip -6 route flush table 25
			ip -4 addr flush dev up0; ip route flush dev up0`),
	}
}

// networkd is systemd-networkd with ManageForeignRoutes= and
// ManageForeignRoutingPolicyRules=, which are on by default: it deletes, one by one,
// what it has not made.
func networkd() fault {
	return fault{name: "systemd-networkd restarted", healed: true, inflict: sh(`flush() {
			for table in 25 26; do ip $1 route flush table $table proto 25 2>/dev/null || true; done
			for i in $(seq $(ip $1 rule show proto 25 | wc -l)); do ip $1 rule del proto 25 2>/dev/null || true; done
		}
		flush -4; flush -6`)}
}
