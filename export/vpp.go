// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"net/netip"
	"strings"
)

// vpp is an access list of VPP's acl-plugin, without state. A later fragment matches
// the first entry of its protocol whatever ports that names (the plugin's document
// "ACL lookup contexts", l4-match-nonfirst-fragment, which is on by default): so the
// denying entries come before any that permits TCP, relays excepted, and refused
// sources send no later fragment of TCP. A short first fragment alone opens nothing.
// tcpflags and mask are numbers: of SYN (2) and ACK (16), SYN alone is set.
type vpp struct{}

// comment uses the command of that name: a script has no sign for comments.
func (vpp) comment(line string) string {
	return "comment { " + strings.NewReplacer("{", "(", "}", ")").Replace(line) + " }"
}

func (vpp) usage() []string {
	return []string{
		"Load with: vppctl exec FILE, which shows the index N of the list. Then, for each interface of subscribers: vppctl set acl-plugin interface NAME input acl N.",
		"Remove with: vppctl set acl-plugin interface NAME input acl N del, then vppctl delete acl-plugin acl index N.",
		"Leave set acl-plugin l4-match-nonfirst-fragment as it is, 1: fragments are kept from evading the list by it.",
	}
}

func (vpp) cannot() []string {
	return []string{
		"Not tried on a router: written from VPP's documentation and the commands of the acl-plugin.",
		"Nothing is answered: a list only drops, so clients wait for a timeout whatever the pool's response is.",
		"All later TCP fragments of refused sources are dropped, towards any port.",
		"TCP behind an authentication header, or one that the plugin does not skip, is not looked for.",
		"A later IPv6 fragment that claims to be no TCP passes; with a short first fragment it could open a port.",
	}
}

func (vpp) write(w *writer, r *rules) {
	const tcp = 6
	var entries []string
	add := func(format string, args ...any) { entries = append(entries, fmt.Sprintf(format, args...)) }
	for _, relay := range r.relays.both() {
		add("permit src %s dst %s proto %d", everywhere(relay), relay, tcp)
	}
	flags := " tcpflags 2 mask 18"
	if r.Established {
		flags = ""
	}
	for _, source := range r.refused.both() {
		for _, port := range r.Ports {
			add("deny src %s dst %s proto %d dport %d-%d%s", source, everywhere(source), tcp, port, port, flags)
		}
	}
	add("permit src 0.0.0.0/0 dst 0.0.0.0/0")
	add("permit src ::/0 dst ::/0")
	// One command is one line.
	w.line("set acl-plugin acl %s tag op25b", strings.Join(entries, ", "))
}

// everywhere is all addresses of the prefix's family.
func everywhere(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "0.0.0.0/0"
	}
	return "::/0"
}
