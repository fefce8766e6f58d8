// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// untracker keeps connection tracking away from the first of the two times that
// the kernel sees each packet.
//
// A packet passes the kernel's hooks on its way into the TUN and again on its
// way out. Tracked the first time, its flow is confirmed with no translation,
// and a masquerading rule for the real upstream is not asked any more. So what
// goes into the TUN from subscribers, and what comes out of it towards them,
// is not tracked.
//
// The rules must be gone the moment the gateway is: they would then keep the
// operator's own masquerading from working. Hence a table with an owner
// (NFT_TABLE_F_OWNER, Linux 5.12): the kernel removes it when the socket that
// made it closes, whatever ends the process. The library that builds the guard
// has no such flag, so the few messages are made here.
type untracker struct{ conn *netlink.Conn }

const (
	untrackTableOwner = 2 // NFT_TABLE_F_OWNER (linux/netfilter/nf_tables.h)

	// rawPriority is NF_IP_PRI_RAW, -300 in two's complement: before connection
	// tracking, which is at -200.
	rawPriority = 1<<32 - 300
)

// untrackTable has the process id in its name, so that a successor can put its
// own in place before this one goes.
func untrackTable() string { return fmt.Sprintf("op25b_untrack_%d", os.Getpid()) }

// untrackScript returns the rules as nft reads them, for people.
func (p *Plan) untrackScript() string {
	var b strings.Builder
	b.WriteString("table inet op25b_untrack {\n\tchain prerouting {\n")
	fmt.Fprintf(&b, "\t\ttype filter hook prerouting priority raw; policy accept;\n")
	for _, iface := range p.Subscribers {
		if len(p.Capture) == 0 {
			fmt.Fprintf(&b, "\t\tiifname %q fib daddr type != local notrack\n", iface)
		}
		for _, port := range p.Capture {
			fmt.Fprintf(&b, "\t\tiifname %q fib daddr type != local tcp dport %d notrack\n", iface, port)
		}
	}
	fmt.Fprintf(&b, "\t\tiifname %q notrack\n\t}\n}\n", p.SubscriberPort)
	return b.String()
}

// newUntracker puts the rules in force.
func newUntracker(plan *Plan) (*untracker, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netfilter: %w", err)
	}
	u := &untracker{conn}
	if err := u.load(plan); err != nil {
		return nil, errors.Join(fmt.Errorf("load untracking rules: %w", err), conn.Close())
	}
	return u, nil
}

// Close takes the rules back.
func (u *untracker) Close() error { return u.conn.Close() }

func (u *untracker) load(plan *Plan) error {
	table := attr(unix.NFTA_TABLE_NAME, cstring(untrackTable()))
	chain := attr(unix.NFTA_CHAIN_TABLE, cstring(untrackTable()))
	b := &batch{}
	b.add(unix.NFT_MSG_NEWTABLE, table, attr(unix.NFTA_TABLE_FLAGS, be32(untrackTableOwner)))
	b.add(unix.NFT_MSG_NEWCHAIN, chain,
		attr(unix.NFTA_CHAIN_NAME, cstring("prerouting")),
		attr(unix.NFTA_CHAIN_TYPE, cstring("filter")),
		nested(unix.NFTA_CHAIN_HOOK,
			attr(unix.NFTA_HOOK_HOOKNUM, be32(unix.NF_INET_PRE_ROUTING)),
			attr(unix.NFTA_HOOK_PRIORITY, be32(rawPriority))))
	for _, rule := range plan.untrackRules() {
		var list []netlink.Attribute
		for _, e := range rule {
			data, err := expr.Marshal(unix.NFPROTO_INET, e)
			if err != nil {
				return fmt.Errorf("encode rule: %w", err)
			}
			list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
		}
		b.add(unix.NFT_MSG_NEWRULE,
			attr(unix.NFTA_RULE_TABLE, cstring(untrackTable())),
			attr(unix.NFTA_RULE_CHAIN, cstring("prerouting")),
			nested(unix.NFTA_RULE_EXPRESSIONS, list...))
	}
	return b.send(u.conn)
}

func (p *Plan) untrackRules() [][]expr.Any {
	var rules [][]expr.Any
	rule := func(parts ...[]expr.Any) {
		var r []expr.Any
		for _, part := range parts {
			r = append(r, part...)
		}
		rules = append(rules, append(r, &expr.Notrack{}))
	}
	notLocal := append([]expr.Any{&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}},
		compare(expr.CmpOpNeq, native(unix.RTN_LOCAL)...)...)
	for _, iface := range p.Subscribers {
		from := append(meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(iface)...)...)
		if len(p.Capture) == 0 {
			rule(from, notLocal)
		}
		for _, port := range p.Capture {
			rule(from, notLocal, meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, unix.IPPROTO_TCP),
				load(expr.PayloadBaseTransportHeader, 2, 2), compare(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, port)...))
		}
	}
	rule(meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(p.SubscriberPort)...))
	return rules
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
