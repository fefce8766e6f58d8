// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

const (
	subjectSource      = "source"
	subjectDestination = "destination"
	subjectAllowed     = "allowed"
	subjectTransport   = "other transports"
	subjectSessions    = "established: reset"
	subjectInbound     = "inbound_source_port: block"
	subjectReturn      = "inbound"
	subjectProhibited  = "response: prohibited"
	subjectSilent      = "response: drop"
	subjectUnlisted    = "source_validation: off"
)

// listed is an address and why it is dropped.
type listed struct {
	address string
	what    string
	reason  filter.Reason
}

func sources() []listed {
	const martian, spoofed = filter.ReasonMartianSource, filter.ReasonSpoofedSource
	return []listed{
		{"0.0.0.0", "unspecified", martian}, {"0.1.2.3", "this network", martian},
		{"127.0.0.1", "loopback", martian}, {"127.255.255.254", "loopback", martian},
		{"169.254.1.1", "link-local", martian}, {"224.0.0.1", "multicast", martian}, {"239.255.255.250", "multicast", martian},
		{"240.0.0.1", "reserved", martian}, {"255.255.255.255", "broadcast", martian},
		{"10.0.0.1", "private", spoofed}, {"172.16.0.1", "private", spoofed}, {"192.168.0.1", "private", spoofed},
		{"198.18.0.1", "benchmarking", spoofed}, {"192.0.2.1", "somebody's", spoofed}, {"203.0.113.10", "a server's", spoofed},
		{"192.0.2.25", "the relay's", spoofed}, {"198.51.100.1", "the gateway's upstream", spoofed},
		{"198.51.100.2", "the next router's", spoofed}, {"100.128.0.1", "just behind the pool", spoofed}, {"100.63.255.255", "just before the pool", spoofed},
		{"::", "unspecified", martian}, {"::1", "loopback", martian}, {"ff02::1", "multicast", martian}, {"ff0e::25", "multicast", martian},
		{"fe80::25", "link-local", martian}, {"::ffff:100.64.0.2", "IPv4-mapped", martian}, {"::ffff:203.0.113.25", "IPv4-mapped", martian},
		{"::100.64.0.2", "IPv4-compatible", spoofed}, {"fec0::1", "site-local", spoofed}, {"fd00::1", "unique local", spoofed}, {"fc00::1", "unique local", spoofed},
		{"2002:6440:2::1", "6to4", spoofed}, {"2001:0:c000:225::1", "Teredo", spoofed}, {"64:ff9b::6440:2", "NAT64", spoofed},
		{"100::1", "discard-only", spoofed}, {"2001:db8:cafe::10", "a server's", spoofed}, {"2001:db8:25::25", "the relay's", spoofed},
		{"2001:db8:ff::1", "the gateway's upstream", spoofed}, {"2001:db8:b::1", "just behind the pool", spoofed}, {"2001:db8:9:ffff::1", "just before the pool", spoofed},
	}
}

func destinations() []listed {
	const martian = filter.ReasonMartianDestination
	return []listed{
		{"0.0.0.0", "unspecified", martian}, {"127.0.0.1", "loopback", martian}, {"169.254.1.1", "link-local", martian},
		{"224.0.0.1", "multicast", martian}, {"239.1.1.1", "multicast", martian}, {"255.255.255.255", "broadcast", martian},
		{"::", "unspecified", martian}, {"::1", "loopback", martian}, {"ff02::1", "multicast", martian}, {"ff0e::25", "multicast", martian},
		{"fe80::25", "link-local", martian}, {"::ffff:203.0.113.25", "IPv4-mapped", martian}, {"::ffff:192.0.2.2", "IPv4-mapped", martian},
	}
}

// refusedDestinations are unicast, whatever else they are; what the gateway refuses
// there is answered in their name.
func refusedDestinations() []listed {
	return []listed{
		{"203.0.113.25", "a mail server", 0}, {"203.0.113.10", "a host", 0}, {"203.0.113.80", "a web server", 0},
		{"203.0.113.99", "nobody", 0}, {"198.51.100.2", "the next router", 0}, {"100.65.0.2", "another subscriber", 0},
		{"10.0.0.25", "private", 0}, {"240.0.0.1", "reserved", 0}, {"192.0.2.24", "just before the relay", 0}, {"192.0.2.26", "just behind the relay", 0},
		{"203.0.113.255", "the server network's broadcast", 0}, {"192.88.99.1", "6to4 relay", 0},
		{"2001:db8:cafe::25", "a mail server", 0}, {"2001:db8:cafe::10", "a host", 0}, {"2001:db8:cafe::80", "a web server", 0},
		{"2001:db8:cafe::99", "nobody", 0}, {"2001:db8:cafe::", "the routers' anycast", 0}, {"2001:db8:ff::2", "the next router", 0},
		{"2001:db8:a:ffff::2", "another subscriber", 0}, {"64:ff9b::203.0.113.25", "NAT64", 0}, {"64:ff9b:1::203.0.113.25", "NAT64, local use", 0},
		{"2002:cb00:7119::25", "6to4", 0}, {"2001:0:cb00:7119::1", "Teredo", 0}, {"fd00::25", "unique local", 0}, {"fec0::25", "site-local", 0},
		{"::203.0.113.25", "IPv4-compatible", 0}, {"2001:db8:25::24", "just before the relay", 0}, {"2001:db8:25::26", "just behind the relay", 0},
	}
}

func familyOf(a netip.Addr) lab.Family {
	if a.Is4() {
		return lab.IPv4
	}
	return lab.IPv6
}

func addAddresses(c *catalogue) {
	for _, s := range sources() {
		from := netip.MustParseAddr(s.address)
		family := only(familyOf(from))
		c.add(subjectSource, fmt.Sprintf("%s (%s)", s.address, s.what), func(p place) []step {
			return one(dropped(p.tcp(from, p.MX, lab.PortSMTP).Bytes(), s.reason))
		}, family)
		c.add(subjectSource, fmt.Sprintf("%s (%s), hop limit 0", s.address, s.what), func(p place) []step {
			return one(dropped(p.tcp(from, p.MX, lab.PortSMTP).TTL(0).Bytes(), s.reason))
		}, family)
	}
	for _, d := range destinations() {
		to := netip.MustParseAddr(d.address)
		c.add(subjectDestination, fmt.Sprintf("%s (%s)", d.address, d.what), func(p place) []step {
			s := dropped(p.tcp(p.Dynamic, to, lab.PortSMTP).Bytes(), d.reason)
			if to.IsLinkLocalUnicast() {
				// No routing rule leads it off the link, so the guard answers.
				s = s.byKernel("a link-local destination stays on its link")
			}
			return one(s)
		}, only(familyOf(to)))
	}
	for _, d := range refusedDestinations() {
		to := netip.MustParseAddr(d.address)
		c.add(subjectDestination, fmt.Sprintf("%s (%s)", d.address, d.what), func(p place) []step {
			s := p.refusedBy(to, p.tcp(p.Dynamic, to, lab.PortSMTP).Bytes(), sequenceNumber+1)
			return one(s)
		}, only(familyOf(to)))
	}
	c.add(subjectDestination, "the gateway itself", func(p place) []step {
		b := p.tcp(p.Dynamic, p.GatewayDynamic, lab.PortSMTP).Bytes()
		return one(p.refusedBy(p.GatewayDynamic, b, sequenceNumber+1).byKernel("its own address"))
	})
	c.add(subjectDestination, "the gateway's upstream address", func(p place) []step {
		b := p.tcp(p.Dynamic, p.GatewayUpstream, lab.PortSMTP).Bytes()
		return one(p.refusedBy(p.GatewayUpstream, b, sequenceNumber+1).byKernel("its own address"))
	})
	c.add(subjectDestination, "the sender itself (land)", func(p place) []step {
		return one(dropped(p.tcp(p.Dynamic, p.Dynamic, lab.PortSMTP).Bytes(), filter.ReasonLand))
	})
	c.add(subjectDestination, "the sender itself (land), port 25 to 25", func(p place) []step {
		both := at(p.Dynamic, lab.PortSMTP).String()
		return one(dropped(filtertest.TCP(both, both).ID(uint32(p.key)).Bytes(), filter.ReasonLand))
	})
	c.add(subjectSource, "the server's own (land)", func(p place) []step {
		return one(dropped(p.tcp(p.MX, p.MX, lab.PortSMTP).Bytes(), filter.ReasonLand))
	})

	// A neighbour's address is in a pool, so it may be answered; the access network
	// keeps subscribers from using each other's (README, "Limits").
	for _, n := range []listed{
		{"100.64.0.3", "a neighbour's", 0}, {"100.127.255.255", "the pool's last", 0}, {"2001:db8:a:1::3", "a neighbour's", 0},
	} {
		from := netip.MustParseAddr(n.address)
		c.add(subjectSource, fmt.Sprintf("%s (%s)", n.address, n.what), func(p place) []step {
			s := p.refused(p.tcp(from, p.MX, lab.PortSMTP).Bytes(), sequenceNumber+1)
			s.answer = resetSegment(p.MX, from, p.key, 0, sequenceNumber+1, flagRST|flagACK)
			return one(s.byKernel("the answer goes to the neighbour"))
		}, only(familyOf(from)))
	}
	addAllowed(c)
	addUnlisted(c)
	addResponses(c)
}

// addAllowed adds what must open: the proof that the others could have.
func addAllowed(c *catalogue) {
	c.add(subjectAllowed, "SYN to a relay", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Bytes(), filter.ReasonRelay))
	}, opening())
	c.add(subjectAllowed, "SYN with data to a relay", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Data("EHLO x\r\n").Bytes(), filter.ReasonRelay))
	}, opening())
	c.add(subjectAllowed, "SYN+ECE+CWR to a relay", func(p place) []step {
		b := p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Flags(filtertest.SYN | filtertest.ECE | filtertest.CWR).Bytes()
		return one(forwarded(b, filter.ReasonRelay))
	}, opening())
	c.add(subjectAllowed, "SYN of a static subscriber", func(p place) []step {
		return one(forwarded(p.tcp(p.Static, p.MX, lab.PortSMTP).Bytes(), filter.ReasonStatic))
	}, sentFrom(fromStatic), opening())
	c.add(subjectAllowed, "SYN with data of a static subscriber", func(p place) []step {
		return one(forwarded(p.tcp(p.Static, p.MX, lab.PortSMTP).Data("EHLO x\r\n").Bytes(), filter.ReasonStatic))
	}, sentFrom(fromStatic), opening())
	c.add(subjectAllowed, "SYN of a static subscriber with a wrong checksum", func(p place) []step {
		return one(forwarded(p.tcp(p.Static, p.MX, lab.PortSMTP).Checksum(filtertest.Bad).Bytes(), filter.ReasonStatic))
	}, sentFrom(fromStatic))
	c.add(subjectAllowed, "static subscriber with a source outside every pool", func(p place) []step {
		return one(dropped(p.tcp(p.Internet, p.MX, lab.PortSMTP).Bytes(), filter.ReasonSpoofedSource))
	}, sentFrom(fromStatic))
}

// addUnlisted lets go of source validation: what is in no pool passes, unanswered.
func addUnlisted(c *catalogue) {
	c.add(subjectUnlisted, "SYN from an address in no pool", func(p place) []step {
		from := netip.MustParseAddr("10.0.0.25")
		if !p.is4() {
			from = netip.MustParseAddr("2001:db8:dead::25")
		}
		return one(forwarded(p.tcp(from, p.MX, lab.PortSMTP).Bytes(), filter.ReasonUnlisted))
	}, under(unlisted), opening())
	c.add(subjectUnlisted, "SYN from a martian", func(p place) []step {
		from := netip.MustParseAddr("240.0.0.25")
		if !p.is4() {
			from = netip.MustParseAddr("ff0e::25")
		}
		return one(dropped(p.tcp(from, p.MX, lab.PortSMTP).Bytes(), filter.ReasonMartianSource))
	}, under(unlisted))
	c.add(subjectUnlisted, "SYN of the subscriber", func(p place) []step {
		return one(p.refused(p.syn().Bytes(), sequenceNumber+1))
	}, under(unlisted))
	c.add(subjectUnlisted, "SYN of the subscriber cut at [8]", func(p place) []step {
		return fates(p.syn().Cut(8), tiny, overlap)
	}, under(unlisted))
}

// addResponses adds the other ways to refuse.
func addResponses(c *catalogue) {
	for _, o := range []struct {
		name  string
		build func(p place) filtertest.Packet
	}{
		{"SYN", place.syn},
		{"SYN with data", func(p place) filtertest.Packet { return p.syn().Data("EHLO x\r\n") }},
		{"SYN with 1300 octets", func(p place) filtertest.Packet { return p.syn().Data(string(make([]byte, 1300))) }},
		{"SYN+FIN", func(p place) filtertest.Packet { return p.syn().Flags(filtertest.SYN | filtertest.FIN) }},
		{"SYN behind AH", func(p place) filtertest.Packet { return p.syn().Chain(filtertest.AH(24)) }},
	} {
		c.add(subjectProhibited, o.name, func(p place) []step {
			b := o.build(p).Bytes()
			label(b, p.key)
			return one(step{
				packet: b, want: filter.Verdict{Action: filter.Prohibited, Reason: filter.ReasonBlockedPort},
				answer: unreachableError(p.GatewayDynamic, b),
			})
		}, under(prohibited))
		c.add(subjectSilent, o.name, func(p place) []step {
			return one(dropped(o.build(p).Bytes(), filter.ReasonBlockedPort))
		}, under(silent))
	}
	c.add(subjectProhibited, "SYN cut at [8]", func(p place) []step {
		return fates(p.syn().Cut(8), tiny, overlap)
	}, under(prohibited))
	c.add(subjectProhibited, "SYN with a wrong checksum", func(p place) []step {
		return one(dropped(p.syn().Checksum(filtertest.Bad).Bytes(), filter.ReasonBadChecksum))
	}, under(prohibited))
}

func addTransports(c *catalogue) {
	for _, o := range []struct {
		name  string
		build func(from, to string) filtertest.Packet
	}{
		{"UDP to port 25", filtertest.UDP},
		{"SCTP to port 25", filtertest.SCTP},
		{"ICMP echo", filtertest.ICMP},
		{"GRE", filtertest.GRE},
		{"DCCP to port 25", func(from, to string) filtertest.Packet { return looksLikeTCP(33, from, to) }},
		{"UDP-Lite to port 25", func(from, to string) filtertest.Packet { return looksLikeTCP(136, from, to) }},
		{"protocol 7, in the form of a SYN", func(from, to string) filtertest.Packet { return looksLikeTCP(7, from, to) }},
		{"protocol 132, in the form of a SYN", func(from, to string) filtertest.Packet { return looksLikeTCP(132, from, to) }},
		{"OSPF", func(from, to string) filtertest.Packet { return looksLikeTCP(89, from, to) }},
	} {
		c.add(subjectTransport, o.name, func(p place) []step {
			b := o.build(at(p.Dynamic, p.key).String(), at(p.MX, lab.PortSMTP).String()).ID(uint32(p.key)).Bytes()
			return one(forwarded(b, filter.ReasonNotTCP))
		})
	}
	c.add(subjectTransport, "ESP over a SYN", func(p place) []step {
		b := looksLikeTCP(50, at(p.Dynamic, p.key).String(), at(p.MX, lab.PortSMTP).String()).ID(uint32(p.key)).Bytes()
		return one(forwarded(b, filter.ReasonOpaque))
	})
	c.add(subjectTransport, "UDP in fragments", func(p place) []step {
		u := filtertest.UDP(at(p.Dynamic, p.key).String(), at(p.MX, lab.PortSMTP).String()).ID(uint32(p.key)).Data(string(make([]byte, 1192)))
		return forwardedAll(u.Cut(600), filter.ReasonNotTCP)
	}, only(lab.IPv4))
	c.add(subjectTransport, "UDP in fragments", func(p place) []step {
		u := filtertest.UDP(at(p.Dynamic, p.key).String(), at(p.MX, lab.PortSMTP).String()).ID(uint32(p.key)).Data(string(make([]byte, 1192)))
		f := u.Cut(600)
		return []step{forwarded(f[0], filter.ReasonNotTCP), forwarded(f[1], filter.ReasonLaterFragment)}
	}, only(lab.IPv6))
}

// looksLikeTCP carries a SYN under the number of another protocol.
func looksLikeTCP(proto uint8, from, to string) filtertest.Packet {
	b := filtertest.TCP(from, to).Bytes()
	return filtertest.IP(proto, from, to).Data(string(b[len(b)-20:]))
}

// addEstablished judges every segment, not only those that open a connection.
func addEstablished(c *catalogue) {
	const theirs = 0x01020304 // the acknowledgment number
	add := func(name string, steps func(p place) []step) { c.add(subjectSessions, name, steps, under(sessions)) }
	for _, f := range []filtertest.Flags{
		filtertest.ACK, filtertest.PSH | filtertest.ACK, filtertest.FIN | filtertest.ACK,
		filtertest.SYN | filtertest.ACK, filtertest.SYN | filtertest.FIN | filtertest.ACK, filtertest.ACK | filtertest.URG | filtertest.ECE | filtertest.CWR,
		0xfff &^ filtertest.RST,
	} {
		add(flagNames(f), func(p place) []step {
			// RFC 9293, section 3.5.2: <SEQ=SEG.ACK><CTL=RST>.
			return one(p.cutOff(p.syn().Flags(f).Ack(theirs).Bytes(), theirs, 0, flagRST))
		})
	}
	for _, o := range []struct {
		flags  filtertest.Flags
		length uint32
	}{
		{0, 0}, {filtertest.FIN, 1}, {filtertest.PSH, 0}, {filtertest.URG, 0}, {filtertest.FIN | filtertest.PSH | filtertest.URG, 1}, {allReserved, 0},
	} {
		add(flagNames(o.flags), func(p place) []step {
			// <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
			return one(p.cutOff(p.syn().Flags(o.flags).Bytes(), 0, sequenceNumber+o.length, flagRST|flagACK))
		})
	}
	for _, f := range []filtertest.Flags{filtertest.RST, filtertest.RST | filtertest.ACK, filtertest.RST | filtertest.FIN | filtertest.PSH} {
		add(flagNames(f), func(p place) []step { return one(dropped(p.syn().Flags(f).Bytes(), filter.ReasonResetSegment)) })
	}
	for _, f := range []filtertest.Flags{filtertest.SYN | filtertest.RST, 0xfff} {
		add(flagNames(f), func(p place) []step { return one(dropped(p.syn().Flags(f).Bytes(), filter.ReasonSYNRST)) })
	}
	add("SYN", func(p place) []step { return one(p.refused(p.syn().Bytes(), sequenceNumber+1)) })
	add("ACK with data", func(p place) []step {
		return one(p.cutOff(p.syn().Flags(filtertest.ACK).Ack(theirs).Data("EHLO x\r\n").Bytes(), theirs, 0, flagRST))
	})
	add("ACK with a wrong checksum", func(p place) []step {
		return one(dropped(p.syn().Flags(filtertest.ACK).Checksum(filtertest.Bad).Bytes(), filter.ReasonBadChecksum))
	})
	add("ACK with data cut at [24]", func(p place) []step {
		return fates(p.syn().Flags(filtertest.ACK).Data(string(make([]byte, 60))).Cut(24), cutSYN, overlap)
	})
	add("ACK to port 26", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MX, 26).Flags(filtertest.ACK).Bytes(), filter.ReasonOtherPort))
	})
	add("ACK to a relay", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Flags(filtertest.ACK).Bytes(), filter.ReasonRelay))
	})
}

// addInbound adds what comes from a mail server towards subscribers: the receiving
// half of triangular spamming.
func addInbound(c *catalogue) {
	towards := func(p place, from netip.Addr, port uint16, to netip.Addr) filtertest.Packet {
		return filtertest.TCP(at(from, port).String(), at(to, p.key).String()).ID(uint32(p.key)).Seq(sequenceNumber)
	}
	segments := []filtertest.Flags{
		filtertest.SYN | filtertest.ACK, filtertest.ACK, filtertest.PSH | filtertest.ACK, filtertest.FIN | filtertest.ACK,
		filtertest.RST, filtertest.RST | filtertest.ACK, 0, filtertest.FIN, filtertest.SYN | filtertest.RST | filtertest.ACK,
	}
	for _, f := range segments {
		c.add(subjectInbound, flagNames(f)+" from port 25", func(p place) []step {
			return one(dropped(towards(p, p.MX, lab.PortSMTP, p.Dynamic).Flags(f).Bytes(), filter.ReasonInboundSourcePort))
		}, under(inbound), sentFrom(fromInternet))
		c.add(subjectReturn, flagNames(f)+" from port 25", func(p place) []step {
			return one(forwarded(towards(p, p.MX, lab.PortSMTP, p.Dynamic).Flags(f).Bytes(), filter.ReasonInbound))
		}, sentFrom(fromInternet))
	}
	pass := func(name string, build func(p place) []byte) {
		c.add(subjectInbound, name, func(p place) []step {
			return one(forwarded(build(p), filter.ReasonInbound))
		}, under(inbound), sentFrom(fromInternet))
	}
	const synACK = filtertest.SYN | filtertest.ACK
	pass("SYN from port 25", func(p place) []byte { return towards(p, p.MX, lab.PortSMTP, p.Dynamic).Bytes() })
	pass("SYN+ACK from port 587", func(p place) []byte {
		return towards(p, p.MX, lab.PortSubmission, p.Dynamic).Flags(synACK).Bytes()
	})
	pass("SYN+ACK from a relay's port 25", func(p place) []byte {
		return towards(p, p.MSA, lab.PortSMTP, p.Dynamic).Flags(synACK).Bytes()
	})
	pass("SYN+ACK from port 25 to a static address", func(p place) []byte {
		return towards(p, p.MX, lab.PortSMTP, p.Static).Flags(synACK).Bytes()
	})
	pass("UDP from port 25", func(p place) []byte {
		return filtertest.UDP(at(p.MX, lab.PortSMTP).String(), at(p.Dynamic, p.key).String()).ID(uint32(p.key)).Bytes()
	})
	c.add(subjectInbound, "SYN+ACK from port 25, cut at [8]", func(p place) []step {
		return fates(towards(p, p.MX, lab.PortSMTP, p.Dynamic).Flags(synACK).Cut(8), tiny, overlap)
	}, under(inbound), sentFrom(fromInternet))
	c.add(subjectInbound, "SYN+ACK from port 25 behind AH", func(p place) []step {
		b := towards(p, p.MX, lab.PortSMTP, p.Dynamic).Flags(synACK).Chain(filtertest.AH(24)).Bytes()
		return one(dropped(b, filter.ReasonInboundSourcePort))
	}, under(inbound), sentFrom(fromInternet))
	c.add(subjectReturn, "SYN from a martian", func(p place) []step {
		from := netip.MustParseAddr("127.0.0.25")
		if !p.is4() {
			from = netip.MustParseAddr("::1")
		}
		return one(dropped(towards(p, from, 4000, p.Dynamic).Bytes(), filter.ReasonMartianSource))
	}, sentFrom(fromInternet))
}
