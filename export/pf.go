// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"strings"
)

// pf is an anchor of OpenBSD's packet filter (pf.conf(5)). It only blocks: a "pass
// quick" would end the operator's own rules as well, so relays are excepted by the
// negation of their table. Reassembly, which is on unless somebody switched it off
// ("set reassemble"), shows the rules whole packets only, so that fragments cannot
// hide ports or flags. In "flags S/SA" only SYN and ACK are looked at.
type pf struct{}

func (pf) comment(line string) string { return "# " + line }

func (pf) usage() []string {
	return []string{
		"Put into pf.conf, before your pass rules: anchor \"op25b\".",
		"Load with: pfctl -a op25b -f FILE. Remove with: pfctl -a op25b -F all.",
		"Fragments are kept from evading it by reassembly: pf.conf must not say \"set reassemble no\" " +
			"(FreeBSD: it must say \"scrub in all fragment reassemble\").",
		"The interfaces are named as in the file: put in this machine's names.",
	}
}

func (pf) cannot() []string {
	return []string{
		"Not tried on a machine: written from pf.conf(5).",
		"Connections that have a state bypass the rules: with policy.established reset, kill them once (pfctl -k).",
		"Fragments are held until they are whole, which costs memory per flow; op25b judges each by itself.",
	}
}

func (pf) write(w *writer, r *rules) {
	tables := []struct {
		name, action string
		addresses
	}{
		{"op25b_relays", "", r.relays},
		{"op25b_reset", "block return-rst", r.reset},
		{"op25b_prohibited", "block return-icmp(filter-prohib, admin-unr)", r.prohibited},
		{"op25b_drop", "block drop", r.drop},
	}
	destination, flags := "! <op25b_relays>", " flags S/SA"
	if len(r.relays.both()) == 0 {
		destination = "any"
	}
	if r.Established {
		flags = ""
	}
	var blocks []string
	for _, t := range tables {
		prefixes := t.both()
		if len(prefixes) == 0 {
			continue
		}
		w.line("table <%s> const { \\\n    %s \\\n}", t.name, list(prefixes, ", \\\n    "))
		if t.action != "" {
			blocks = append(blocks, fmt.Sprintf("%s in quick on { %s } proto tcp from <%s> to %s port { %s }%s",
				t.action, strings.Join(r.Subscribers, ", "), t.name, destination, r.ports(", "), flags))
		}
	}
	for _, block := range blocks {
		w.line("%s", block)
	}
}
