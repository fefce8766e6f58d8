// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"op25b/lab"
)

// TestFaultNetfilter has others work on netfilter.
func TestFaultNetfilter(t *testing.T) {
	t.Parallel()
	for _, opts := range []lab.ConfigOptions{{}, {Capture: "smtp"}} {
		t.Run(modeName(opts), func(t *testing.T) {
			t.Parallel()
			w := openWard(t, opts)
			w.suffer(t,
				typed("nft delete table inet op25b").healing(),
				fault{
					name: "nft flush ruleset", inflict: sh("nft flush ruleset"), healed: true,
					// It has an owner, so only that can remove it.
					meanwhile: wantRules("op25b_divert_"),
				},
				typed("nft flush set inet op25b sources4").healing(),
				typed(`nft 'add table inet other; add chain inet other forward { type filter hook forward priority 0; policy drop; }'`).
					until("nft delete table inet other"),
				typed(`nft 'add table inet other; add chain inet other raw { type filter hook prerouting priority -400; policy drop; }'`).
					until("nft delete table inet other"),
			)
			w.close(t)
		})
	}
}

// wantRules wants netfilter to hold something still.
func wantRules(what string) treatment {
	return func(t testing.TB, w *ward) {
		t.Helper()
		if rules := mustRun(t, w.network.Gateway, "nft", "list", "tables"); !strings.Contains(rules, what) {
			t.Errorf("no %s in %s", what, rules)
		}
	}
}

// TestFaultSettings has others change settings of the kernel.
func TestFaultSettings(t *testing.T) {
	t.Parallel()
	set := func(setting string) fault {
		f := typed("sysctl -q -w " + setting)
		key, value, _ := strings.Cut(setting, "=")
		f.name = setting
		f.meanwhile = func(t testing.TB, w *ward) {
			t.Helper()
			eventually(t, key+" is put back", func() bool {
				now, err := w.network.Gateway.Sysctl(key)
				return err == nil && now != value
			})
		}
		return f.healing()
	}
	w := openWard(t, lab.ConfigOptions{ReturnPath: "router"})
	w.suffer(t,
		set("net.ipv4.conf.dyn0.forwarding=0"),
		set("net.ipv4.conf.op25b-up.forwarding=0"),
		set("net.ipv6.conf.all.forwarding=0"),
		set("net.ipv4.conf.op25b-up.rp_filter=1"),
		set("net.ipv4.conf.op25b-up.accept_local=0"),
		set("net.ipv6.conf.op25b-sub.disable_ipv6=1"),
		set("net.ipv6.conf.op25b-up.disable_ipv6=1"),
		fault{name: "net.ipv4.ip_forward=0", inflict: sh("sysctl -q -w net.ipv4.ip_forward=0"), healed: true},
		typed("sysctl -q -w net.ipv4.conf.all.rp_filter=1").until("sysctl -q -w net.ipv4.conf.all.rp_filter=0"),
		typed("sysctl -q -w net.ipv4.conf.dyn0.rp_filter=1 net.ipv4.conf.up0.rp_filter=1").
			until("sysctl -q -w net.ipv4.conf.dyn0.rp_filter=0 net.ipv4.conf.up0.rp_filter=0"),
	)
	w.close(t)
}
