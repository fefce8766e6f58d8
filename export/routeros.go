// SPDX-License-Identifier: Apache-2.0

package export

import "net/netip"

// routerOS is a script for MikroTik's RouterOS 7 (manual: "Filter", "Address lists").
// With connection tracking, packets are put together before the filter sees them
// ("Packet Flow in RouterOS"; "RAW": what bypasses tracking is not), so the rules see
// whole ones. Where tracking is off, later fragments of TCP are dropped in IPv4;
// IPv6 has no such matcher.
type routerOS struct{}

func (routerOS) comment(line string) string { return "# " + line }

func (routerOS) usage() []string {
	return []string{
		"Load with: /import file-name=op25b.rsc. Then move the rules that jump to op25b before those that accept what is new.",
		"Remove with: /ip/firewall/filter/remove [find comment=\"op25b\"], /ip/firewall/address-list/remove [find comment=\"op25b\"], " +
			"and the same in /ipv6. Do so before you load it again.",
		"Fragments are kept from evading it by connection tracking: it must be on (/ip/firewall/connection/tracking/print), with no notrack rule for these sources.",
		"The interfaces are named as in the file: put in this router's names.",
	}
}

func (routerOS) cannot() []string {
	return []string{
		"Not tried on a router: written from MikroTik's manual.",
		"Connections that FastTrack takes over bypass the filter: with policy.established reset, clear the connection table once.",
		"With connection tracking off, a short IPv6 first fragment can hide its flags.",
		"IPv6 headers that RouterOS does not follow to TCP, AH among them, are not looked behind.",
		"Fragments are held until they are whole, which costs memory per flow; op25b judges each by itself.",
	}
}

func (o routerOS) write(w *writer, r *rules) {
	o.family(w, r, "/ip", func(a addresses) []netip.Prefix { return a.four })
	o.family(w, r, "/ipv6", func(a addresses) []netip.Prefix { return a.six })
}

func (routerOS) family(w *writer, r *rules, menu string, of func(a addresses) []netip.Prefix) {
	parts := []struct {
		list, action string
		prefixes     []netip.Prefix
	}{
		{"op25b-relays", "", of(r.relays)},
		{"op25b-reset", "action=reject reject-with=tcp-reset", of(r.reset)},
		{"op25b-prohibited", "action=reject reject-with=icmp-admin-prohibited", of(r.prohibited)},
		{"op25b-drop", "action=drop", of(r.drop)},
	}
	w.line("%s firewall address-list", menu)
	for _, p := range parts {
		for _, prefix := range p.prefixes {
			w.line("add list=%s address=%s comment=op25b", p.list, prefix)
		}
	}
	flags := " tcp-flags=syn,!ack"
	if r.Established {
		flags = ""
	}
	w.line("%s firewall filter", menu)
	w.line("add chain=op25b action=return dst-address-list=op25b-relays comment=op25b")
	for _, p := range parts[1:] {
		if len(p.prefixes) == 0 {
			continue
		}
		if menu == "/ip" {
			w.line("add chain=op25b action=drop protocol=tcp fragment=yes src-address-list=%s comment=op25b", p.list)
		}
		w.line("add chain=op25b %s protocol=tcp dst-port=%s%s src-address-list=%s comment=op25b", p.action, r.ports(","), flags, p.list)
	}
	for _, name := range r.Subscribers {
		w.line("add chain=forward action=jump jump-target=op25b protocol=tcp in-interface=%q comment=op25b", name)
	}
}
