// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

// reversed returns the packets in the other order.
func reversed[T any](s []T) []T {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// fates pairs packets with reasons to drop them.
func fates(packets [][]byte, reasons ...filter.Reason) []step {
	var steps []step
	for i, b := range packets {
		steps = append(steps, dropped(b, reasons[min(i, len(reasons)-1)]))
	}
	return steps
}

// inOrders adds fragments in its order, backwards, and with each packet twice.
func inOrders(c *catalogue, name string, steps func(p place) []step, options ...option) {
	c.add(subjectFragments, name, steps, options...)
	c.add(subjectFragments, name+", backwards", func(p place) []step { return reversed(steps(p)) }, options...)
	c.add(subjectFragments, name+", each twice", func(p place) []step {
		var twice []step
		for _, s := range steps(p) {
			twice = append(twice, s, s)
		}
		return twice
	}, options...)
}

const (
	tiny    = filter.ReasonTinyFragment
	overlap = filter.ReasonOverlappingFragment
	cutSYN  = filter.ReasonFragmentedSYN
)

// floorOf is where later fragments may begin: see filter/fragment.go.
func (p place) floor() int {
	if p.is4() {
		return 80
	}
	return 512
}

func addFragments4(c *catalogue) {
	body := strings.Repeat("x", 1200) // enough to reach behind the floor
	long := func(p place) filtertest.Packet { return p.syn().Data(body) }

	// What a fragmenter makes of a SYN.
	for _, cuts := range [][]int{{8}, {8, 16}, {16}} {
		inOrders(c, fmt.Sprintf("SYN cut at %v", cuts), func(p place) []step {
			return fates(p.syn().Cut(cuts...), tiny, overlap)
		})
	}
	for _, cuts := range [][]int{{8, 16, 24}, {8, 24}, {16, 32}, {8, 16, 24, 32, 40}} {
		inOrders(c, fmt.Sprintf("SYN with data cut at %v", cuts), func(p place) []step {
			return fates(p.syn().Data(body[:64]).Cut(cuts...), tiny, overlap)
		})
	}
	for _, cuts := range [][]int{{24}, {32}, {40, 48}} {
		inOrders(c, fmt.Sprintf("SYN with data cut at %v", cuts), func(p place) []step {
			return fates(p.syn().Data(body[:64]).Cut(cuts...), cutSYN, overlap)
		})
	}
	inOrders(c, "SYN with data cut at the floor", func(p place) []step {
		f := long(p).Cut(p.floor())
		return []step{dropped(f[0], cutSYN), forwarded(f[1], filter.ReasonLaterFragment)}
	})
	inOrders(c, "SYN with data cut 8 octets before the floor", func(p place) []step {
		return fates(long(p).Cut(p.floor()-8), cutSYN, overlap)
	})
	inOrders(c, "SYN with options cut at 24", func(p place) []step {
		// The data offset points into the next fragment.
		f := p.syn().Options(2, 4, 5, 180, 1, 1, 1, 1).Data(body[:32]).Cut(24)
		return []step{dropped(f[0], filter.ReasonBadDataOffset), dropped(f[1], overlap)}
	})
	c.add(subjectFragments, "SYN cut at [10], no multiple of 8", func(p place) []step {
		// Both say an offset of 8.
		return []step{
			dropped(p.syn().Cut(10)[0], filter.ReasonBadFragment),
			dropped(p.syn().Cut(10)[1], overlap),
		}
	})

	// Overlaps: the header is written twice.
	c.add(subjectFragments, "RFC 1858: ACK, then a SYN over its flags", func(p place) []step {
		ack, syn := p.syn().Flags(filtertest.ACK).Data(body[:12]), p.syn().Data(body[:12]).Fragmentable()
		return []step{
			forwarded(ack.Piece(0, true, ack.Fragmentable()), filter.ReasonNotSYN),
			dropped(ack.Piece(8, false, syn[8:]), overlap),
		}
	})
	c.add(subjectFragments, "RFC 1858, backwards", func(p place) []step {
		ack, syn := p.syn().Flags(filtertest.ACK).Data(body[:12]), p.syn().Data(body[:12]).Fragmentable()
		return []step{
			dropped(ack.Piece(8, false, syn[8:]), overlap),
			forwarded(ack.Piece(0, true, ack.Fragmentable()), filter.ReasonNotSYN),
		}
	})
	c.add(subjectFragments, "RFC 3128: port 80, then 8 octets with port 25 over it", func(p place) []step {
		web, mail := p.tcp(p.Dynamic, p.MX, 80).Data(body[:12]), p.syn().Data(body[:12]).Fragmentable()
		return []step{
			forwarded(web.Piece(0, true, web.Fragmentable()[:24]), filter.ReasonOtherPort),
			dropped(web.Piece(0, true, mail[:8]), tiny),
			dropped(web.Piece(24, false, mail[24:]), overlap),
		}
	})
	c.add(subjectFragments, "port 80, then the same with port 25", func(p place) []step {
		web, mail := p.tcp(p.Dynamic, p.MX, 80).Data(body[:12]), p.syn().Data(body[:12]).Fragmentable()
		return []step{
			forwarded(web.Piece(0, true, web.Fragmentable()[:24]), filter.ReasonOtherPort),
			dropped(web.Piece(0, true, mail[:24]), cutSYN),
			dropped(web.Piece(24, false, mail[24:]), overlap),
		}
	})
	c.add(subjectFragments, "port 25, then the same with port 80", func(p place) []step {
		web, mail := p.tcp(p.Dynamic, p.MX, 80).Data(body[:12]), p.syn().Data(body[:12]).Fragmentable()
		return []step{
			dropped(web.Piece(0, true, mail[:24]), cutSYN),
			forwarded(web.Piece(0, true, web.Fragmentable()[:24]), filter.ReasonOtherPort),
			dropped(web.Piece(24, false, mail[24:]), overlap),
		}
	})
	c.add(subjectFragments, "the rest of a SYN that was never begun", func(p place) []step {
		f := p.syn().Data(body[:64]).Cut(8)
		return one(dropped(f[1], overlap))
	})
	c.add(subjectFragments, "the first 24 octets alone", func(p place) []step {
		return one(dropped(p.syn().Data(body[:64]).Cut(24)[0], cutSYN))
	})
	c.add(subjectFragments, "the whole SYN, but more to follow", func(p place) []step {
		return one(dropped(p.syn().Data(body[:12]).Piece(0, true, p.syn().Data(body[:12]).Fragmentable()), cutSYN))
	})
	c.add(subjectFragments, "20 octets, more to follow", func(p place) []step {
		return one(dropped(p.syn().Piece(0, true, p.syn().Fragmentable()), filter.ReasonBadFragment))
	})
	for _, at := range []int{8, 16, 64} {
		c.add(subjectFragments, fmt.Sprintf("alone, at %d", at), func(p place) []step {
			return one(dropped(p.syn().Piece(at, false, []byte(body[:64])), overlap))
		})
	}
	c.add(subjectFragments, "alone, just before the floor", func(p place) []step {
		return one(dropped(p.syn().Piece(p.floor()-8, true, []byte(body[:64])), overlap))
	})
	c.add(subjectFragments, "alone, at the floor", func(p place) []step {
		return one(forwarded(p.syn().Piece(p.floor(), true, []byte(body[:64])), filter.ReasonLaterFragment))
	})
	c.add(subjectFragments, "alone, last, far behind", func(p place) []step {
		return one(forwarded(p.syn().Piece(60000, false, []byte(body[:64])), filter.ReasonLaterFragment))
	})

	// What cannot be.
	c.add(subjectFragments, "empty first", func(p place) []step {
		return one(dropped(p.syn().Piece(0, true, nil), filter.ReasonBadFragment))
	}, only(lab.IPv4))
	c.add(subjectFragments, "empty last, behind the floor", func(p place) []step {
		return one(dropped(p.syn().Piece(p.floor(), false, nil), filter.ReasonBadFragment))
	})
	c.add(subjectFragments, "empty, at 8", func(p place) []step {
		return one(dropped(p.syn().Piece(8, false, nil), filter.ReasonBadFragment))
	})
	c.add(subjectFragments, "9 octets, more to follow, behind the floor", func(p place) []step {
		return one(dropped(p.syn().Piece(p.floor(), true, []byte(body[:9])), filter.ReasonBadFragment))
	})
	c.add(subjectFragments, "beyond 65,535 octets", func(p place) []step {
		return one(dropped(p.syn().Piece(65528, false, []byte(body[:24])), filter.ReasonBadFragment))
	})
	c.add(subjectFragments, "beyond 65,535 octets, to write over the start", func(p place) []step {
		syn := p.syn().Fragmentable()
		return []step{
			dropped(p.syn().Piece(65528, true, append([]byte("12345678"), append(syn, 0, 0, 0, 0)...)), filter.ReasonBadFragment),
			dropped(p.syn().Piece(8, false, syn[8:]), overlap),
		}
	})

	// Nothing but the fields that vary.
	c.add(subjectFragments, "SYN cut at [24], with DF", func(p place) []step {
		f := p.syn().Data(body[:64]).Cut(24)
		return []step{dropped(flags4(f[0], 0x6000), cutSYN), dropped(flags4(f[1], 0x4003), overlap)}
	}, only(lab.IPv4))
	c.add(subjectFragments, "SYN cut at [8], with DF", func(p place) []step {
		f := p.syn().Cut(8)
		return []step{dropped(flags4(f[0], 0x6000), tiny), dropped(flags4(f[1], 0x4001), overlap)}
	}, only(lab.IPv4))
	c.add(subjectFragments, "SYN cut at [8], with the evil bit", func(p place) []step {
		f := p.syn().Cut(8)
		return []step{dropped(flags4(f[0], 0xa000), tiny), dropped(flags4(f[1], 0x8001), overlap)}
	}, only(lab.IPv4))
	c.add(subjectFragments, "SYN with IPv4 options cut at [8]", func(p place) []step {
		return fates(p.syn().IPOptions(148, 4, 0, 0).Cut(8), tiny, overlap)
	}, only(lab.IPv4))
	c.add(subjectFragments, "SYN behind 40 octets of IPv4 options, cut at [16]", func(p place) []step {
		return fates(p.syn().IPOptions(make([]byte, 40)...).Cut(16), tiny, overlap)
	}, only(lab.IPv4))
	for _, f := range []filtertest.Flags{filtertest.SYN | filtertest.FIN, filtertest.SYN | filtertest.ECE | filtertest.CWR, filtertest.SYN | filtertest.URG} {
		inOrders(c, flagNames(f)+" cut at [8]", func(p place) []step {
			return fates(p.syn().Flags(f).Cut(8), tiny, overlap)
		})
	}
	c.add(subjectFragments, "SYN cut at [8], wrong TCP checksum", func(p place) []step {
		return fates(p.syn().Checksum(filtertest.Bad).Cut(8), tiny, overlap)
	})
	c.add(subjectFragments, "SYN+RST with data cut at [24]", func(p place) []step {
		f := p.syn().Flags(filtertest.SYN | filtertest.RST).Data(body[:64]).Cut(24)
		return []step{dropped(f[0], filter.ReasonSYNRST), dropped(f[1], overlap)}
	})
	c.add(subjectFragments, "the whole SYN, then the same in fragments", func(p place) []step {
		return append(one(p.refused(p.syn().Bytes(), sequenceNumber+1)), fates(p.syn().Cut(8), tiny, overlap)...)
	})

	// The rest of the world.
	c.add(subjectFragments, "ACK with data cut at the floor", func(p place) []step {
		f := p.syn().Flags(filtertest.ACK).Data(body).Cut(p.floor())
		return []step{forwarded(f[0], filter.ReasonNotSYN), forwarded(f[1], filter.ReasonLaterFragment)}
	})
	c.add(subjectFragments, "SYN to port 587 with data cut at the floor", func(p place) []step {
		f := p.tcp(p.Dynamic, p.MX, lab.PortSubmission).Data(body).Cut(p.floor())
		return []step{forwarded(f[0], filter.ReasonOtherPort), forwarded(f[1], filter.ReasonLaterFragment)}
	})
	c.add(subjectFragments, "SYN to port 587 cut at [8]", func(p place) []step {
		return fates(p.tcp(p.Dynamic, p.MX, lab.PortSubmission).Cut(8), tiny, overlap)
	})
	// Linux itself refuses an IPv6 header that is not whole in the first fragment
	// (RFC 8200, section 4.5), so what must open there is cut behind it.
	relayed := func(p place) filtertest.Packet { return p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Data(body[:64]) }
	static := func(p place) filtertest.Packet { return p.tcp(p.Static, p.MX, lab.PortSMTP).Data(body[:64]) }
	c.add(subjectFragments, "SYN with data to a relay cut at [8]", func(p place) []step {
		return forwardedAll(relayed(p).Cut(8), filter.ReasonRelay)
	}, opening(), only(lab.IPv4))
	c.add(subjectFragments, "SYN with data to a relay cut at [24]", func(p place) []step {
		return forwardedAll(relayed(p).Cut(24), filter.ReasonRelay)
	}, opening())
	c.add(subjectFragments, "SYN with data of a static subscriber cut at [8]", func(p place) []step {
		return forwardedAll(static(p).Cut(8), filter.ReasonStatic)
	}, sentFrom(fromStatic), opening(), only(lab.IPv4))
	c.add(subjectFragments, "SYN with data of a static subscriber cut at [24]", func(p place) []step {
		return forwardedAll(static(p).Cut(24), filter.ReasonStatic)
	}, sentFrom(fromStatic), opening())
}
