// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"op25b/filter"
	"op25b/filter/filtertest"
)

// row is a line of an access list: which packet, from where to where, gets what
// and why. Rows with a bare address have no port.
type row struct {
	dir      filter.Direction
	what     shape
	from, to string
	action   filter.Action
	reason   filter.Reason
}

// shape makes a packet between two ends.
type shape func(from, to string) filtertest.Packet

// tcp is a segment with flags as tcpdump writes them: S, F, R, P, "." for ACK,
// U, E, W, e for AE.
func tcp(flags string) shape {
	var f filtertest.Flags
	for _, letter := range flags {
		f |= map[rune]filtertest.Flags{
			'F': filtertest.FIN, 'S': filtertest.SYN, 'R': filtertest.RST, 'P': filtertest.PSH,
			'.': filtertest.ACK, 'U': filtertest.URG, 'E': filtertest.ECE, 'W': filtertest.CWR,
			'e': filtertest.AE,
		}[letter]
	}
	return func(from, to string) filtertest.Packet { return filtertest.TCP(from, to).Flags(f) }
}

// ip is a packet of any other protocol.
func ip(proto uint8) shape {
	return func(from, to string) filtertest.Packet { return filtertest.IP(proto, from, to).Data("opaque octets") }
}

// tunneled is a packet that carries another, by protocol 4 or 41.
func tunneled(proto uint8, what shape, from, to string) shape {
	inner := string(what(from, to).Bytes())
	return func(from, to string) filtertest.Packet { return filtertest.IP(proto, from, to).Data(inner) }
}

// visiting is a segment behind a routing header that has one more to visit.
func visiting(flags string) shape {
	return func(from, to string) filtertest.Packet {
		return tcp(flags)(from, to).Chain(filtertest.Routing(4, 1, "2001:db8:ffff::25"))
	}
}

const (
	out = filter.Outbound
	in  = filter.Inbound
)

// access is what the policies of specs say, policy by policy.
func access() map[string][]row {
	var (
		syn, synack, ack, rst = tcp("S"), tcp("S."), tcp("."), tcp("R")
		udp, icmp             = filtertest.UDP, filtertest.ICMP
		sctp, gre             = filtertest.SCTP, filtertest.GRE
		esp                   = ip(50)
	)
	return map[string][]row{
		"plain": {
			// A dynamic pool: connections to the blocked ports, and nothing else.
			{out, syn, "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:2525", filter.Reset, filter.ReasonBlockedPort},
			{out, tcp("SEW"), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, tcp("SEWe"), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, tcp("SF"), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, tcp("SPU"), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, tcp("SR"), "100.64.0.2:40000", "203.0.113.25:25", filter.Drop, filter.ReasonSYNRST},
			{out, synack, "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotSYN},
			{out, ack, "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotSYN},
			{out, tcp("F."), "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotSYN},
			{out, tcp(""), "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotSYN},
			{out, rst, "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotSYN},
			{out, syn, "100.64.0.2:25", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:25", "203.0.113.25:80", filter.Forward, filter.ReasonOtherPort},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:587", filter.Forward, filter.ReasonOtherPort},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:465", filter.Forward, filter.ReasonOtherPort},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:24", filter.Forward, filter.ReasonOtherPort},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:26", filter.Forward, filter.ReasonOtherPort},
			{out, udp, "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotTCP},
			{out, sctp, "100.64.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonNotTCP},
			{out, icmp, "100.64.0.2", "203.0.113.25", filter.Forward, filter.ReasonNotTCP},
			{out, gre, "100.64.0.2", "203.0.113.25", filter.Forward, filter.ReasonNotTCP},
			{out, ip(4), "100.64.0.2", "203.0.113.25", filter.Forward, filter.ReasonNotTCP},
			{out, esp, "100.64.0.2", "203.0.113.25", filter.Forward, filter.ReasonOpaque},

			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:2525", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a::2]:40000", "[64:ff9b::cb00:7119]:25", filter.Reset, filter.ReasonBlockedPort}, // NAT64
			{out, tcp("SR"), "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Drop, filter.ReasonSYNRST},
			{out, ack, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonNotSYN},
			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:587", filter.Forward, filter.ReasonOtherPort},
			{out, udp, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonNotTCP},
			{out, icmp, "2001:db8:a::2", "2001:db8:ffff::25", filter.Forward, filter.ReasonNotTCP},
			{out, esp, "2001:db8:a::2", "2001:db8:ffff::25", filter.Forward, filter.ReasonOpaque},
			{out, ip(59), "2001:db8:a::2", "2001:db8:ffff::25", filter.Forward, filter.ReasonOpaque},

			// Pools nest, and the longest prefix wins, to the last address.
			{out, syn, "100.64.0.0:1", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.127.255.255:1", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.255.255:1", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.65.0.0:1", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
			{out, syn, "100.65.0.127:1", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
			{out, udp, "100.65.0.127:1", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
			{out, syn, "100.65.0.128:1", "203.0.113.25:25", filter.Prohibited, filter.ReasonBlockedPort},
			{out, syn, "100.65.0.255:1", "203.0.113.25:25", filter.Prohibited, filter.ReasonBlockedPort},
			{out, syn, "100.65.1.0:1", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.66.0.8:1", "203.0.113.25:25", filter.Drop, filter.ReasonBlockedPort},
			{out, syn, "100.66.0.9:1", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
			{out, syn, "100.66.0.10:1", "203.0.113.25:25", filter.Drop, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:64::1]:1", "[2001:db8:ffff::25]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:65::1]:1", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonStatic},
			{out, syn, "[2001:db8:a:65:8000::1]:1", "[2001:db8:ffff::25]:25", filter.Prohibited, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:66::8]:1", "[2001:db8:ffff::25]:25", filter.Drop, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:66::9]:1", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonStatic},

			// Relays stay reachable; their neighbours do not become so.
			{out, syn, "100.64.0.2:40000", "192.0.2.25:25", filter.Forward, filter.ReasonRelay},
			{out, syn, "100.64.0.2:40000", "192.0.2.24:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:40000", "192.0.2.26:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:40000", "198.51.100.15:2525", filter.Forward, filter.ReasonRelay},
			{out, syn, "100.64.0.2:40000", "198.51.100.16:2525", filter.Reset, filter.ReasonBlockedPort},
			{out, udp, "100.64.0.2:40000", "192.0.2.25:25", filter.Forward, filter.ReasonNotTCP},
			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:25::25]:25", filter.Forward, filter.ReasonRelay},
			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:25::26]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a::2]:40000", "[2001:db8:26::1]:25", filter.Forward, filter.ReasonRelay},

			// Other subscribers are no exception, static or not.
			{out, syn, "100.64.0.2:40000", "100.65.0.2:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:40000", "100.64.0.3:25", filter.Reset, filter.ReasonBlockedPort},

			// A source that nobody has been given gets nowhere and no answer.
			{out, syn, "100.128.0.0:1", "203.0.113.25:25", filter.Drop, filter.ReasonSpoofedSource},
			{out, syn, "100.63.255.255:1", "203.0.113.25:80", filter.Drop, filter.ReasonSpoofedSource},
			{out, udp, "198.51.100.1:53", "203.0.113.25:53", filter.Drop, filter.ReasonSpoofedSource},
			{out, syn, "192.0.2.25:1", "203.0.113.25:25", filter.Drop, filter.ReasonSpoofedSource},
			{out, syn, "[2001:db8:b::1]:1", "[2001:db8:ffff::25]:25", filter.Drop, filter.ReasonSpoofedSource},
			{out, syn, "198.51.100.1:1", "100.64.0.1:25", filter.Drop, filter.ReasonSpoofedSource},
			{out, syn, "127.0.0.1:1", "203.0.113.25:25", filter.Drop, filter.ReasonMartianSource},
			{out, syn, "[::1]:1", "[2001:db8:ffff::25]:25", filter.Drop, filter.ReasonMartianSource},
			{out, syn, "100.64.0.2:1", "224.0.0.1:25", filter.Drop, filter.ReasonMartianDestination},
			{out, syn, "100.65.0.2:1", "255.255.255.255:25", filter.Drop, filter.ReasonMartianDestination},
			{out, syn, "[2001:db8:a::2]:1", "[ff02::1]:25", filter.Drop, filter.ReasonMartianDestination},
			{out, syn, "100.64.0.2:25", "100.64.0.2:25", filter.Drop, filter.ReasonLand},
			{out, syn, "100.65.0.2:1", "100.65.0.2:25", filter.Drop, filter.ReasonLand},
			{out, syn, "[2001:db8:a::2]:1", "[2001:db8:a::2]:25", filter.Drop, filter.ReasonLand},
			{out, syn, "100.64.0.1:1", "100.64.0.1:25", filter.Drop, filter.ReasonLand},

			// The router itself answers for itself.
			{out, syn, "100.64.0.2:40000", "100.64.0.1:25", filter.Local, filter.ReasonRouter},
			{out, icmp, "100.64.0.2", "192.0.2.1", filter.Local, filter.ReasonRouter},
			{out, icmp, "100.65.0.2", "100.64.0.1", filter.Local, filter.ReasonRouter},
			{out, icmp, "2001:db8:a::2", "2001:db8:a::1", filter.Local, filter.ReasonRouter},
			{in, icmp, "203.0.113.9", "192.0.2.1", filter.Local, filter.ReasonRouter},
			{in, syn, "[2001:db8:ffff::9]:1", "[2001:db8:a::1]:25", filter.Local, filter.ReasonRouter},

			// From the upstream everything passes that has a source to answer to.
			{in, synack, "203.0.113.25:25", "100.64.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, syn, "203.0.113.9:1", "100.64.0.2:25", filter.Forward, filter.ReasonInbound},
			{in, udp, "203.0.113.9:53", "100.64.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, syn, "[2001:db8:ffff::25]:25", "[2001:db8:a::2]:25", filter.Forward, filter.ReasonInbound},
			// Routers are numbered out of 240.0.0.0/4, and what they say of a path
			// must arrive; it is no source to answer.
			{in, udp, "240.0.0.9:1", "100.64.0.2:33434", filter.Forward, filter.ReasonInbound},
			{in, udp, "255.255.255.254:1", "100.64.0.2:33434", filter.Forward, filter.ReasonInbound},
			{in, udp, "255.255.255.255:1", "100.64.0.2:33434", filter.Drop, filter.ReasonMartianSource},
			{in, udp, "169.254.0.9:1", "100.64.0.2:33434", filter.Drop, filter.ReasonMartianSource},
			{in, udp, "240.0.0.9:1", "100.64.0.1:33434", filter.Drop, filter.ReasonMartianSource},
			{in, syn, "203.0.113.9:1", "198.51.100.77:25", filter.Forward, filter.ReasonInbound},
			{in, icmp, "127.0.0.1", "100.64.0.2", filter.Drop, filter.ReasonMartianSource},
			{in, icmp, "240.0.0.1", "100.64.0.1", filter.Drop, filter.ReasonMartianSource},
			{in, icmp, "ff02::1", "2001:db8:a::1", filter.Drop, filter.ReasonMartianSource},
		},
		"strict": {
			// Established connections are refused, too; a RST is never answered.
			{out, syn, "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, ack, "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonEstablished},
			{out, synack, "100.64.0.2:40000", "203.0.113.25:2525", filter.Reset, filter.ReasonEstablished},
			{out, tcp("FP."), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonEstablished},
			{out, tcp(""), "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonEstablished},
			{out, rst, "100.64.0.2:40000", "203.0.113.25:25", filter.Drop, filter.ReasonResetSegment},
			{out, tcp("R."), "100.64.0.2:40000", "203.0.113.25:25", filter.Drop, filter.ReasonResetSegment},
			{out, tcp("SR"), "100.64.0.2:40000", "203.0.113.25:25", filter.Drop, filter.ReasonSYNRST},
			{out, ack, "100.65.0.200:40000", "203.0.113.25:25", filter.Prohibited, filter.ReasonEstablished},
			{out, ack, "100.66.0.2:40000", "203.0.113.25:25", filter.Drop, filter.ReasonEstablished},
			{out, ack, "100.64.0.2:40000", "192.0.2.25:25", filter.Forward, filter.ReasonRelay},
			{out, ack, "100.64.0.2:25", "203.0.113.25:40000", filter.Forward, filter.ReasonOtherPort},
			{out, ack, "100.65.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
			{out, ack, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Reset, filter.ReasonEstablished},
			{out, rst, "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", filter.Drop, filter.ReasonResetSegment},

			// Triangular spamming: answers from port 25 to a dynamic address.
			{in, synack, "203.0.113.25:25", "100.64.0.2:40000", filter.Drop, filter.ReasonInboundSourcePort},
			{in, ack, "203.0.113.25:2525", "100.64.0.2:40000", filter.Drop, filter.ReasonInboundSourcePort},
			{in, rst, "203.0.113.25:25", "100.66.0.2:40000", filter.Drop, filter.ReasonInboundSourcePort},
			{in, tcp(""), "203.0.113.25:25", "100.65.0.200:40000", filter.Drop, filter.ReasonInboundSourcePort},
			{in, syn, "203.0.113.25:25", "100.64.0.2:25", filter.Forward, filter.ReasonInbound},
			{in, tcp("SEW"), "203.0.113.25:25", "100.64.0.2:80", filter.Forward, filter.ReasonInbound},
			{in, synack, "192.0.2.25:25", "100.64.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, synack, "203.0.113.25:25", "100.65.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, synack, "203.0.113.25:25", "198.51.100.77:40000", filter.Forward, filter.ReasonInbound},
			{in, synack, "203.0.113.25:587", "100.64.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, synack, "203.0.113.25:40000", "100.64.0.2:25", filter.Forward, filter.ReasonInbound},
			{in, udp, "203.0.113.25:25", "100.64.0.2:40000", filter.Forward, filter.ReasonInbound},
			{in, esp, "203.0.113.25", "100.64.0.2", filter.Forward, filter.ReasonInbound},
			{in, icmp, "203.0.113.25", "100.64.0.1", filter.Local, filter.ReasonRouter},
			{in, synack, "[2001:db8:ffff::25]:25", "[2001:db8:a::2]:40000", filter.Drop, filter.ReasonInboundSourcePort},
			{in, synack, "[2001:db8:25::25]:25", "[2001:db8:a::2]:40000", filter.Forward, filter.ReasonInbound},
			{in, synack, "[2001:db8:ffff::25]:25", "[2001:db8:a:65::2]:40000", filter.Forward, filter.ReasonInbound},
			{in, syn, "[2001:db8:ffff::25]:25", "[2001:db8:a::2]:25", filter.Forward, filter.ReasonInbound},
			{in, icmp, "2001:db8:ffff::25", "2001:db8:a::2", filter.Forward, filter.ReasonInbound},
		},
		"tunnels": {
			// What a tunnel carries is judged by what it is, not by who sent it.
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "100.64.0.2", "203.0.113.9", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:80"), "100.64.0.2", "203.0.113.9", filter.Forward, filter.ReasonOtherPort},
			{out, tunneled(4, syn, "198.51.100.7:1", "192.0.2.25:25"), "100.64.0.2", "203.0.113.9", filter.Forward, filter.ReasonRelay},
			{out, tunneled(4, ack, "198.51.100.7:1", "203.0.113.25:25"), "100.64.0.2", "203.0.113.9", filter.Forward, filter.ReasonNotSYN},
			{out, tunneled(4, udp, "198.51.100.7:1", "203.0.113.25:25"), "100.64.0.2", "203.0.113.9", filter.Forward, filter.ReasonNotTCP},
			{out, tunneled(41, syn, "[2001:db8:c::7]:1", "[2001:db8:ffff::25]:25"), "100.64.0.2", "203.0.113.9", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(41, syn, "[2001:db8:c::7]:1", "[2001:db8:ffff::25]:25"), "2001:db8:a::2", "2001:db8:ffff::9", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "2001:db8:a::2", "2001:db8:ffff::9", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "100.66.0.2", "203.0.113.9", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "100.65.0.2", "203.0.113.9", filter.Forward, filter.ReasonStatic},
			{out, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "198.51.100.7", "203.0.113.9", filter.Drop, filter.ReasonSpoofedSource},
			{in, tunneled(4, syn, "198.51.100.7:1", "203.0.113.25:25"), "203.0.113.9", "100.64.0.2", filter.Forward, filter.ReasonInbound},
			{out, ip(4), "100.64.0.2", "203.0.113.9", filter.Drop, filter.ReasonTunnelUnreadable},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, esp, "100.64.0.2", "203.0.113.25", filter.Forward, filter.ReasonOpaque},
		},
		"phased": {
			// 100.64.0.4 is in the first half of the subscribers, 100.64.0.2 in the second,
			// and 100.64.3.68 is one of the first hundred.
			{out, syn, "100.64.0.4:1", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.4:1", "203.0.113.63:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.4:1", "203.0.113.64:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.4:1", "203.0.113.200:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.2:1", "203.0.113.25:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, ack, "100.64.0.2:1", "203.0.113.25:25", filter.Monitored, filter.ReasonEstablished},
			{out, tcp("SR"), "100.64.0.2:1", "203.0.113.25:25", filter.Monitored, filter.ReasonSYNRST},
			{out, syn, "100.64.0.2:1", "203.0.113.25:587", filter.Forward, filter.ReasonOtherPort},
			{out, udp, "100.64.0.4:1", "203.0.113.25:25", filter.Forward, filter.ReasonNotTCP},
			{out, syn, "100.64.3.68:1", "203.0.113.200:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.64.3.68:1", "203.0.113.100:25", filter.Monitored, filter.ReasonBlockedPort},

			// Monitor mode refuses nothing, and a pool that no rule speaks of not even
			// that; who is at home in no pool is no subscriber.
			{out, syn, "100.65.0.129:1", "203.0.113.25:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, rst, "100.65.0.129:1", "203.0.113.25:25", filter.Monitored, filter.ReasonResetSegment},
			{out, syn, "100.66.0.2:1", "203.0.113.25:25", filter.Forward, filter.ReasonNotInForce},
			{out, syn, "100.66.0.2:1", "203.0.113.25:587", filter.Forward, filter.ReasonOtherPort},
			{out, syn, "100.66.0.2:1", "224.0.0.1:25", filter.Drop, filter.ReasonMartianDestination},
			{out, syn, "198.51.100.77:1", "203.0.113.25:25", filter.Drop, filter.ReasonSpoofedSource},

			// Exemptions: within a pool, across two, the same as one's prefix.
			{out, syn, "100.64.0.7:1", "203.0.113.25:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, syn, "100.64.0.8:1", "203.0.113.25:25", filter.Forward, filter.ReasonExempt},
			{out, syn, "100.64.0.11:1", "203.0.113.25:25", filter.Forward, filter.ReasonExempt},
			{out, syn, "100.65.0.192:1", "203.0.113.25:25", filter.Forward, filter.ReasonExempt},
			{out, syn, "100.66.0.9:1", "203.0.113.25:25", filter.Forward, filter.ReasonExempt},
			{out, udp, "100.64.0.8:1", "203.0.113.25:25", filter.Forward, filter.ReasonExempt},
			{out, syn, "[2001:db8:a:f::1]:1", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonExempt},

			// A relay for some pools only.
			{out, syn, "100.64.0.4:1", "192.0.2.25:25", filter.Forward, filter.ReasonRelay},
			{out, syn, "100.64.0.4:1", "198.51.100.3:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, syn, "100.66.0.2:1", "198.51.100.3:25", filter.Forward, filter.ReasonRelay},
			{out, syn, "100.66.0.2:1", "192.0.2.25:25", filter.Forward, filter.ReasonRelay},

			// All of a delegated prefix is one subscriber.
			{out, syn, "[2001:db8:a:200::1]:1", "[2001:db8:ffff::25]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:2ff:ffff::1]:1", "[2001:db8:ffff::25]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:600::1]:1", "[2001:db8:ffff::25]:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, syn, "[2001:db8:a:200::1]:1", "[64:ff9b::cb00:7119]:25", filter.Monitored, filter.ReasonBlockedPort},

			// Where a packet ends that no group holds is not sure behind a routing header,
			// in a tunnel, or if its header cannot be read.
			{out, visiting("S"), "[2001:db8:a:200::1]:1", "[2001:db8:fffe::25]:25", filter.Reset, filter.ReasonBlockedPort},
			{out, visiting("S"), "[2001:db8:a:600::1]:1", "[2001:db8:fffe::25]:25", filter.Monitored, filter.ReasonBlockedPort},
			{out, tunneled(4, syn, "10.0.0.1:1", "203.0.113.200:25"), "100.64.0.4", "203.0.113.200", filter.Drop, filter.ReasonTunneledPort},
			{out, tunneled(4, syn, "10.0.0.1:1", "203.0.113.25:25"), "100.64.0.2", "203.0.113.200", filter.Monitored, filter.ReasonTunneledPort},
			{out, ip(6), "100.64.0.4", "203.0.113.200", filter.Drop, filter.ReasonTruncatedTCP},
			{out, ip(6), "100.64.0.2", "203.0.113.200", filter.Monitored, filter.ReasonTruncatedTCP},
			{out, ip(6), "100.66.0.2", "203.0.113.200", filter.Forward, filter.ReasonNotInForce},
			{out, ip(6), "100.64.0.8", "203.0.113.200", filter.Forward, filter.ReasonExempt},

			// Inbound, the subscriber is the destination.
			{in, synack, "203.0.113.25:25", "100.64.0.4:1", filter.Drop, filter.ReasonInboundSourcePort},
			{in, synack, "203.0.113.200:25", "100.64.0.4:1", filter.Monitored, filter.ReasonInboundSourcePort},
			{in, synack, "203.0.113.25:25", "100.64.0.2:1", filter.Monitored, filter.ReasonInboundSourcePort},
			{in, synack, "203.0.113.25:25", "100.66.0.2:1", filter.Forward, filter.ReasonNotInForce},
			{in, synack, "203.0.113.25:25", "100.64.0.8:1", filter.Forward, filter.ReasonInbound},
			{in, synack, "198.51.100.3:25", "100.66.0.2:1", filter.Forward, filter.ReasonInbound},
			{in, synack, "198.51.100.3:25", "100.64.0.4:1", filter.Monitored, filter.ReasonInboundSourcePort},
			{in, syn, "203.0.113.25:25", "100.64.0.4:1", filter.Forward, filter.ReasonInbound},
		},
		"open": {
			// Without source validation a stranger is nobody's dynamic subscriber,
			// but martians stay out and pools are judged as ever.
			{out, syn, "198.51.100.1:1", "203.0.113.25:25", filter.Forward, filter.ReasonUnlisted},
			{out, udp, "198.51.100.1:1", "203.0.113.25:53", filter.Forward, filter.ReasonUnlisted},
			{out, syn, "[2001:db8:b::1]:1", "[2001:db8:ffff::25]:25", filter.Forward, filter.ReasonUnlisted},
			{out, icmp, "198.51.100.1", "100.64.0.1", filter.Drop, filter.ReasonUnlisted},
			{out, icmp, "2001:db8:b::1", "2001:db8:a::1", filter.Drop, filter.ReasonUnlisted},
			{out, icmp, "100.64.0.2", "100.64.0.1", filter.Local, filter.ReasonRouter},
			{out, syn, "0.0.0.0:1", "203.0.113.25:25", filter.Drop, filter.ReasonMartianSource},
			{out, syn, "198.51.100.1:1", "198.51.100.1:25", filter.Drop, filter.ReasonLand},
			{out, syn, "100.64.0.2:40000", "203.0.113.25:25", filter.Reset, filter.ReasonBlockedPort},
			{out, syn, "100.65.0.2:40000", "203.0.113.25:25", filter.Forward, filter.ReasonStatic},
		},
	}
}
