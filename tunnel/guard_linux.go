// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
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

// applyGuard loads the guard in one transaction, in place of what is there, or
// removes it when the plan wants none. Where it can, it fills the chains and sets that
// are there anew: in an interval set that a transaction has made the kernel finds nothing
// for some microseconds after (Linux 6.18), and would let through what comes just then.
func (h *Host) applyGuard() error {
	if !h.plan.guarded() {
		return removeGuard()
	}
	sets := h.plan.guardSets()
	size := 1 << 20
	for _, s := range sets {
		size += s.size() * 64 // octets a message needs for one, with room
	}
	conn, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		// The kernel acknowledges each message, before the first answer can be read.
		return errors.Join(c.SetWriteBuffer(size), c.SetReadBuffer(size))
	}))
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	if h.guardSeen != 0 {
		h.shed.Add(shedNow()) // it begins to count anew
	}
	before, _ := generation() // zero: not known, and looked at again
	defer func() {
		// One more, and nobody else has changed anything meanwhile.
		if after, err := generation(); err == nil && after == before+1 {
			h.guardSeen = after
		}
	}()
	if found, err := findGuard(conn); err == nil && loadGuard(conn, &h.plan, sets, found) == nil {
		return nil
	}
	// There is none; or what another release has left under these names does not take
	// what is in ours.
	return loadGuard(conn, &h.plan, sets, nil)
}

func loadGuard(conn *nftables.Conn, plan *Plan, sets []guardSet, found *foundGuard) error {
	if err := buildGuard(conn, plan, sets, found); err != nil {
		return fmt.Errorf("build guard: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return &Hint{fmt.Errorf("load the kernel's guard of the blocked ports: %w", err),
			"the kernel needs nf_tables with nft_reject (modprobe nf_tables nft_reject_inet), " +
				"or set forwarding.on_exit: forward, which leaves the ports open while op25b is down"}
	}
	return nil
}

// foundGuard is what of a guard is in the kernel.
type foundGuard struct {
	chains []*nftables.Chain
	sets   []*nftables.Set
}

// findGuard fails when there is none.
func findGuard(conn *nftables.Conn) (*foundGuard, error) {
	sets, err := conn.GetSets(&nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet})
	if err != nil {
		return nil, fmt.Errorf("list the sets of the guard: %w", err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list the chains of the guard: %w", err)
	}
	chains = slices.DeleteFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name != guardTable })
	return &foundGuard{chains, sets}, nil
}

// empty has the transaction take out what is in the guard, and what the plan does not
// have.
func (f *foundGuard) empty(conn *nftables.Conn, table *nftables.Table, plan *Plan, sets []guardSet) {
	conn.FlushTable(table) // of its rules
	for _, c := range f.chains {
		if _, wanted := plan.guardChains()[c.Name]; !wanted {
			conn.DelChain(c)
		}
	}
	for _, s := range f.sets {
		switch i := slices.IndexFunc(sets, func(w guardSet) bool { return w.name == s.Name }); {
		case i < 0:
			conn.DelSet(s)
		case !sets[i].dynamic:
			conn.FlushSet(s)
		}
	}
}

// buildGuard has the transaction add the guard: to the one that was found, or else in
// place of whatever is there.
func buildGuard(conn *nftables.Conn, plan *Plan, sets []guardSet, found *foundGuard) error {
	table := &nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet}
	conn.AddTable(table)
	if found != nil {
		found.empty(conn, table, plan, sets)
	} else {
		// Adding first makes deleting succeed when there is no such table.
		conn.DelTable(table)
		conn.AddTable(table)
	}
	byName := map[string]*nftables.Set{}
	for i, s := range sets {
		set := &nftables.Set{
			Table: table, Name: s.name, ID: uint32(i + 1), //nolint:gosec // seven sets
			KeyType: s.key, Interval: s.interval(), Dynamic: s.dynamic,
		}
		if s.dynamic {
			set.HasTimeout, set.Timeout, set.Size = true, floodMemory, floodSources
		}
		if err := conn.AddSet(set, nil); err != nil {
			return fmt.Errorf("add set %s: %w", s.name, err)
		}
		for elements := range s.elements() {
			if err := conn.SetAddElements(set, elements); err != nil {
				return fmt.Errorf("fill set %s: %w", s.name, err)
			}
		}
		byName[s.name] = set
	}
	chain := func(name string) *nftables.Chain { return conn.AddChain(&nftables.Chain{Name: name, Table: table}) }
	guard4, guard6, subscriber := chain("guard4"), chain("guard6"), chain("subscriber")
	accept := nftables.ChainPolicyAccept
	forward := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(guardPriority), Policy: &accept,
	})
	add := func(c *nftables.Chain, words ...[]expr.Any) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: slices.Concat(words...)})
	}

	const (
		network   = expr.PayloadBaseNetworkHeader
		transport = expr.PayloadBaseTransportHeader
	)
	add(guard4, ipv4(), load(network, 16, 4), in(byName["relays4"]), verdict(expr.VerdictReturn))
	add(guard4, ipv4(), load(network, 9, 1), compare(expr.CmpOpNeq, unix.IPPROTO_TCP), verdict(expr.VerdictReturn))
	add(guard4, ipv4(), load(network, 6, 2), mask(0x1f, 0xff), compare(expr.CmpOpGte, 0, 10), verdict(expr.VerdictReturn))
	add(guard4, ipv4(), load(network, 6, 2), mask(0x1f, 0xff), compare(expr.CmpOpNeq, 0, 0), verdict(expr.VerdictDrop))

	add(guard6, ipv6(), load(network, 24, 16), in(byName["relays6"]), verdict(expr.VerdictReturn))
	add(guard6, ipv6(), fragmentOffset(), compare(expr.CmpOpGte, 0x02, 0x00), verdict(expr.VerdictReturn))
	add(guard6, ipv6(), fragmentOffset(), compare(expr.CmpOpNeq, 0, 0), verdict(expr.VerdictDrop))
	add(guard6, meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpNeq, unix.IPPROTO_TCP), verdict(expr.VerdictReturn))

	for _, c := range []*nftables.Chain{guard4, guard6} {
		// Loading the flags first ends the rule when they are not in the packet:
		// what cannot be read must not match here, and falls through to the drop.
		add(c, load(transport, 13, 1), compare(expr.CmpOpGte, 0),
			tcp(), load(transport, 2, 2), notIn(byName["ports"]), verdict(expr.VerdictReturn))
		add(c, tcp(), load(transport, 13, 1), mask(tcpSYN|tcpACK|tcpRST), compare(expr.CmpOpEq, tcpSYN),
			[]expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
		add(c, verdict(expr.VerdictDrop))
	}

	// Most packets end here. The flags can be read in first fragments that hold
	// them only, and no later one that is let pass writes over them.
	add(subscriber, tcp(), load(transport, 13, 1), mask(tcpSYN|tcpACK), compare(expr.CmpOpNeq, tcpSYN), verdict(expr.VerdictReturn))
	add(subscriber, meta(expr.MetaKeyOIFNAME), compare(expr.CmpOpEq, ifname(plan.SubscriberPort)...), verdict(expr.VerdictReturn))
	add(subscriber, ipv4(), load(network, 12, 4), in(byName["sources4"]), jump("guard4"))
	add(subscriber, ipv6(), load(network, 8, 16), in(byName["sources6"]), jump("guard6"))
	for _, iface := range plan.Subscribers {
		add(forward, meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(iface)...), jump("subscriber"))
	}
	if plan.Guard.Answers == 0 {
		return nil
	}
	chains := map[string]*nftables.Chain{
		floodJudge: chain(floodJudge),
		floodChain: conn.AddChain(&nftables.Chain{
			Name: floodChain, Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(floodPriority), Policy: &accept,
		}),
	}
	for _, r := range plan.floodRules(func(name string) *nftables.Set { return byName[name] }) {
		add(chains[r.chain], r.exprs)
	}
	return nil
}

const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// The words of the rules above. Each works on register 1.

func load(base expr.PayloadBase, offset, size uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size}}
}

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

// ipv4, ipv6 and tcp are what nft puts before a match of their fields, so that
// it reads the rules back as they stand in guardScript.
func ipv4() []expr.Any {
	return append(meta(expr.MetaKeyNFPROTO), compare(expr.CmpOpEq, unix.NFPROTO_IPV4)...)
}

func ipv6() []expr.Any {
	return append(meta(expr.MetaKeyNFPROTO), compare(expr.CmpOpEq, unix.NFPROTO_IPV6)...)
}

func tcp() []expr.Any {
	return append(meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, unix.IPPROTO_TCP)...)
}

// fragmentOffset loads the offset of an IPv6 fragment, in octets; the rule ends
// when there is no fragment header.
func fragmentOffset() []expr.Any {
	const fragmentHeader = 44
	header := &expr.Exthdr{DestRegister: 1, Type: fragmentHeader, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6}
	return append([]expr.Any{header}, mask(0xff, 0xf8)...)
}

func mask(m ...byte) []expr.Any {
	return []expr.Any{&expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: uint32(len(m)), //nolint:gosec // one or two
		Mask: m, Xor: make([]byte, len(m)),
	}}
}

func compare(op expr.CmpOp, data ...byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: op, Register: 1, Data: data}}
}

func in(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

func notIn(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true}}
}

func verdict(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// ifname pads an interface name the way the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func removeGuard() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	if !guardExists() {
		return nil
	}
	conn.DelTable(&nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove nft table inet %s: %w", guardTable, err)
	}
	return nil
}

// guardExists reports whether the guard's table is in the kernel. A kernel
// without nf_tables has none.
func guardExists() bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false
	}
	for _, t := range tables {
		if t.Name == guardTable {
			return true
		}
	}
	return false
}

// generation returns the number of changes to all of netfilter's rules so far.
func generation() (uint32, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("open netfilter: %w", err)
	}
	defer conn.Close()
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, // struct nfgenmsg
	})
	if err != nil {
		return 0, fmt.Errorf("ask for netfilter's generation: %w", err)
	}
	for _, answer := range answers {
		const header = 4 // struct nfgenmsg
		attrs, err := netlink.UnmarshalAttributes(answer.Data[min(header, len(answer.Data)):])
		if err != nil {
			return 0, fmt.Errorf("read netfilter's generation: %w", err)
		}
		for _, a := range attrs {
			if a.Type == unix.NFTA_GEN_ID && len(a.Data) == 4 { // octets
				return binary.BigEndian.Uint32(a.Data), nil
			}
		}
	}
	return 0, errors.New("netfilter does not tell its generation")
}

// guardChains returns how many rules each chain of the guard has.
func (p *Plan) guardChains() map[string]int {
	chains := map[string]int{"forward": len(p.Subscribers), "subscriber": 4, "guard4": 7, "guard6": 7}
	if p.Guard.Answers > 0 {
		chains[floodChain], chains[floodJudge] = len(p.Subscribers), 5
	}
	return chains
}

// guardPresent reports whether the guard is as it was loaded, by counting: someone
// may have flushed a chain or a set, or all of it.
func (h *Host) guardPresent() bool {
	if !guardExists() {
		return false
	}
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	table := &nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet}
	for chain, want := range h.plan.guardChains() {
		rules, err := conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
		if err != nil || len(rules) != want {
			return false
		}
	}
	for _, s := range h.plan.guardSets() {
		if !s.present(conn, table) {
			return false
		}
	}
	return true
}

const (
	// countable is how many elements of a set are counted. A list of them takes 1.7 KB for
	// each, and the kernel a time that grows with the square: two minutes for a million.
	countable = 2000
	// looks is for how many of a larger one it is asked.
	looks = 16
)

// present reports whether the kernel has the set's elements: all, or of a large set some
// from its first to its last, which tells whether it was flushed. What the kernel fills by
// itself may hold anything.
func (s *guardSet) present(conn *nftables.Conn, table *nftables.Table) bool {
	if n := len(s.ranges) - 1; s.size() > countable {
		for i := range looks {
			if !holds(s.name, s.ranges[n*i/(looks-1)].From()) {
				return false
			}
		}
		return true
	}
	set, err := conn.GetSetByName(table, s.name)
	if err != nil || s.dynamic {
		return err == nil
	}
	elements, err := conn.GetSetElements(set)
	return err == nil && len(elements) >= s.size()
}

// holds asks for one element of one of the guard's sets.
func holds(set string, element netip.Addr) bool {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false
	}
	defer conn.Close()
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.NFTA_SET_ELEM_LIST_TABLE, guardTable)
	attributes.String(unix.NFTA_SET_ELEM_LIST_SET, set)
	attributes.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list *netlink.AttributeEncoder) error {
		list.Nested(unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) error {
			e.Nested(unix.NFTA_SET_ELEM_KEY, func(key *netlink.AttributeEncoder) error {
				key.Bytes(unix.NFTA_DATA_VALUE, element.AsSlice())
				return nil
			})
			return nil
		})
		return nil
	})
	data, err := attributes.Encode()
	if err != nil {
		return false
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, data...), // behind struct nfgenmsg
	})
	return err == nil
}
