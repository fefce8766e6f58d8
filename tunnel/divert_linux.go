// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// diverter is what netfilter does with packets on their way into the TUN: it
// marks them and keeps connection tracking away from them.
//
// A packet passes the kernel's hooks on its way into the TUN and again on its
// way out. Tracked the first time, its flow is confirmed with no translation,
// and a masquerading rule for the real upstream is not asked any more. So what
// goes into the TUN from subscribers, and what comes out of it towards them,
// is not tracked.
//
// What is to enter the TUN gets a mark, which the routing rules match: with a
// limited capture, TCP to the blocked ports and whatever else could carry a
// connection to one: fragments, headers cut short, chains that hide TCP. What
// comes from the upstream gets it once a translation is undone, so that it is
// asked where the packet really goes.
//
// The rules must be gone the moment the gateway is: they would then keep the
// operator's own masquerading from working. Hence a table with an owner
// (NFT_TABLE_F_OWNER, Linux 5.12): the kernel removes it when the socket that
// made it closes, whatever ends the process. The library that builds the guard
// has no such flag, so the few messages are made here.
type diverter struct{ conn *netlink.Conn }

const (
	tableOwner = 2 // NFT_TABLE_F_OWNER (linux/netfilter/nf_tables.h)

	// rawPriority is NF_IP_PRI_RAW, -300 in two's complement: before connection
	// tracking, which is at -200.
	rawPriority = 1<<32 - 300
	// inboundPriority is right behind NF_IP_PRI_NAT_DST, -100.
	inboundPriority = 1<<32 - 90

	fromSubscribers = "prerouting"
	fromUpstream    = "prerouting_inbound"

	// mark and markMask are the bits of a packet's mark that are ours. The mark
	// stays inside the kernel: it ends where the packet enters the TUN.
	mark     = 0x25000000
	markMask = 0xff000000
)

// divertTable has the process id in its name, so that a successor can put its
// own in place before this one goes.
func divertTable() string { return fmt.Sprintf("op25b_divert_%d", os.Getpid()) }

// nftRule is one rule, as nft writes it and as the kernel reads it.
type nftRule struct {
	chain string
	text  string
	exprs []expr.Any
}

// divertRules returns the chains, those that are jumped to first, and the rules.
func (p *Plan) divertRules() (chains []string, rules []nftRule) {
	add := func(chain, text string, words ...[]expr.Any) {
		rules = append(rules, nftRule{chain, text, slices.Concat(words...)})
	}
	if len(p.Capture) > 0 {
		chains = append(chains, "divert", "outbound4", "outbound6")
		// Where it goes is asked last, and of little: that takes a look at the
		// routing table.
		add("divert", "fib daddr type local return", isLocal(), verdict(expr.VerdictReturn))
		add("divert", fmt.Sprintf("meta mark set meta mark & %#08x ^ %#08x notrack", ^uint32(markMask), mark), setMark(), notrack())
		addOwn(add, "outbound", "divert", p.Addresses)
		addCapture(add, "outbound", "divert", p.Capture, "dport", 2)
	}
	for _, iface := range p.Subscribers {
		p.divertFrom(add, fromSubscribers, iface, "outbound")
	}
	add(fromSubscribers, fmt.Sprintf("iifname %q notrack", p.SubscriberPort),
		meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(p.SubscriberPort)...), notrack())
	chains = append(chains, fromSubscribers)
	if !p.ReturnPath {
		return chains, rules
	}
	if len(p.Capture) > 0 {
		chains = append(chains, "divert_inbound", "inbound4", "inbound6")
		// Tracked on this pass, as with capture: all: it is the only one on
		// which a stateful firewall can tell an answer from an intrusion.
		add("divert_inbound", "fib daddr type local return", isLocal(), verdict(expr.VerdictReturn))
		add("divert_inbound", fmt.Sprintf("meta mark set meta mark & %#08x ^ %#08x", ^uint32(markMask), mark), setMark())
		addCapture(add, "inbound", "divert_inbound", p.Capture, "sport", 0)
	}
	p.divertFrom(add, fromUpstream, p.Upstream, "inbound")
	return append(chains, fromUpstream), rules
}

// baseChain returns where a chain is hooked in, as text and as the kernel reads
// it; text is empty for one that is jumped to.
func baseChain(chain string) (text string, priority uint32) {
	switch chain {
	case fromSubscribers:
		return "raw", rawPriority
	case fromUpstream:
		return "dstnat + 10", inboundPriority
	default:
		return "", 0
	}
}

type addRule func(chain, text string, words ...[]expr.Any)

// divertFrom sends everything that comes in by iface and is to be forwarded, or
// only what could be mail.
func (p *Plan) divertFrom(add addRule, base, iface, chain string) {
	from := fmt.Sprintf("iifname %q", iface)
	words := slices.Concat(meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(iface)...))
	if len(p.Capture) == 0 {
		text := fmt.Sprintf("%s fib daddr type != local meta mark set meta mark & %#08x ^ %#08x", from, ^uint32(markMask), mark)
		if base == fromUpstream {
			add(base, text, words, notLocal(), setMark())
			return
		}
		add(base, text+" notrack", words, notLocal(), setMark(), notrack())
		return
	}
	add(base, from+" meta nfproto ipv4 jump "+chain+"4", words, ipv4(), jump(chain+"4"))
	add(base, from+" meta nfproto ipv6 jump "+chain+"6", words, ipv6(), jump(chain+"6"))
}

// addOwn diverts what is for the gateway itself.
func addOwn(add addRule, direction, target string, addresses []netip.Addr) {
	const destination4, destination6 = 16, 24
	for _, a := range addresses {
		chain, text, at := direction+"6", "ip6 daddr ", uint32(destination6)
		if a.Is4() {
			chain, text, at = direction+"4", "ip daddr ", destination4
		}
		octets := a.AsSlice()
		add(chain, text+a.String()+" goto "+target,
			load(expr.PayloadBaseNetworkHeader, at, uint32(len(octets))), compare(expr.CmpOpEq, octets...), goTo(target)) //nolint:gosec // 4 or 16
	}
}

// addCapture fills the chains that tell mail, and what could hide it, from the
// rest. Like the guard it ends each rule that cannot read its field, and what
// no rule has let go is diverted.
func addCapture(add addRule, direction, target string, ports []uint16, port string, offset uint32) {
	const (
		network   = expr.PayloadBaseNetworkHeader
		transport = expr.PayloadBaseTransportHeader
	)
	four, six := direction+"4", direction+"6"
	add(four, "ip protocol ah goto "+target, ipv4(), load(network, 9, 1), compare(expr.CmpOpEq, unix.IPPROTO_AH), goTo(target))
	add(four, "ip protocol != tcp return", ipv4(), load(network, 9, 1), compare(expr.CmpOpNeq, unix.IPPROTO_TCP), verdict(expr.VerdictReturn))
	add(four, "ip frag-off & 0x3fff != 0 goto "+target, ipv4(), load(network, 6, 2), mask(0x3f, 0xff), compare(expr.CmpOpNeq, 0, 0), goTo(target))
	add(six, "exthdr frag exists goto "+target, ipv6(), fragmentExists(), goTo(target))
	for _, hidden := range []struct {
		name  string
		proto byte
	}{{"ah", unix.IPPROTO_AH}, {"135", 135}, {"139", 139}, {"140", 140}} {
		add(six, "meta l4proto "+hidden.name+" goto "+target, meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, hidden.proto), goTo(target))
	}
	add(six, "meta l4proto != tcp return", meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpNeq, unix.IPPROTO_TCP), verdict(expr.VerdictReturn))
	for _, chain := range []string{four, six} {
		for _, n := range ports {
			add(chain, fmt.Sprintf("tcp %s %d goto %s", port, n, target),
				tcp(), load(transport, offset, 2), compare(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, n)...), goTo(target))
		}
		add(chain, "@th,104,8 >= 0 return", load(transport, 13, 1), compare(expr.CmpOpGte, 0), verdict(expr.VerdictReturn))
		add(chain, "goto "+target, goTo(target))
	}
}

// The words of these rules, beside those of the guard.

func notrack() []expr.Any { return []expr.Any{&expr.Notrack{}} }

func goTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func isLocal() []expr.Any  { return destinationType(expr.CmpOpEq) }
func notLocal() []expr.Any { return destinationType(expr.CmpOpNeq) }

func destinationType(op expr.CmpOp) []expr.Any {
	fib := &expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}
	return append([]expr.Any{fib}, compare(op, native(unix.RTN_LOCAL)...)...)
}

func fragmentExists() []expr.Any {
	const fragmentHeader, present = 44, 1 // NFT_EXTHDR_F_PRESENT
	header := &expr.Exthdr{DestRegister: 1, Type: fragmentHeader, Len: 1, Flags: present, Op: expr.ExthdrOpIpv6}
	return append([]expr.Any{header}, compare(expr.CmpOpEq, 1)...)
}

func setMark() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(^uint32(markMask)), Xor: native(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}

// native writes v the way netfilter keeps integers in registers.
func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// divertScript returns the rules as nft reads them, for people.
func (p *Plan) divertScript() string {
	chains, rules := p.divertRules()
	var b strings.Builder
	b.WriteString("table inet op25b_divert {\n")
	for _, chain := range chains {
		fmt.Fprintf(&b, "\tchain %s {\n", chain)
		if priority, _ := baseChain(chain); priority != "" {
			fmt.Fprintf(&b, "\t\ttype filter hook prerouting priority %s; policy accept;\n", priority)
		}
		for _, r := range rules {
			if r.chain == chain {
				fmt.Fprintf(&b, "\t\t%s\n", r.text)
			}
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// newDiverter puts the rules in force.
func newDiverter(plan *Plan) (*diverter, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netfilter: %w", err)
	}
	d := &diverter{conn}
	if err := d.load(plan); err != nil {
		return nil, errors.Join(fmt.Errorf("load the rules that divert packets: %w", err), conn.Close())
	}
	return d, nil
}

// Close takes the rules back.
func (d *diverter) Close() error { return d.conn.Close() }

func (d *diverter) load(plan *Plan) error {
	chains, rules := plan.divertRules()
	b := &batch{}
	b.add(unix.NFT_MSG_NEWTABLE, attr(unix.NFTA_TABLE_NAME, cstring(divertTable())), attr(unix.NFTA_TABLE_FLAGS, be32(tableOwner)))
	for _, chain := range chains {
		attrs := []netlink.Attribute{attr(unix.NFTA_CHAIN_TABLE, cstring(divertTable())), attr(unix.NFTA_CHAIN_NAME, cstring(chain))}
		if text, priority := baseChain(chain); text != "" {
			attrs = append(attrs, attr(unix.NFTA_CHAIN_TYPE, cstring("filter")),
				nested(unix.NFTA_CHAIN_HOOK,
					attr(unix.NFTA_HOOK_HOOKNUM, be32(unix.NF_INET_PRE_ROUTING)),
					attr(unix.NFTA_HOOK_PRIORITY, be32(priority))))
		}
		b.add(unix.NFT_MSG_NEWCHAIN, attrs...)
	}
	for _, r := range rules {
		var list []netlink.Attribute
		for _, e := range r.exprs {
			data, err := expr.Marshal(unix.NFPROTO_INET, e)
			if err != nil {
				return fmt.Errorf("encode %q: %w", r.text, err)
			}
			list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
		}
		b.add(unix.NFT_MSG_NEWRULE,
			attr(unix.NFTA_RULE_TABLE, cstring(divertTable())),
			attr(unix.NFTA_RULE_CHAIN, cstring(r.chain)),
			nested(unix.NFTA_RULE_EXPRESSIONS, list...))
	}
	return b.send(d.conn)
}

// batch is one nf_tables transaction.
type batch struct{ msgs []netlink.Message }

func (b *batch) add(kind int, attrs ...netlink.Attribute) {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		panic(err) // only attributes of more than 64 KiB fail, and these are a few octets
	}
	header := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0} // struct nfgenmsg
	b.msgs = append(b.msgs, netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), //nolint:gosec // a message type
			Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Append,
		},
		Data: append(header, data...),
	})
}

// send commits the transaction and reads the kernel's answer to each message.
func (b *batch) send(conn *netlink.Conn) error {
	edge := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	msgs := append([]netlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}, b.msgs...)
	msgs = append(msgs, edge(unix.NFNL_MSG_BATCH_END))
	if _, err := conn.SendMessages(msgs); err != nil {
		return fmt.Errorf("send transaction: %w", err)
	}
	for range b.msgs {
		if _, err := conn.Receive(); err != nil {
			return err
		}
	}
	return nil
}

func attr(kind uint16, data []byte) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: data}
}

func nested(kind uint16, attrs ...netlink.Attribute) netlink.Attribute {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		panic(err) // see add
	}
	return netlink.Attribute{Type: unix.NLA_F_NESTED | kind, Data: data}
}

func cstring(s string) []byte { return append([]byte(s), 0) }

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
