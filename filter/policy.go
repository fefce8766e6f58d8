// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Policy is a compiled [Spec]: immutable, safe for any number of goroutines,
// and free of I/O, clocks, locks and allocation per packet.
type Policy struct {
	ports  portSet
	pools  table     // id: in classes, scopes and poolNames; or exemptID
	relays table     // id: in relayPools and relayNames
	router []address // few: searched by comparing

	judgeEstablished       bool
	blockInboundSourcePort bool
	validateSource         bool
	tunnels                Tunnels

	// What the packet path needs of a pool: of each at first, and of those of which
	// something would be refused.
	classes []class
	scopes  []scope
	// notices says which pools have a notice instead of a RST, where that can be.
	notices    []bool
	anyNotices bool

	// relayPools are the pools that may reach a relay; nil: all.
	relayPools [][]uint16

	// For Explain and Diff only.
	poolNames  []string
	relayNames []string
	exempted   map[netip.Prefix]exempted
	exemptions []entry // sorted
}

// class is what a pool's subscribers get: forward (static, exempt) or an answer.
type class uint8

const (
	classStatic class = iota
	classExempt
	classReset
	classProhibited
	classDrop
)

// passes reports whether nothing is ever refused to those of the class.
func (c class) passes() bool { return c <= classExempt }

// serves reports whether the pool's subscribers may reach the relay.
func (p *Policy) serves(relay, pool uint16) bool {
	pools := p.relayPools[relay] // few: searched by comparing
	return pools == nil || slices.Contains(pools, pool)
}

// portSet is a set of port numbers, one bit each.
type portSet [65536 / 64]uint64

func (s *portSet) add(port uint16)      { s[port/64] |= 1 << (port % 64) }
func (s *portSet) has(port uint16) bool { return s[port/64]&(1<<(port%64)) != 0 }

// Decide says what happens to pkt, an IP packet from its first octet on; bytes
// behind the length that its header gives are ignored. It neither keeps nor
// changes pkt. sum says what is known of the transport checksum.
func (p *Policy) Decide(dir Direction, pkt []byte, sum Checksum) Verdict {
	var v packet
	return p.decide(dir, &v, pkt, sum)
}

// decide is Decide with a view of the packet to leave traces in for Explain.
func (p *Policy) decide(dir Direction, v *packet, pkt []byte, sum Checksum) Verdict {
	if r := v.parse(pkt); r != ReasonUnset {
		return Verdict{Drop, r}
	}
	if dir == Inbound {
		return p.decideInbound(v)
	}
	return p.decideOutbound(v, sum)
}

func (p *Policy) decideOutbound(v *packet, sum Checksum) Verdict {
	// Source validation comes before everything that could answer: an answer
	// to a forged source is an attack on whoever owns it.
	if v.src.martian() || v.src.reserved() {
		return Verdict{Drop, ReasonMartianSource}
	}
	if v.dst.martian() {
		return Verdict{Drop, ReasonMartianDestination}
	}
	if v.src == v.dst {
		return Verdict{Drop, ReasonLand}
	}
	id, listed := p.pools.lookup(v.src)
	if !listed && p.validateSource {
		return Verdict{Drop, ReasonSpoofedSource}
	}
	toRouter := slices.Contains(p.router, v.dst)
	switch {
	case toRouter && !listed:
		return Verdict{Drop, ReasonUnlisted} // the router would answer it
	case toRouter:
		return Verdict{Local, ReasonRouter}
	case !listed:
		return Verdict{Forward, ReasonUnlisted}
	}
	class := p.classes[id]
	if class == classStatic {
		return Verdict{Forward, ReasonStatic}
	}
	if class == classExempt {
		return Verdict{Forward, ReasonExempt}
	}
	verdict := p.decideDynamic(v, sum, id, class)
	if verdict.Action == Forward || !p.scopes[id].bounded {
		return verdict
	}
	return p.scopes[id].soften(v, verdict, v.src, v.dst)
}

// decideDynamic judges a packet from a dynamic pool as if everything were in force.
func (p *Policy) decideDynamic(v *packet, sum Checksum, pool uint16, class class) Verdict {
	if v.version == header.IPv4Version && v.proto != protoTCP && v.proto != protoAH && !p.looksInto(v) {
		return Verdict{Forward, hidden(v.proto)}
	}
	if r := v.walk(); r != ReasonUnset {
		return Verdict{Drop, r}
	}
	if p.looksInto(v) {
		return p.decideTunnel(v, pool)
	}
	if v.fragOffset == 0 && v.proto != protoTCP {
		return Verdict{Forward, hidden(v.proto)}
	}
	// What a later IPv6 fragment claims to be says nothing: with tunnels looked
	// into, it may be a part of one, which a relay is not exempt from.
	hides := p.tunnels != Tunnels{} && v.version == header.IPv6Version && v.fragOffset > 0
	if id, ok := p.relays.lookup(v.dst); ok && !v.routed && !hides && p.serves(id, pool) {
		return Verdict{Forward, ReasonRelay}
	}
	switch r := v.checkTCPHeader(); r {
	case ReasonUnset:
	case ReasonLaterFragment:
		return Verdict{Forward, r}
	default:
		return Verdict{Drop, r}
	}
	if !p.ports.has(v.tcp().DestinationPort()) {
		return Verdict{Forward, ReasonOtherPort}
	}
	return p.decideBlockedPort(v, sum, class)
}

// decideBlockedPort judges a TCP segment from a dynamic source to a blocked
// port. The flags are compared by the bits that matter: SYN opens a connection
// whatever ECE, CWR, PSH, URG or reserved bits come with it (RFC 3168, section
// 6.1.1; RFC 3360), and SYN with FIN does on hosts that know T/TCP.
func (p *Policy) decideBlockedPort(v *packet, sum Checksum, class class) Verdict {
	tcp := v.tcp()
	if off := int(tcp.DataOffset()); off < header.TCPMinimumSize || off > len(tcp) {
		return Verdict{Drop, ReasonBadDataOffset}
	}
	flags := tcp.Flags()
	reason := ReasonBlockedPort
	switch {
	case flags.Contains(header.TCPFlagSyn | header.TCPFlagRst):
		return Verdict{Drop, ReasonSYNRST}
	case flags&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn:
	case !p.judgeEstablished:
		return Verdict{Forward, ReasonNotSYN}
	case flags.Contains(header.TCPFlagRst):
		return Verdict{Drop, ReasonResetSegment}
	default:
		reason = ReasonEstablished
	}
	if v.more {
		return Verdict{Drop, ReasonFragmentedSYN}
	}
	if !v.checksumsValid(sum) {
		return Verdict{Drop, ReasonBadChecksum}
	}
	switch class {
	case classReset:
		return Verdict{Reset, reason}
	case classProhibited:
		return Verdict{Prohibited, reason}
	default:
		return Verdict{Drop, reason}
	}
}

// decideInbound judges a packet from the upstream. The router is not the
// subscribers' firewall: everything passes, but for what the operator asked to
// keep from dynamic addresses. Nothing inbound is refused with an answer, but
// the loop may send ICMP errors, so a source must be able to get one; those in
// 240.0.0.0/4 pass nevertheless, for what routers say of a path, and it is for
// the loop to answer none of them.
func (p *Policy) decideInbound(v *packet) Verdict {
	if v.src.martian() {
		return Verdict{Drop, ReasonMartianSource}
	}
	if slices.Contains(p.router, v.dst) {
		if v.src.reserved() {
			return Verdict{Drop, ReasonMartianSource} // the router would answer it
		}
		return Verdict{Local, ReasonRouter}
	}
	if !p.blockInboundSourcePort {
		return Verdict{Forward, ReasonInbound}
	}
	id, listed := p.pools.lookup(v.dst)
	if !listed || p.classes[id].passes() {
		return Verdict{Forward, ReasonInbound}
	}
	verdict := p.decideInboundSourcePort(v, id)
	if verdict.Action == Forward || !p.scopes[id].bounded {
		return verdict
	}
	return p.scopes[id].soften(v, verdict, v.dst, v.src)
}

// decideInboundSourcePort keeps a dynamic address from being the receiving
// half of triangular spamming: a spammer elsewhere sends with the subscriber's
// address as source, and the mail server's answers, from its port 25, come
// here (Qian et al., "Investigation of Triangular Spamming", IEEE S&P 2010).
// A SYN from that port is a new connection to the subscriber, and passes.
func (p *Policy) decideInboundSourcePort(v *packet, pool uint16) Verdict {
	if v.version == header.IPv4Version && v.proto != protoTCP && v.proto != protoAH {
		return Verdict{Forward, ReasonInbound}
	}
	if r := v.walk(); r != ReasonUnset {
		return Verdict{Drop, r}
	}
	if v.fragOffset == 0 && v.proto != protoTCP {
		return Verdict{Forward, ReasonInbound}
	}
	if id, ok := p.relays.lookup(v.src); ok && p.serves(id, pool) {
		return Verdict{Forward, ReasonInbound}
	}
	switch r := v.checkTCPHeader(); r {
	case ReasonUnset:
	case ReasonLaterFragment:
		return Verdict{Forward, ReasonInbound}
	default:
		return Verdict{Drop, r}
	}
	tcp := v.tcp()
	opens := tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn
	if !p.ports.has(tcp.SourcePort()) || opens {
		return Verdict{Forward, ReasonInbound}
	}
	return Verdict{Drop, ReasonInboundSourcePort}
}

// hidden tells a header that hides what follows from a transport that is
// simply not TCP.
func hidden(proto uint8) Reason {
	if proto == protoESP || proto == ipv6NoNextHeader {
		return ReasonOpaque
	}
	return ReasonNotTCP
}
