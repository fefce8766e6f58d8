// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// To take a packet in through the TUN and answer it costs some thirty times what
// netfilter needs to drop it. So the guard also drops what comes of a flood above a
// rate, before it is routed into the TUN: SYNs to a blocked port, from sources that
// are refused there anyway, but never the first attempts of anybody. Without a place
// for one more source in the set of those who try often, nothing is dropped.
const (
	floodChain = "flood"
	floodJudge = "flood_syn"

	// floodPriority is before anything else looks at the packet, connection tracking
	// and what diverts it into the TUN included.
	floodPriority = -310

	// floodFree attempts a source may make at once, and one more each second, that do
	// not count: a mail program tries all addresses of all servers, more than once.
	floodFree = 16

	// floodSources are told apart at once, for as long as floodMemory.
	floodSources = 65535
	floodMemory  = time.Minute

	// floodBits6 is the IPv6 prefix that stands for one subscriber, as in package stack.
	floodBits6 = 56
)

// floodSets hold who tries often, with the rate of each. They fill up by themselves.
func floodSets() []guardSet {
	return []guardSet{
		{name: "often4", typ: "ipv4_addr", key: nftables.TypeIPAddr, dynamic: true},
		{name: "often6", typ: "ipv6_addr", key: nftables.TypeIP6Addr, dynamic: true},
	}
}

// floodRules returns the rules of both chains; set finds a set by its name.
func (p *Plan) floodRules(set func(name string) *nftables.Set) []nftRule {
	const (
		network   = expr.PayloadBaseNetworkHeader
		transport = expr.PayloadBaseTransportHeader
	)
	var rules []nftRule
	add := func(chain, text string, words ...[]expr.Any) {
		rules = append(rules, nftRule{chain, text, slices.Concat(words...)})
	}
	for _, s := range p.Subscribers {
		add(floodChain, fmt.Sprintf("iifname %q tcp flags & (syn | rst | ack) == syn jump %s", s, floodJudge),
			meta(expr.MetaKeyIIFNAME), compare(expr.CmpOpEq, ifname(s)...),
			tcp(), load(transport, 13, 1), mask(tcpSYN|tcpACK|tcpRST), compare(expr.CmpOpEq, tcpSYN), jump(floodJudge))
	}
	add(floodJudge, "tcp dport != @ports return", tcp(), load(transport, 2, 2), notIn(set("ports")), verdict(expr.VerdictReturn))
	add(floodJudge, "ip daddr @relays4 return", ipv4(), load(network, 16, 4), in(set("relays4")), verdict(expr.VerdictReturn))
	add(floodJudge, "ip6 daddr @relays6 return", ipv6(), load(network, 24, 16), in(set("relays6")), verdict(expr.VerdictReturn))
	rate, most := p.Guard.Answers, 2*p.Guard.Answers // at once
	total := fmt.Sprintf("limit rate over %d/second burst %d packets counter drop", rate, most)
	free := fmt.Sprintf("limit rate over 1/second burst %d packets", floodFree)
	add(floodJudge, fmt.Sprintf("ip saddr @sources4 update @often4 { ip saddr %s } %s", free, total),
		ipv4(), load(network, 12, 4), in(set("sources4")),
		load(network, 12, 4), often(set("often4")), limitOver(rate, most), count(), verdict(expr.VerdictDrop))
	add(floodJudge, fmt.Sprintf("ip6 saddr @sources6 update @often6 { ip6 saddr & ffff:ffff:ffff:ff00:: %s } %s", free, total),
		ipv6(), load(network, 8, 16), in(set("sources6")),
		load(network, 8, 16), mask(subscriberMask6()...), often(set("often6")), limitOver(rate, most), count(), verdict(expr.VerdictDrop))
	return rules
}

func subscriberMask6() []byte {
	m := make([]byte, 16)
	for i := range floodBits6 / 8 {
		m[i] = 0xff
	}
	return m
}

// often ends the rule unless the subscriber in register 1 has tried more than it may.
func often(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Dynset{
		SrcRegKey: 1, SetName: s.Name, SetID: s.ID, Operation: unix.NFT_DYNSET_OP_UPDATE,
		Exprs: limitOver(1, floodFree),
	}}
}

func limitOver(rate, most int) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePkts, Rate: uint64(rate), Over: true, Unit: expr.LimitTimeSecond, Burst: uint32(most), //nolint:gosec // limits of the configuration
	}}
}

func count() []expr.Any { return []expr.Any{&expr.Counter{}} }

// Shed returns how many SYNs of floods the kernel has dropped instead of giving them to
// the ports.
func (h *Host) Shed() uint64 { return h.shed.Load() + shedNow() }

// shedNow is what the guard that is loaded has dropped.
func shedNow() (n uint64) {
	conn, err := nftables.New()
	if err != nil {
		return 0
	}
	table := &nftables.Table{Name: guardTable, Family: nftables.TableFamilyINet}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: floodJudge, Table: table})
	if err != nil { // there is no guard, or none with a limit
		return 0
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				n += c.Packets
			}
		}
	}
	return n
}
