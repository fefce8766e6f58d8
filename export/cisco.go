// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// cisco is a pair of access lists for Cisco IOS ("Cisco IOS Security Command
// Reference": ip access-list, ipv6 access-list). An entry with a port lets later
// fragments pass when it permits and skips them when it denies ("Access Control Lists
// and IP Fragments", document 8014), so those of refused sources are denied before any
// such entry, by "fragments". "established" is ACK or RST: what has neither may open
// a connection, SYN with FIN too.
type cisco struct{}

func (cisco) comment(line string) string { return "! " + line }

func (cisco) usage() []string {
	return []string{
		"Load with: copy FILE running-config. Then, on each interface of subscribers: ip access-group OP25B in; ipv6 traffic-filter OP25B6 in.",
		"Remove with: no ip access-group OP25B in; no ipv6 traffic-filter OP25B6 in; no ip access-list extended OP25B; no ipv6 access-list OP25B6. " +
			"While it is loaded again, nothing is refused.",
		"An interface has one list per direction: if it has one, put these entries before its own, without the last one.",
	}
}

func (cisco) cannot() []string {
	return []string{
		"Not tried on a router: written from Cisco's documentation.",
		"No access list sends a RST: the router answers all that it denies with ICMP \"administratively prohibited\", a few per second, " +
			"or, with no ip unreachables and no ipv6 unreachables on the interface, nothing. It is one of the two for all pools.",
		"All later TCP fragments of refused sources are denied, towards any port, and in IPv6 all packets whose transport cannot be found.",
		"Segments to a blocked port with neither ACK nor RST are denied, though some open nothing (a lone FIN).",
		"TCP behind an authentication header is not looked for.",
		"A later IPv6 fragment that claims to be no TCP passes; a receiver that lets fragments overlap (RFC 5722 forbids it) could be fooled.",
	}
}

func (c cisco) write(w *writer, r *rules) {
	w.line("no ip access-list extended OP25B")
	w.line("ip access-list extended OP25B")
	c.entries(w, r, r.refused.four, r.relays.four, wildcard)
	w.line(" permit ip any any") //nolint:dupword // from any, to any
	w.line("no ipv6 access-list OP25B6")
	w.line("ipv6 access-list OP25B6")
	for _, source := range r.refused.six {
		w.line(" deny ipv6 %s any undetermined-transport", source)
	}
	c.entries(w, r, r.refused.six, r.relays.six, netip.Prefix.String)
	w.line(" permit ipv6 any any") //nolint:dupword // from any, to any
}

func (cisco) entries(w *writer, r *rules, refused, relays []netip.Prefix, text func(p netip.Prefix) string) {
	for _, relay := range relays {
		w.line(" permit tcp any %s", text(relay))
	}
	for _, source := range refused {
		w.line(" deny tcp %s any fragments", text(source))
	}
	for _, port := range r.Ports {
		if !r.Established {
			w.line(" permit tcp any any eq %d established", port) //nolint:dupword // from any, to any
		}
		for _, source := range refused {
			w.line(" deny tcp %s any eq %d", text(source), port)
		}
	}
}

// wildcard writes an IPv4 prefix with the mask of what may differ.
func wildcard(p netip.Prefix) string {
	switch p.Bits() {
	case 0:
		return "any"
	case p.Addr().BitLen():
		return "host " + p.Addr().String()
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], ^uint32(0)>>p.Bits())
	return fmt.Sprintf("%s %s", p.Addr(), netip.AddrFrom4(mask))
}
