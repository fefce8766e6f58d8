// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"net/netip"

	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
)

// answerHopLimit is the hop limit of answers: the kernel forwards them once, out
// of the TUN, so that they leave the machine with 64 like its own.
const answerHopLimit = 64 + 1

// quoteLimit is the largest ICMP error, in octets, outer header included:
// RFC 1812, section 4.3.2.3, and the smallest IPv6 MTU (RFC 4443, section 2.4).
const (
	quoteLimit4 = 576
	quoteLimit6 = header.IPv6MinimumMTU
)

// icmpRate and icmpBurst limit each worker's ICMP errors, in packets a second
// (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4 (f)). They are the figures
// of Linux: net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst.
const (
	icmpRate  = 1000
	icmpBurst = 50
)

// answerer builds answers in its own buffer; each answer is valid until the
// next. The frames carry a zeroed virtio_net_hdr: whole checksums, no segments.
type answerer struct {
	buf   [HeaderSize + quoteLimit6]byte
	limit *rate.Limiter
	from4 tcpip.Address // zero length: no address
	from6 tcpip.Address
}

func newAnswerer(addresses []netip.Addr) answerer {
	a := answerer{limit: rate.NewLimiter(icmpRate, icmpBurst)}
	for _, addr := range addresses {
		if addr.Is4() {
			a.from4 = tcpip.AddrFrom4(addr.As4())
		} else {
			a.from6 = tcpip.AddrFrom16(addr.As16())
		}
	}
	return a
}

// frame returns the buffer cut to size octets of IP packet, zeroed.
func (a *answerer) frame(size int) frame {
	f := a.buf[:HeaderSize+size]
	clear(f)
	return f
}

// reset builds the RST that refuses the TCP segment in pkt (RFC 9293, section
// 3.5.2, group 1): to a segment with ACK, its acknowledgment number as sequence
// number; to one without, sequence number zero and an acknowledgment of all
// that it occupies, data, SYN and FIN. A client in SYN-SENT accepts nothing
// else (section 3.5.3). pkt was judged by package filter, so its chain and its
// TCP header are whole; a RST is never answered.
func (a *answerer) reset(pkt []byte) frame {
	src, dst, tcp := segment(pkt)
	if tcp == nil || tcp.Flags().Contains(header.TCPFlagRst) {
		return nil
	}
	fields := header.TCPFields{
		SrcPort: tcp.DestinationPort(), DstPort: tcp.SourcePort(),
		DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagRst,
	}
	if tcp.Flags().Contains(header.TCPFlagAck) {
		fields.SeqNum = tcp.AckNumber()
	} else {
		fields.Flags |= header.TCPFlagAck
		fields.AckNum = tcp.SequenceNumber() + occupied(tcp)
	}
	f := a.ip(dst, src, header.TCPProtocolNumber, header.TCPMinimumSize)
	answer := header.TCP(f[len(f)-header.TCPMinimumSize:])
	answer.Encode(&fields)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, dst, src, header.TCPMinimumSize)
	answer.SetChecksum(^answer.CalculateChecksum(sum))
	return f
}

// occupied returns SEG.LEN: the octets of data, and one each for SYN and FIN.
func occupied(tcp header.TCP) uint32 {
	n := uint32(len(tcp.Payload())) //nolint:gosec // below 64 KiB
	if tcp.Flags().Contains(header.TCPFlagSyn) {
		n++
	}
	if tcp.Flags().Contains(header.TCPFlagFin) {
		n++
	}
	return n
}

// ip returns a zeroed frame with an IP header for size octets of payload: no
// options, traffic class zero, identification zero with DF.
func (a *answerer) ip(src, dst tcpip.Address, proto tcpip.TransportProtocolNumber, size int) frame {
	if src.Len() == header.IPv4AddressSize {
		f := a.frame(header.IPv4MinimumSize + size)
		ip := header.IPv4(f.packet())
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(ip)), //nolint:gosec // below 1280
			Flags:       header.IPv4FlagDontFragment,
			TTL:         answerHopLimit, Protocol: uint8(proto), SrcAddr: src, DstAddr: dst, //nolint:gosec // 8 bits
		})
		ip.SetChecksum(^ip.CalculateChecksum())
		return f
	}
	f := a.frame(header.IPv6MinimumSize + size)
	header.IPv6(f.packet()).Encode(&header.IPv6Fields{
		PayloadLength: uint16(size), TransportProtocol: proto, //nolint:gosec // below 1280
		HopLimit: answerHopLimit, SrcAddr: src, DstAddr: dst,
	})
	return f
}

// icmpError is one kind of ICMP error, in both families.
type icmpError struct {
	type4 header.ICMPv4Type
	code4 header.ICMPv4Code
	type6 header.ICMPv6Type
	code6 header.ICMPv6Code
	mtu   int // where the kind has one
	fate  Fate
}

//nolint:gochecknoglobals // constants of a struct type
var (
	timeExceeded = icmpError{
		type4: header.ICMPv4TimeExceeded, code4: header.ICMPv4TTLExceeded,
		type6: header.ICMPv6TimeExceeded, code6: header.ICMPv6HopLimitExceeded,
		fate: AnsweredTimeExceeded,
	}
	prohibited = icmpError{
		type4: header.ICMPv4DstUnreachable, code4: header.ICMPv4AdminProhibited,
		type6: header.ICMPv6DstUnreachable, code6: header.ICMPv6Prohibited,
		fate: AnsweredProhibited,
	}
)

// tooBig is IPv4 "fragmentation needed" with the next hop's MTU (RFC 1191,
// section 4) or IPv6 "packet too big" (RFC 4443, section 3.2).
func tooBig(mtu int) icmpError {
	return icmpError{
		type4: header.ICMPv4DstUnreachable, code4: header.ICMPv4FragmentationNeeded,
		type6: header.ICMPv6PacketTooBig, code6: header.ICMPv6UnusedCode,
		mtu: mtu, fate: AnsweredTooBig,
	}
}

// icmp builds the error about pkt, quoting as much of it as fits. It returns
// nothing when no error may be sent (RFC 1812, section 4.3.2.7; RFC 4443,
// section 2.4 (e)), the rate is exceeded, or the router has no address here.
func (a *answerer) icmp(pkt []byte, e icmpError) frame {
	if !answerable(pkt) || !a.limit.Allow() {
		return nil
	}
	return a.about(pkt, e)
}

// prohibited builds the ICMP error that refuses the TCP segment in pkt. Refusals
// have limits of their own (see Limits): a flood of other errors must not take
// them from anybody.
func (a *answerer) prohibited(pkt []byte) frame { return a.about(pkt, prohibited) }

// about builds an ICMP error of either family.
func (a *answerer) about(pkt []byte, e icmpError) frame {
	if header.IPVersion(pkt) == header.IPv4Version {
		return a.icmp4(pkt, e)
	}
	return a.icmp6(pkt, e)
}

func (a *answerer) icmp4(pkt []byte, e icmpError) frame {
	if a.from4.Len() == 0 {
		return nil
	}
	quote := pkt[:min(len(pkt), quoteLimit4-header.IPv4MinimumSize-header.ICMPv4MinimumSize)]
	f := a.ip(a.from4, header.IPv4(pkt).SourceAddress(), header.ICMPv4ProtocolNumber, header.ICMPv4MinimumSize+len(quote))
	icmp := header.ICMPv4(f.packet()[header.IPv4MinimumSize:])
	icmp.SetType(e.type4)
	icmp.SetCode(e.code4)
	icmp.SetMTU(uint16(e.mtu)) //nolint:gosec // an MTU
	copy(icmp[header.ICMPv4MinimumSize:], quote)
	icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	return f
}

func (a *answerer) icmp6(pkt []byte, e icmpError) frame {
	if a.from6.Len() == 0 {
		return nil
	}
	quote := pkt[:min(len(pkt), quoteLimit6-header.IPv6MinimumSize-header.ICMPv6MinimumSize)]
	to := header.IPv6(pkt).SourceAddress()
	f := a.ip(a.from6, to, header.ICMPv6ProtocolNumber, header.ICMPv6MinimumSize+len(quote))
	icmp := header.ICMPv6(f.packet()[header.IPv6MinimumSize:])
	icmp.SetType(e.type6)
	icmp.SetCode(e.code6)
	icmp.SetMTU(uint32(e.mtu)) //nolint:gosec // an MTU
	copy(icmp[header.ICMPv6MinimumSize:], quote)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: a.from6, Dst: to}))
	return f
}

// answerable reports whether an ICMP error about pkt is allowed: not about a
// fragment behind the first, not about an ICMP error, not to an address in
// 240.0.0.0/4 (RFC 1122, section 3.2.2).
func answerable(pkt []byte) bool {
	proto, payload, ok := filter.Transport(pkt)
	switch {
	case !ok:
		return false
	case header.IPVersion(pkt) == header.IPv4Version && header.IPv4(pkt).SourceAddressSlice()[0] >= 240:
		return false
	case header.IPVersion(pkt) == header.IPv4Version && proto == uint8(header.ICMPv4ProtocolNumber):
		return len(payload) > 0 && !isError4(header.ICMPv4Type(payload[0]))
	case proto == uint8(header.ICMPv6ProtocolNumber):
		const informational = 0x80 // RFC 4443, section 2.1: below are errors
		return len(payload) > 0 && payload[0]&informational != 0
	default:
		return true
	}
}

func isError4(t header.ICMPv4Type) bool {
	switch t {
	case header.ICMPv4DstUnreachable, header.ICMPv4SrcQuench, header.ICMPv4Redirect,
		header.ICMPv4TimeExceeded, header.ICMPv4ParamProblem:
		return true
	default:
		return false
	}
}

// segment returns the addresses and the TCP segment of pkt; no segment when
// pkt carries no whole TCP header.
func segment(pkt []byte) (src, dst tcpip.Address, tcp header.TCP) {
	proto, payload, ok := filter.Transport(pkt)
	if !ok || proto != uint8(header.TCPProtocolNumber) || len(payload) < header.TCPMinimumSize {
		return src, dst, nil
	}
	if header.IPVersion(pkt) == header.IPv4Version {
		ip := header.IPv4(pkt)
		return ip.SourceAddress(), ip.DestinationAddress(), payload
	}
	ip := header.IPv6(pkt)
	return ip.SourceAddress(), ip.DestinationAddress(), payload
}
