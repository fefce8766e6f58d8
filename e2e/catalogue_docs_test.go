// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"op25b/lab"
)

var update = flag.Bool("update", false, "write what was measured into docs/evasion.md")

const (
	evasionDocs = "../docs/evasion.md"
	tableBegins = "<!-- catalogue begins: written by go test ./e2e -run TestCatalogueBesideNetfilter -update -->"
	tableEnds   = "<!-- catalogue ends -->"
)

// contestant is one way to refuse port 25 to the dynamic subscriber.
type contestant struct {
	name  string
	rules string // of nft; empty: none, or op25b's own
	op25b bool
}

// sets are the addresses that the rules of the contestants tell apart.
const sets = `
		set dynamic4 { type ipv4_addr; flags interval; elements = { 100.64.0.0/16, 100.66.0.0-100.127.255.255 } }
		set dynamic6 { type ipv6_addr; flags interval; elements = { 2001:db8:a::-2001:db8:a:fffe:ffff:ffff:ffff:ffff } }
`

func contestants() []contestant {
	const (
		chain    = "\n\t\tchain forward {\n\t\t\ttype filter hook forward priority filter; policy accept;\n"
		relays   = "\t\t\tip daddr 192.0.2.25 return\n\t\t\tip6 daddr 2001:db8:25::25 return\n"
		syn      = "tcp dport 25 tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset\n"
		stateful = "ct state new tcp dport 25 reject with tcp reset\n"
		four     = "\t\t\tiifname \"dyn0\" ip saddr @dynamic4 "
		six      = "\t\t\tiifname \"dyn0\" ip6 saddr @dynamic6 "
		end      = "\t\t}\n"
	)
	table := func(lines ...string) string {
		return "table inet contest {" + sets + chain + strings.Join(lines, "") + end + "}"
	}
	return []contestant{
		{"nothing", "", false},
		{"nft, stateless", table(relays, four, syn, six, syn), false},
		{"nft, conntrack", table("\t\t\tct state invalid drop\n", relays, four, stateful, six, stateful), false},
		{"op25b", "", true},
	}
}

// What became of an input, the worst first.
const (
	opens    = "opens"    // the listener answered with SYN|ACK
	passes   = "passes"   // at least one packet got to the listener's host
	answers  = "answered" // refused with a RST or an ICMP error
	silently = "silent"
)

func (x *sighted) outcome() string {
	switch {
	case x.opened > 0:
		return opens
	case len(x.arrivals) > 0:
		return passes
	case len(x.answers)+len(x.icmp) > 0:
		return answers
	default:
		return silently
	}
}

// TestCatalogueBesideNetfilter sends what a policy of the usual kind is about through
// nothing, nft without and with connection tracking, and op25b, and holds the table
// in docs/evasion.md against what op25b opened.
func TestCatalogueBesideNetfilter(t *testing.T) {
	t.Parallel()
	chosen := func(in *input) bool { return in.regime == usual && in.from != fromInternet }
	outcomes := map[string]map[int]string{}
	for _, c := range contestants() {
		// A network each: what one leaves half open would show in the next.
		p := newPolygon(t, lab.Options{})
		loadRules(t, p.Gateway, c.rules)
		if c.op25b {
			startGatewayWith(t, p.Network, p.GatewayConfig(usual.options(lab.ConfigOptions{})))
		}
		outcomes[c.name] = map[int]string{}
		for i, x := range p.run(t, chosen) {
			outcomes[c.name][i] = x.outcome()
		}
	}
	measured := report(theCatalogue(), outcomes)
	t.Log(measured)
	content, err := os.ReadFile(evasionDocs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(content), tableBegins)
	old, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", evasionDocs)
	}
	if *update {
		if err := os.WriteFile(evasionDocs, []byte(before+tableBegins+"\n"+measured+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// What nft does may change with the kernel; what op25b opens may not.
	if was, is := openedByUs(old), openedByUs(measured); was != is {
		t.Errorf("docs/evasion.md says op25b opens\n%sbut it opens\n%s", was, is)
	}
}

// openedByUs returns the lines of the report about what op25b opens.
func openedByUs(report string) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		name := strings.TrimSpace(cells[1])
		if name == "op25b" {
			fmt.Fprintln(&b, "total:", strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]))
		} else if len(cells) > 6 && strings.TrimSpace(cells[5]) == opens {
			fmt.Fprintln(&b, name, strings.TrimSpace(cells[6]))
		}
	}
	return b.String()
}

// group is inputs of one subject that fared alike.
type group struct{ subject, stateless, tracked, ours string }

// report is the measured part of docs/evasion.md.
func report(inputs []input, outcomes map[string]map[int]string) string {
	var b strings.Builder
	total := len(outcomes["op25b"])
	fmt.Fprintf(&b, "\nOf %d inputs:\n\n| | open, though refused | open, as allowed | pass | answered | silent |\n|---|---:|---:|---:|---:|---:|\n", total)
	for _, c := range contestants() {
		n := map[string]int{}
		allowed := 0
		for i, o := range outcomes[c.name] {
			if o == opens && inputs[i].opens {
				allowed++
				continue
			}
			n[o]++
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", c.name, n[opens], allowed, n[passes], n[answers], n[silently])
	}
	groups := map[group][]string{}
	for i, ours := range outcomes["op25b"] {
		g := group{inputs[i].subject, outcomes["nft, stateless"][i], outcomes["nft, conntrack"][i], ours}
		if g.stateless != ours || g.tracked != ours {
			_, name, _ := strings.Cut(inputs[i].name, ": ")
			groups[g] = append(groups[g], name)
		}
	}
	fmt.Fprint(&b, "\nWhere they differ:\n\n| inputs | of them | nft, stateless | nft, conntrack | op25b | such as | why |\n|---|---:|---|---|---|---|---|\n")
	for _, g := range slices.SortedFunc(maps.Keys(groups), compareGroups) {
		names := groups[g]
		count := len(names)
		slices.Sort(names)
		names = slices.Compact(names)
		const few = 3
		such := strings.Join(names[:min(few, len(names))], "; ")
		if len(names) > few {
			such += "; ..."
		}
		such = strings.ReplaceAll(such, "|", "\\|")
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s |\n", g.subject, count, g.stateless, g.tracked, g.ours, such, g.why())
	}
	return b.String() + "\n"
}

func compareGroups(a, b group) int {
	rank := func(o string) int { return slices.Index([]string{opens, passes, answers, silently}, o) }
	return cmp.Or(
		cmp.Compare(min(rank(a.stateless), rank(a.tracked)), min(rank(b.stateless), rank(b.tracked))),
		cmp.Compare(a.subject, b.subject), cmp.Compare(a.stateless, b.stateless),
		cmp.Compare(a.tracked, b.tracked), cmp.Compare(a.ours, b.ours),
	)
}

// why says what makes the difference.
func (g group) why() string {
	switch g.subject {
	case subjectFragments:
		switch {
		case g.stateless == opens:
			return "nft cannot read ports or flags that are not in the packet; a rule that reads them does not match, and accepts"
		case g.tracked == answers && g.ours == silently:
			return "conntrack reassembles and answers; op25b cannot verify the checksum of a part, and says nothing"
		case g.ours == silently:
			return "pieces that nft lets go; op25b drops whatever may be part of a header, see the argument above"
		default:
			return "conntrack holds or drops what it cannot reassemble"
		}
	case subjectNotSYN:
		if g.tracked == answers {
			return "after its table was emptied conntrack takes any ACK for a new connection, and resets it; op25b keeps open sessions"
		}
		return "conntrack calls it invalid; op25b keeps open sessions, and it opens nothing"
	case subjectSYN:
		if g.stateless == opens || g.stateless == passes {
			return "the mask fin,syn,rst,ack is not the set of flags that begin a connection: hosts that know T/TCP take SYN+FIN"
		}
		return "a SYN with RST is no segment of anything; a RST is never answered"
	case subjectSource:
		return "not in the set of dynamic addresses, so nft has no rule for it; op25b validates sources"
	case subjectChain, subjectAH:
		if g.stateless == passes || g.stateless == opens {
			return "nft stops at such a header or cannot read behind it, and accepts"
		}
		return "op25b does not follow such a chain, or conntrack does not"
	case subjectOptions4:
		return "the kernel writes into the option before nft looks, finds the checksum wrong and does not answer"
	case subjectSegment:
		if g.stateless == passes {
			return group{subject: subjectSYN, stateless: passes}.why()
		}
		return "nft answers without a look at the data offset; op25b drops what is no segment"
	case subjectLength, subjectHeader4, subjectHeader6:
		return "a header that is not whole cannot be matched, so nft accepts; op25b drops what it cannot read"
	case subjectChecksum:
		return "conntrack verifies checksums; op25b does where it would answer"
	case subjectAllowed:
		if g.ours == passes {
			return "conntrack verifies checksums; a static subscriber's packets are nobody's business"
		}
		return "op25b validates sources"
	case subjectDestination:
		return "op25b drops destinations that no router forwards"
	default:
		return "conntrack drops what it finds invalid"
	}
}
