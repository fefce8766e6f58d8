// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

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
