// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"testing"
)

// rolloutExample is what testdata/rollout.yaml says.
func rolloutExample(t *testing.T) func(*Config) {
	t.Helper()
	prefix := netip.MustParsePrefix
	at := func(text string) Time {
		moment, err := parseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	return func(c *Config) {
		c.Policy.Destinations = []Destinations{
			{Name: "mobile", PrefixesFile: "lists/relays.txt", Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:25::25/128")}},
			{Name: "carriers", Prefixes: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:c::/48")}},
		}
		c.Policy.Relays = []Relay{
			{Name: "isp-msa", Prefixes: []netip.Prefix{prefix("192.0.2.25/32")}},
			{Name: "reseller-msa", Prefixes: []netip.Prefix{prefix("192.0.2.40/32")}, Pools: []string{"reseller"}, Until: at("2027-03-31 00:00 Asia/Tokyo")},
		}
		c.Policy.Pools = append(c.Policy.Pools,
			Pool{
				Name: "reseller", Prefixes: []netip.Prefix{prefix("100.80.0.0/12"), prefix("2001:db8::/40")},
				Assignment: AssignmentDynamic, Response: ResponseReset, Mode: ModeMonitor, Delegation: 60,
			},
			Pool{Name: "business", Prefixes: []netip.Prefix{prefix("100.65.0.0/24")}, Assignment: AssignmentStatic},
		)
		c.Policy.Exemptions = []string{"testdata/exemptions.yaml", "/etc/op25b/more.yaml"}
		c.Policy.Rollout = Rollout{
			Phases: []Phase{
				{
					Name: "trial", Start: at("2026-12-01 02:00 Asia/Tokyo"), Pools: []string{"residential"},
					Destinations: []string{"mobile", "carriers"}, Share: 25, Mode: ModeRefuse,
				},
				{Name: "census", Start: at("2026-11-01T00:00:00Z"), Share: Everyone, Mode: ModeMonitor},
				{Name: "everything", Start: at("2027-02-01T02:00:00+09:00"), Share: Everyone, Mode: ModeRefuse},
			},
			Brownouts: []Brownout{{
				Name: "rehearsal", From: at("2026-11-25 10:00 Asia/Tokyo"), To: at("2026-11-25 10:30:30 Asia/Tokyo"),
				Pools: []string{"residential", "reseller"},
			}},
		}
		clients := []Client{{prefix("192.0.2.10/32")}, {prefix("127.0.0.1/32")}, {prefix("192.0.2.128/25")}, {prefix("2001:db8::/64")}}
		c.Leases = []LeaseSource{
			{Name: "dhcp", Kind: LeaseDnsmasq, File: "/var/lib/misc/dnsmasq.leases"},
			{Name: "kea", Kind: LeaseKea, File: "testdata/kea-leases4.csv"},
			{Name: "keas", Kind: LeaseKeaSocket, Socket: "/run/kea/kea4-ctrl-socket"},
			{Name: "isc", Kind: LeaseISC, File: "/var/lib/dhcp/dhcpd.leases"},
			{Name: "bras", Kind: LeaseRADIUS, Listen: netip.MustParseAddrPort("192.0.2.1:1813"), Clients: clients, SecretFile: "testdata/radius.secret"},
			{Name: "bras6", Kind: LeaseRADIUS, Listen: netip.MustParseAddrPort("[::]:1813"), Clients: clients[:1], SecretFile: "testdata/radius.secret"},
		}
		c.Journal = Journal{Path: "/var/lib/op25b/journal.db", Retention: Days(3650), Destinations: JournalDestinationsNone}
		c.Texts = Texts{Directory: "testdata/texts", Notice: Default().Texts.Notice}
	}
}
