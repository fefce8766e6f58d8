// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"strings"
)

// nftables is a table of its own, which judges as the guard in the kernel does (see
// package tunnel), without state. An expression that cannot read what it asks for
// does not match (nft(8), "payload expression"), so each rule that lets something
// pass first reads what it needs, and what cannot be read falls through to the end,
// which refuses. Fragments follow the two conditions of package filter: a first one
// holds the flags, a later one begins behind any TCP header.
type nftables struct{}

func (nftables) comment(line string) string { return "# " + line }

func (nftables) usage() []string {
	return []string{
		"Load with: nft -f FILE (in place of an earlier one). Remove with: nft delete table inet op25b_export.",
		"It needs no connection tracking, and an accept here does not overrule a drop of yours.",
	}
}

func (nftables) cannot() []string {
	return []string{
		"TCP from refused sources behind an authentication header is dropped whatever its port, and so is TCP behind a mobility, HIP or Shim6 header.",
		"Checksums are verified by the kernel where it answers; data offsets are not looked at, so a segment with a wrong one is answered.",
		"An IPv6 first fragment with more than 512 octets of headers before its ports is judged by them; " +
			"a receiver that lets fragments overlap (RFC 5722 forbids it) could still see others.",
	}
}

// write fills what is there already anew: for some microseconds after a transaction the
// kernel finds nothing in interval sets that it has made (Linux 6.18), so that a table in
// place of another would let through what comes just then.
func (n nftables) write(w *writer, r *rules) {
	sets := []nftSet{{name: "ports", typ: "inet_service", elements: r.ports(", ")}}
	for _, s := range []struct {
		name string
		addresses
	}{{"refused", r.refused}, {"relays", r.relays}, {"reset", r.reset}, {"prohibited", r.prohibited}} {
		sets = append(sets,
			nftSet{s.name + "4", "ipv4_addr", true, list(s.four, ", ")},
			nftSet{s.name + "6", "ipv6_addr", true, list(s.six, ", ")})
	}
	w.line("table inet op25b_export {")
	for _, s := range sets {
		s.write(w, "")
	}
	w.line("}")
	w.line("flush table inet op25b_export")
	for _, s := range sets {
		w.line("flush set inet op25b_export %s", s.name)
	}
	w.line("table inet op25b_export {")
	for _, s := range sets {
		s.write(w, s.elements)
	}
	n.refuse(w, "4", "ip")
	n.refuse(w, "6", "ip6")
	n.judge(w, r)
	w.line("\tchain forward {")
	w.line("\t\ttype filter hook forward priority filter - 10; policy accept;")
	w.line("\t\tiifname { %s } jump subscriber", quoted(r.Subscribers, ", "))
	w.line("\t}")
	w.line("}")
}

type nftSet struct {
	name, typ string
	interval  bool
	elements  string
}

func (s *nftSet) write(w *writer, elements string) {
	w.line("\tset %s {\n\t\ttype %s", s.name, s.typ)
	if s.interval {
		w.line("\t\tflags interval")
	}
	if elements != "" {
		w.line("\t\telements = { %s }", elements)
	}
	w.line("\t}")
}

// refuse answers as the source's pool says. What is no whole segment gets no answer,
// and neither does a RST.
func (nftables) refuse(w *writer, family, header string) {
	w.line("\tchain refuse%s {", family)
	w.line("\t\ttcp flags & rst == 0 %s saddr @reset%s reject with tcp reset", header, family)
	w.line("\t\ttcp flags & rst == 0 %s saddr @prohibited%s reject with icmpx admin-prohibited", header, family)
	w.line("\t\tdrop")
	w.line("\t}")
}

func (nftables) judge(w *writer, r *rules) {
	// The next header comes first in each of them, and may hide TCP: itself, or
	// behind one more header.
	w.line("\tchain behind {")
	w.line("\t\t@th,0,8 != { 0, 6, 43, 44, 51, 60, 135, 139, 140 } return")
	w.line("\t\tdrop")
	w.line("\t}")
	segment := func(family string) {
		// Reading the flags first ends the rule where they are missing.
		w.line("\t\t@th,104,8 >= 0 tcp dport != @ports return")
		if !r.Established {
			w.line("\t\ttcp flags & (syn | ack) != syn return")
		}
		w.line("\t\tgoto refuse%s", family)
		w.line("\t}")
	}
	w.line("\tchain judge4 {")
	w.line("\t\tip daddr @relays4 return")
	w.line("\t\tip protocol != { tcp, ah } return")
	w.line("\t\tip frag-off & 0x1fff >= 10 return")
	w.line("\t\tip frag-off & 0x1fff != 0 drop")
	w.line("\t\tip protocol ah goto behind")
	segment("4")
	w.line("\tchain judge6 {")
	w.line("\t\texthdr rt missing ip6 daddr @relays6 return")
	w.line("\t\tfrag frag-off >= 64 return")
	w.line("\t\tfrag frag-off != 0 drop")
	w.line("\t\tmeta l4proto { ah, 135, 139, 140 } goto behind")
	w.line("\t\tmeta l4proto != tcp return")
	segment("6")
	w.line("\tchain subscriber {")
	w.line("\t\tip saddr @refused4 jump judge4")
	w.line("\t\tip6 saddr @refused6 jump judge6")
	w.line("\t}")
}

func quoted(names []string, separator string) string {
	texts := make([]string, 0, len(names))
	for _, name := range names {
		texts = append(texts, fmt.Sprintf("%q", name))
	}
	return strings.Join(texts, separator)
}
