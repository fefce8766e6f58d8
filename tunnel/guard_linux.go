// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"github.com/google/nftables"
	"go4.org/netipx"
)

// Guard is the kernel's own refusal of the blocked ports, for subscribers'
// packets that do not go through the gateway: all of them while it is down, the
// rest of the traffic with a limited capture. It is stateless like package
// filter, and fragments cannot evade it either, for the reason given there.
type Guard struct {
	// Ports that are refused.
	Ports []uint16
	// Sources that are refused them: sorted ranges of which no two touch.
	Sources []netipx.IPRange
	// Relays that stay reachable, as well.
	Relays []netipx.IPRange
	// Answers is how many SYNs to Ports a second, of each family, get further than
	// netfilter once those who sent them have tried often. 0: all do.
	Answers int
}

// guardTable is the netfilter table, family inet.
const guardTable = "op25b"

// guardPriority is just before the operator's own filter rules, so that a
// refusal does not depend on them.
const guardPriority = -10

// guarded reports whether the plan wants the guard in the kernel.
func (p *Plan) guarded() bool { return p.OnExit == OnExitRejectSMTP || len(p.Capture) > 0 }

// guardScript returns the guard as nft reads it, for people. A test holds it
// against what applyGuard loads.
func (p *Plan) guardScript() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table inet %s {", guardTable)
	for _, s := range p.guardSets() {
		line("\tset %s {", s.name)
		line("\t\ttype %s", s.typ)
		switch {
		case s.dynamic:
			line("\t\tsize %d", floodSources)
			line("\t\tflags dynamic,timeout")
			line("\t\ttimeout %s", "1m")
		case s.interval():
			line("\t\tflags interval")
		}
		if text := s.text(); len(text) > 0 {
			line("\t\telements = { %s }", strings.Join(text, ", "))
		}
		line("\t}")
	}
	line("\tchain guard4 {")
	line("\t\tip daddr @relays4 return")
	line("\t\tip protocol != tcp return")
	line("\t\tip frag-off & 0x1fff >= 10 return")
	line("\t\tip frag-off & 0x1fff != 0 drop")
	line("\t\t@th,104,8 >= 0 tcp dport != @ports return")
	line("\t\ttcp flags & (syn | rst | ack) == syn reject with tcp reset")
	line("\t\tdrop")
	line("\t}")
	line("\tchain guard6 {")
	line("\t\tip6 daddr @relays6 return")
	line("\t\tfrag frag-off >= 64 return")
	line("\t\tfrag frag-off != 0 drop")
	line("\t\tmeta l4proto != tcp return")
	line("\t\t@th,104,8 >= 0 tcp dport != @ports return")
	line("\t\ttcp flags & (syn | rst | ack) == syn reject with tcp reset")
	line("\t\tdrop")
	line("\t}")
	line("\tchain subscriber {")
	line("\t\ttcp flags & (syn | ack) != syn return")
	line("\t\toifname %q return", p.SubscriberPort)
	line("\t\tip saddr @sources4 jump guard4")
	line("\t\tip6 saddr @sources6 jump guard6")
	line("\t}")
	line("\tchain forward {")
	line("\t\ttype filter hook forward priority %d; policy accept;", guardPriority)
	for _, s := range p.Subscribers {
		line("\t\tiifname %q jump subscriber", s)
	}
	line("\t}")
	if p.Guard.Answers > 0 {
		rules := p.floodRules(func(name string) *nftables.Set { return &nftables.Set{Name: name} })
		for _, chain := range []string{floodJudge, floodChain} {
			line("\tchain %s {", chain)
			if chain == floodChain {
				line("\t\ttype filter hook prerouting priority %d; policy accept;", floodPriority)
			}
			for _, r := range rules {
				if r.chain == chain {
					line("\t\t%s", r.text)
				}
			}
			line("\t}")
		}
	}
	line("}")
	return b.String()
}

// guardSet is one set of the guard: ports, ranges of one family, or what the kernel
// fills by itself.
type guardSet struct {
	name    string
	typ     string
	key     nftables.SetDatatype
	ports   []uint16
	ranges  []netipx.IPRange
	dynamic bool
}

func (s *guardSet) interval() bool { return s.name != "ports" && !s.dynamic }

func (p *Plan) guardSets() []guardSet {
	sets := []guardSet{{name: "ports", typ: "inet_service", key: nftables.TypeInetService, ports: p.Guard.Ports}}
	for _, s := range []struct {
		name   string
		ranges []netipx.IPRange
	}{{"sources", p.Guard.Sources}, {"relays", p.Guard.Relays}} {
		four := 0
		for four < len(s.ranges) && s.ranges[four].From().Is4() {
			four++
		}
		sets = append(sets,
			guardSet{name: s.name + "4", typ: "ipv4_addr", key: nftables.TypeIPAddr, ranges: s.ranges[:four]},
			guardSet{name: s.name + "6", typ: "ipv6_addr", key: nftables.TypeIP6Addr, ranges: s.ranges[four:]})
	}
	if p.Guard.Answers > 0 {
		sets = append(sets, floodSets()...)
	}
	return sets
}

// elements yields the set's elements, a message's worth at a time, in memory that is
// used again: there may be millions. An interval is its first address, and the one
// behind its last, which the last address of all does not have.
func (s *guardSet) elements() iter.Seq[[]nftables.SetElement] {
	const some = 500 // an attribute holds 64 KiB, about a thousand elements
	return func(yield func([]nftables.SetElement) bool) {
		var chunk []nftables.SetElement
		for _, port := range s.ports {
			chunk = append(chunk, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, port)})
		}
		for _, r := range s.ranges {
			chunk = append(chunk, nftables.SetElement{Key: r.From().AsSlice()})
			if end := r.To().Next(); end.IsValid() {
				chunk = append(chunk, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
			}
			if len(chunk) >= some {
				if !yield(chunk) {
					return
				}
				chunk = chunk[:0]
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// size is how many elements there are. The ranges are sorted, so that only the last
// one can end with the last address of all.
func (s *guardSet) size() int {
	n := len(s.ports) + 2*len(s.ranges)
	if last := len(s.ranges) - 1; last >= 0 && !s.ranges[last].To().Next().IsValid() {
		n--
	}
	return n
}

// text returns the elements as nft writes them.
func (s *guardSet) text() []string {
	var all []string
	for _, port := range s.ports {
		all = append(all, fmt.Sprint(port))
	}
	for _, r := range s.ranges {
		text := r.From().String() + "-" + r.To().String()
		if prefix, ok := r.Prefix(); ok {
			text = prefix.String()
			if prefix.IsSingleIP() {
				text = prefix.Addr().String()
			}
		}
		all = append(all, text)
	}
	return all
}
