// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"slices"
	"strings"

	"op25b/filter/filtertest"
)

// universe is a family's material to build fragments from: a SYN to port 25 and
// its disguises, which a sender mixes with it.
type universe struct {
	name      string
	disguises []filtertest.Packet // the first is the bare truth
	cuts      []int               // where things change
}

func universes() []universe {
	return []universe{
		newUniverse("IPv4", "100.64.0.2:40000", "203.0.113.25:25", nil,
			0, 8, 16, 24, 40, 72, 80, 88),
		newUniverse("IPv4 AH", "100.64.0.2:40000", "203.0.113.25:25",
			[]filtertest.Header{filtertest.AH(12), filtertest.AH(12)},
			0, 8, 16, 24, 32, 48, 72, 80, 88),
		newUniverse("IPv4 AH to the floor", "100.64.0.2:40000", "203.0.113.25:25",
			[]filtertest.Header{filtertest.AH(80), filtertest.AH(16)},
			0, 80, 88, 96, 104, 120),
		newUniverse("IPv6", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", nil,
			0, 8, 16, 24, 40, 504, 512),
		newUniverse("IPv6 options", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25",
			[]filtertest.Header{filtertest.DestOpts(16), filtertest.Routing(4, 0)},
			0, 8, 16, 24, 32, 40, 48, 504, 512),
		newUniverse("IPv6 TCP across the floor", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25",
			[]filtertest.Header{filtertest.DestOpts(504)},
			0, 504, 512, 520, 528),
		newUniverse("IPv6 chain to the floor", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25",
			[]filtertest.Header{filtertest.DestOpts(512), filtertest.DestOpts(8)},
			0, 8, 512, 520, 544),
		newUniverse("IPIP", "100.64.0.2:40000", "203.0.113.25:25", nil,
			0, 8, 24, 40, 48, 64, 80, 512).within(4, "100.64.0.2", "203.0.113.9"),
		newUniverse("IPIP behind AH", "100.64.0.2:40000", "203.0.113.25:25", nil,
			0, 72, 80, 88, 96, 120).within(4, "100.64.0.2", "203.0.113.9", filtertest.AH(48)),
		newUniverse("IPv6 in IPv6, towards a relay", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", nil,
			0, 40, 48, 64, 512).within(41, "2001:db8:a::2", "2001:db8:25::25"),
		newUniverse("IPv6 in GRE across the floor", "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25", nil,
			0, 504, 512, 520, 576).within(47, "2001:db8:a::2", "2001:db8:ffff::9", filtertest.DestOpts(456)),
	}
}

// within puts everything into a tunnel, some of it in fragments that claim to
// be of TCP.
func (u universe) within(proto uint8, from, to string, chain ...filtertest.Header) universe {
	head := ""
	if proto == 47 {
		head = "\x00\x00\x86\xdd"
	}
	inner := u.disguises
	u.disguises = nil
	for _, p := range inner {
		u.disguises = append(u.disguises, filtertest.IP(proto, from, to).Chain(chain...).Data(head+string(p.Bytes())))
	}
	u.disguises = append(u.disguises, filtertest.IP(6, from, to).Chain(chain...).Data(head+string(inner[0].Bytes())))
	return u
}

func newUniverse(name, from, to string, chain []filtertest.Header, cuts ...int) universe {
	const data = "twenty octets of data, and sixty more that lie behind the floor of IPv4, to be cut."
	syn := filtertest.TCP(from, to).Chain(chain...).Data(data)
	other := filtertest.TCP(from, strings.TrimSuffix(to, "25")+"80").Chain(chain...).Data(data)
	segment := string(filtertest.TCP(from, to).Data(data).Fragmentable())
	shifted := append([]filtertest.Header{filtertest.AH(16)}, chain...)
	return universe{
		name: name, cuts: cuts,
		disguises: []filtertest.Packet{
			syn,
			other,
			syn.Flags(filtertest.ACK),
			syn.Flags(filtertest.SYN | filtertest.ACK),
			filtertest.IP(17, from, to).Chain(chain...).Data(segment), // the same octets, called UDP
			syn.Chain(shifted...),
			other.Chain(shifted...),
		},
	}
}

// wire is a fragment as it is sent, with what a receiver makes of it.
type wire struct {
	octets []byte
	piece  piece
}

// pieces returns what lies between any two cuts, as last piece and not as last.
func (u universe) pieces() []wire {
	var all []wire
	for _, p := range u.disguises {
		body := p.Fragmentable()
		cuts := slices.DeleteFunc(slices.Clone(u.cuts), func(cut int) bool { return cut >= len(body) })
		cuts = append(cuts, len(body))
		for i, from := range cuts {
			for _, to := range cuts[i+1:] {
				for _, more := range []bool{true, false} {
					all = appendWire(all, p.Piece(from, more, body[from:to]))
				}
			}
		}
	}
	return all
}

// appendWire adds a fragment, unless it is none.
func appendWire(all []wire, b []byte) []wire {
	if p, ok := parsePiece(b); ok {
		return append(all, wire{b, p})
	}
	return all
}

// distinct leaves out what is the same to a receiver, which does not look at
// "more fragments".
func distinct(all []wire) []wire {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(w wire) bool {
		key := fmt.Sprintf("%d %d %x", w.piece.offset, w.piece.next, w.piece.data)
		known := seen[key]
		seen[key] = true
		return known
	})
}
