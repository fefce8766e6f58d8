// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"slices"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

const (
	subjectTunnel    = "tunnels"
	subjectInspected = "inspect_tunnels"
)

// encapsulation wraps a packet in another.
type encapsulation struct {
	name string
	size int // of what comes before the inner packet
	wrap func(p place, inner []byte) filtertest.Packet
}

const (
	protoIPIP = 4
	protoSIT  = 41
	protoGRE  = 47
)

func (p place) carrying(proto uint8, payload ...[]byte) filtertest.Packet {
	return filtertest.IP(proto, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key)).Data(string(slices.Concat(payload...)))
}

// protocolOf is the number that an inner packet is carried under.
func protocolOf(inner []byte) uint8 {
	if inner[0]>>4 == 6 {
		return protoSIT
	}
	return protoIPIP
}

func etherTypeOf(inner []byte) []byte {
	if inner[0]>>4 == 6 {
		return []byte{0x86, 0xdd}
	}
	return []byte{0x08, 0x00}
}

func encapsulations() []encapsulation {
	gre := func(flags byte, optional int) func(place, []byte) filtertest.Packet {
		return func(p place, inner []byte) filtertest.Packet {
			return p.carrying(protoGRE, []byte{flags, 0}, etherTypeOf(inner), make([]byte, optional), inner)
		}
	}
	return []encapsulation{
		{"IP in IP", 0, func(p place, inner []byte) filtertest.Packet { return p.carrying(protocolOf(inner), inner) }},
		{"GRE", 4, gre(0, 0)},
		{"GRE with checksum", 8, gre(0x80, 4)},
		{"GRE with key", 8, gre(0x20, 4)},
		{"GRE with sequence number", 8, gre(0x10, 4)},
		{"GRE with all three", 16, gre(0xb0, 12)},
	}
}

// innerSYN is from whoever is inside: its source is not the subscriber's.
func (p place) innerSYN(f lab.Family, port uint16) filtertest.Packet {
	from := netip.MustParseAddr("192.168.7.7")
	if f == lab.IPv6 {
		from = netip.MustParseAddr("fd00:7::7")
	}
	return filtertest.TCP(at(from, p.key).String(), at(f.Addrs().MX, port).String()).ID(uint32(p.key)).Seq(sequenceNumber)
}

func addTunnels(c *catalogue) {
	for _, e := range encapsulations() {
		for _, f := range []lab.Family{lab.IPv4, lab.IPv6} {
			c.add(subjectTunnel, e.name+", "+f.String()+" SYN inside", func(p place) []step {
				return one(forwarded(e.wrap(p, p.innerSYN(f, lab.PortSMTP).Bytes()).Bytes(), filter.ReasonNotTCP))
			})
			addInspected(c, e, f)
		}
	}
	unreadable := func(name string, build func(p place) []byte) {
		c.add(subjectInspected, name, func(p place) []step { return one(dropped(build(p), filter.ReasonTunnelUnreadable)) }, under(tunnels))
	}
	pass := func(name string, build func(p place) []byte) {
		c.add(subjectInspected, name, func(p place) []step { return one(forwarded(build(p), filter.ReasonNotTCP)) }, under(tunnels))
	}
	inside := func(p place) []byte { return p.innerSYN(lab.IPv4, lab.PortSMTP).Bytes() }
	unreadable("IP in IP, empty", func(p place) []byte {
		return p.carrying(protoIPIP).Data("\x00").Bytes()
	})
	unreadable("IP in IP, half a header", func(p place) []byte { return p.carrying(protoIPIP, inside(p)[:10]).Bytes() })
	unreadable("IP in IP, inside cut short", func(p place) []byte { return p.carrying(protoIPIP, inside(p)[:30]).Bytes() })
	unreadable("GRE, two octets", func(p place) []byte { return p.carrying(protoGRE, []byte{0, 0}).Bytes() })
	unreadable("GRE with key, cut short", func(p place) []byte { return p.carrying(protoGRE, []byte{0x20, 0, 8, 0}).Bytes() })
	unreadable("GRE with routing", func(p place) []byte {
		return p.carrying(protoGRE, []byte{0x40, 0, 8, 0, 0, 0, 0, 0}, inside(p)).Bytes()
	})
	pass("GRE version 1 (PPTP)", func(p place) []byte {
		return p.carrying(protoGRE, []byte{0x30, 1, 0x88, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0}).Bytes()
	})
	pass("GRE with Ethernet inside", func(p place) []byte {
		return p.carrying(protoGRE, []byte{0, 0, 0x65, 0x58}, make([]byte, 14), inside(p)).Bytes()
	})
	pass("IP in IP in IP: the second level is not read", func(p place) []byte {
		second := filtertest.IP(protoIPIP, "192.168.7.7", "192.0.2.99").Data(string(inside(p))).Bytes()
		return p.carrying(protoIPIP, second).Bytes()
	})
	for _, o := range []struct {
		name string
		port uint16
		wrap func(b []byte) []byte
	}{
		{"UDP port 4789 (VXLAN)", 4789, func(b []byte) []byte {
			return slices.Concat([]byte{8, 0, 0, 0, 0, 0, 1, 0}, make([]byte, 12), []byte{8, 0}, b)
		}},
		{"UDP port 3544 (Teredo)", 3544, func(b []byte) []byte { return b }},
		{"UDP port 51820 (WireGuard)", 51820, func(b []byte) []byte { return append([]byte{4, 0, 0, 0}, b...) }},
	} {
		pass(o.name, func(p place) []byte {
			u := filtertest.UDP(at(p.Dynamic, p.key).String(), at(p.MX, o.port).String()).ID(uint32(p.key))
			return u.Data(string(o.wrap(inside(p)))).Bytes()
		})
	}
	c.add(subjectInspected, "a SYN outside any tunnel", func(p place) []step {
		return one(p.refused(p.syn().Bytes(), sequenceNumber+1))
	}, under(tunnels))
}

// addInspected adds one encapsulation of one family, looked into.
func addInspected(c *catalogue, e encapsulation, f lab.Family) {
	name := func(what string) string { return e.name + ", " + f.String() + " " + what }
	c.add(subjectInspected, name("SYN inside"), func(p place) []step {
		return one(dropped(e.wrap(p, p.innerSYN(f, lab.PortSMTP).Bytes()).Bytes(), filter.ReasonTunneledPort))
	}, under(tunnels))
	c.add(subjectInspected, name("SYN to port 26 inside"), func(p place) []step {
		return one(forwarded(e.wrap(p, p.innerSYN(f, 26).Bytes()).Bytes(), filter.ReasonOtherPort))
	}, under(tunnels))
	c.add(subjectInspected, name("half a SYN inside"), func(p place) []step {
		return fates([][]byte{
			e.wrap(p, p.innerSYN(f, lab.PortSMTP).Cut(8)[0]).Bytes(),
			e.wrap(p, p.innerSYN(f, lab.PortSMTP).Cut(8)[1]).Bytes(),
		}, tiny, overlap)
	}, under(tunnels))
	c.add(subjectInspected, name("SYN inside, the outside cut at 48"), func(p place) []step {
		pieces := e.wrap(p, p.innerSYN(f, lab.PortSMTP).Data(string(make([]byte, 64))).Bytes()).Cut(48)
		// How much of the inside the first shows depends on the headers.
		inner := 20
		if f == lab.IPv6 {
			inner = 40
		}
		first := tiny
		switch room := 48 - e.size - inner; {
		case room >= 20:
			first = filter.ReasonTunneledPort
		case room <= 0:
			first = filter.ReasonTunnelUnreadable
		}
		return fates(pieces, first, overlap)
	}, under(tunnels))
}
