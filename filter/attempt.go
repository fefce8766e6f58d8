// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Opening is what a TCP segment that opens a connection to a blocked port says.
type Opening struct {
	Source, Destination netip.Addr
	Port                uint16
}

// Opening reads an outbound packet of which Decide has said something about a blocked
// port, a relay or an exemption, and reports whether it opens a connection to a
// blocked port. Other segments, and what a tunnel carries, do not. It is for who counts
// attempts: no verdict depends on it.
func (p *Policy) Opening(pkt []byte) (Opening, bool) {
	var v packet
	if v.parse(pkt) != ReasonUnset || v.walk() != ReasonUnset || v.fragOffset != 0 || v.proto != protoTCP ||
		v.checkTCPHeader() != ReasonUnset {
		return Opening{}, false
	}
	tcp := v.tcp()
	opens := tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn
	if !opens || !p.ports.has(tcp.DestinationPort()) {
		return Opening{}, false
	}
	return Opening{v.src.netip(), v.dst.netip(), tcp.DestinationPort()}, true
}

// Reply is what a TCP segment from a blocked port says.
type Reply struct {
	Subscriber, Peer netip.Addr
	Flags            header.TCPFlags
}

// Reply reads an inbound packet that Decide has looked at, and reports whether it comes
// from a blocked port and goes to a dynamic subscriber who is not exempt. It looks only
// where the TCP header nearly always is, right behind the IP header: every packet
// towards subscribers passes here, and what extension headers hide is missing from a
// report, no more. What opens a connection to the subscriber is no reply.
func (p *Policy) Reply(pkt []byte) (Reply, bool) {
	tcp := plainTCP(pkt)
	if tcp == nil || !p.ports.has(binary.BigEndian.Uint16(tcp)) {
		return Reply{}, false
	}
	flags := header.TCP(tcp).Flags()
	if flags&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn {
		return Reply{}, false
	}
	src, dst := ends(pkt)
	if id, listed := p.pools.lookup(dst); !listed || p.classes[id].passes() {
		return Reply{}, false
	}
	return Reply{dst.netip(), src.netip(), flags}, true
}

// plainTCP returns the TCP header of a packet that has one right behind its IP header,
// or nil. The IP header has been checked.
func plainTCP(pkt []byte) []byte {
	at := header.IPv6MinimumSize
	switch {
	case pkt[0]>>4 == header.IPv6Version:
		if pkt[6] != protoTCP {
			return nil
		}
	case pkt[9] != protoTCP || binary.BigEndian.Uint16(pkt[6:])&0x1fff != 0: // not the first fragment
		return nil
	default:
		at = int(pkt[0]&0xf) * 4
	}
	if len(pkt) < at+header.TCPMinimumSize {
		return nil
	}
	return pkt[at:]
}

func ends(pkt []byte) (src, dst address) {
	if pkt[0]>>4 == header.IPv6Version {
		return address6([16]byte(pkt[8:24])), address6([16]byte(pkt[24:40]))
	}
	return address4([4]byte(pkt[12:16])), address4([4]byte(pkt[16:20]))
}

// Subscriber is who stands behind an address.
type Subscriber struct {
	Pool string
	// Prefix is the IPv4 address, or the IPv6 prefix that the pool delegates.
	Prefix         netip.Prefix
	Static, Exempt bool
}

// Subscriber returns who has an address, and false if it is in no pool. It is for
// people and counters, not for the packet path.
func (p *Policy) Subscriber(addr netip.Addr) (Subscriber, bool) {
	a := addressOf(addr)
	h, held := p.holder(a)
	if !held {
		return Subscriber{}, false
	}
	return Subscriber{
		Pool: p.poolNames[h.pool], Prefix: p.scopes[h.pool].delegated(a),
		Static: p.classes[h.pool] == classStatic, Exempt: h.exempt,
	}, true
}

// holder says which pool holds an address.
type holder struct {
	pool      uint16
	prefix    netip.Prefix
	exempt    bool
	exemption netip.Prefix
}

func (p *Policy) holder(a address) (holder, bool) {
	found, held := p.pools.prefix(a)
	if !held || found.id != p.exemptID() {
		return holder{pool: found.id, prefix: found.prefix}, held
	}
	x := p.exempted[found.prefix]
	return holder{pool: x.pool.id, prefix: x.pool.prefix, exempt: true, exemption: x.exemption}, true
}

// Notices reports whether an address is a dynamic subscriber's whose pool has
// [RespondNotice].
func (p *Policy) Notices(addr netip.Addr) bool {
	if !p.anyNotices {
		return false
	}
	id, listed := p.pools.lookup(addressOf(addr))
	return listed && id != p.exemptID() && p.notices[id]
}
