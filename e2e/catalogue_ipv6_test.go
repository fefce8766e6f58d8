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

const (
	subjectChain   = "extension headers"
	subjectHeader6 = "IPv6 header"
	subjectAH      = "authentication header"
)

// Why the kernel judges some packets before the gateway does.
const (
	kernelHopByHop = "the kernel reads hop-by-hop options first"
	kernelHops     = "the hop limit ends where the kernel forwards into the gateway"
)

// named is a chain of headers in words.
type named struct {
	name  string
	chain []filtertest.Header
	// kernel: why it does not get to the gateway.
	kernel string
}

// rawHeader returns a header with the given options, which fill whole units.
func rawHeader(proto uint8, options ...byte) filtertest.Header {
	size := byte((2+len(options))/8 - 1) // few
	return filtertest.Header{Proto: proto, Body: append([]byte{0, size}, options...)}
}

// readableChains lead to TCP, and the gateway follows them.
func readableChains(p place) []named {
	hbh, opts, ah := filtertest.HopByHop, filtertest.DestOpts, filtertest.AH
	rh := filtertest.Routing
	const experimental, unassigned = 253, 99
	chains := []named{
		{"hop-by-hop of 8 octets", []filtertest.Header{hbh(8)}, ""},
		{"hop-by-hop of 64 octets", []filtertest.Header{hbh(64)}, ""},
		{"hop-by-hop, Router Alert", []filtertest.Header{rawHeader(0, 5, 2, 0, 0, 1, 0)}, ""},
		{"hop-by-hop, unknown option to be skipped", []filtertest.Header{rawHeader(0, 0x1e, 4, 1, 2, 3, 4)}, ""},
		{"hop-by-hop, unknown option to be dropped", []filtertest.Header{rawHeader(0, 0x5e, 4, 1, 2, 3, 4)}, kernelHopByHop},
		{"hop-by-hop, unknown option to be reported", []filtertest.Header{rawHeader(0, 0x9e, 4, 1, 2, 3, 4)}, kernelHopByHop},
		{"hop-by-hop, unknown option to be reported to unicast", []filtertest.Header{rawHeader(0, 0xde, 4, 1, 2, 3, 4)}, kernelHopByHop},
		{"hop-by-hop, option beyond the header", []filtertest.Header{rawHeader(0, 0x1e, 40, 1, 2, 3, 4)}, kernelHopByHop},
		{"hop-by-hop, jumbo payload", []filtertest.Header{rawHeader(0, 0xc2, 4, 0, 1, 0, 0)}, kernelHopByHop},
		{"destination options of 8 octets", []filtertest.Header{opts(8)}, ""},
		{"destination options of 64 octets", []filtertest.Header{opts(64)}, ""},
		{"destination options of 1200 octets", []filtertest.Header{opts(1200)}, ""},
		{"destination options, unknown to be dropped", []filtertest.Header{rawHeader(60, 0x5e, 4, 1, 2, 3, 4)}, ""},
		{"destination options, home address", []filtertest.Header{rawHeader(60, slices.Concat([]byte{1, 0, 0xc9, 16}, p.MSA.AsSlice(), []byte{0, 0})...)}, ""},
		{"destination options twice", []filtertest.Header{opts(8), opts(8)}, ""},
		{"routing type 0, no segments left", []filtertest.Header{rh(0, 0, p.MSA.String())}, ""},
		{"routing type 0, empty", []filtertest.Header{rh(0, 0)}, ""},
		{"routing type 2, no segments left", []filtertest.Header{rh(2, 0, p.MSA.String())}, ""},
		{"routing type 2, one segment left", []filtertest.Header{rh(2, 1, p.MSA.String())}, ""},
		{"routing type 3 (RPL), no segments left", []filtertest.Header{rh(3, 0, p.MSA.String())}, ""},
		{"routing type 4 (SRv6), no segments left", []filtertest.Header{rh(4, 0, p.MSA.String())}, ""},
		{"routing type 4 (SRv6), one segment left", []filtertest.Header{rh(4, 1, p.MSA.String(), p.MX.String())}, ""},
		{"routing type 253, no segments left", []filtertest.Header{rh(experimental, 0)}, ""},
		{"routing type 253, one segment left", []filtertest.Header{rh(experimental, 1, p.MSA.String())}, ""},
		{"routing type 99, no segments left", []filtertest.Header{rh(unassigned, 0)}, ""},
		{"mobility", []filtertest.Header{filtertest.Mobility(8)}, ""},
		{"host identity", []filtertest.Header{filtertest.HIP(40)}, ""},
		{"shim6", []filtertest.Header{filtertest.Shim6(8)}, ""},
		{"atomic fragment", []filtertest.Header{filtertest.Fragment(uint32(p.key), 0, false)}, ""},
		{"atomic fragment, then destination options", []filtertest.Header{filtertest.Fragment(uint32(p.key), 0, false), opts(8)}, ""},
		{"destination options, then atomic fragment", []filtertest.Header{opts(8), filtertest.Fragment(uint32(p.key), 0, false)}, ""},
		{"hop-by-hop, then atomic fragment", []filtertest.Header{hbh(8), filtertest.Fragment(uint32(p.key), 0, false)}, ""},
		{"hop-by-hop, destination options, routing, atomic fragment, AH, destination options",
			[]filtertest.Header{hbh(8), opts(8), rh(2, 0), filtertest.Fragment(uint32(p.key), 0, false), ah(24), opts(16)}, ""},
		{"AH, then destination options", []filtertest.Header{ah(24), opts(8)}, ""},
		{"destination options, then AH", []filtertest.Header{opts(8), ah(24)}, ""},
		{"AH twice", []filtertest.Header{ah(24), ah(24)}, ""},
		{"all that may be skipped", []filtertest.Header{hbh(8), opts(8), rh(0, 0), ah(24), filtertest.Mobility(8), filtertest.HIP(40), filtertest.Shim6(8)}, ""},
	}
	for _, n := range []int{3, 8, 16} {
		chains = append(chains, named{fmt.Sprintf("destination options %d times", n), slices.Repeat([]filtertest.Header{opts(8)}, n), ""})
	}
	return chains
}

// badChains do not lead anywhere that is allowed.
func badChains(p place) []struct {
	named
	reason filter.Reason
} {
	hbh, opts := filtertest.HopByHop, filtertest.DestOpts
	fragment := filtertest.Fragment(uint32(p.key), 0, false)
	type bad = struct {
		named
		reason filter.Reason
	}
	mk := func(name string, r filter.Reason, chain ...filtertest.Header) bad {
		return bad{named{name, chain, ""}, r}
	}
	lying := func(h filtertest.Header, octet byte) filtertest.Header {
		h.Body = slices.Clone(h.Body)
		h.Body[1] = octet
		return h
	}
	return []bad{
		mk("hop-by-hop behind destination options", filter.ReasonChainOrder, opts(8), hbh(8)),
		mk("hop-by-hop twice", filter.ReasonChainOrder, hbh(8), hbh(8)),
		mk("hop-by-hop behind an atomic fragment", filter.ReasonChainOrder, fragment, hbh(8)),
		mk("atomic fragment twice", filter.ReasonChainOrder, fragment, fragment),
		mk("atomic fragment, destination options, atomic fragment", filter.ReasonChainOrder, fragment, opts(8), fragment),
		mk("routing type 0, one segment left", filter.ReasonSourceRoute, filtertest.Routing(0, 1, p.MSA.String())),
		mk("routing type 0, 255 segments left", filter.ReasonSourceRoute, filtertest.Routing(0, 255, p.MSA.String())),
		mk("routing type 0, one segment left, behind others", filter.ReasonSourceRoute, hbh(8), opts(8), filtertest.Routing(0, 1, p.MSA.String())),
		mk("17 destination options", filter.ReasonChainTooLong, slices.Repeat([]filtertest.Header{opts(8)}, 17)...),
		mk("150 destination options", filter.ReasonChainTooLong, slices.Repeat([]filtertest.Header{opts(8)}, 150)...),
		mk("destination options beyond the packet", filter.ReasonChainTruncated, lying(opts(8), 255)),
		mk("destination options up to one octet beyond the packet", filter.ReasonChainTruncated, lying(opts(8), 3)),
		mk("hop-by-hop beyond the packet", filter.ReasonChainTruncated, lying(hbh(8), 255)),
		mk("routing beyond the packet", filter.ReasonChainTruncated, lying(filtertest.Routing(2, 0), 255)),
		mk("AH beyond the packet", filter.ReasonChainTruncated, lying(filtertest.AH(24), 255)),
		mk("destination options over the TCP header", filter.ReasonTruncatedTCP, lying(opts(8), 1)),
	}
}

func addHeaders6(c *catalogue) {
	v6 := place{lab.IPv6.Addrs(), lab.IPv6, 0}
	for i, ch := range readableChains(v6) {
		c.add(subjectChain, ch.name, func(p place) []step {
			b := p.syn().Chain(readableChains(p)[i].chain...).Bytes()
			return one(p.refused(b, sequenceNumber+1).byKernel(ch.kernel))
		}, only(lab.IPv6))
	}
	for i, ch := range readableChains(v6)[9:16] { // no hop-by-hop: nothing the kernel minds
		c.add(subjectChain, ch.name+", to port 26", func(p place) []step {
			b := p.tcp(p.Dynamic, p.MX, 26).Chain(readableChains(p)[9+i].chain...).Bytes()
			return one(forwarded(b, filter.ReasonOtherPort))
		}, only(lab.IPv6))
	}
	for i, ch := range badChains(v6) {
		c.add(subjectChain, ch.name, func(p place) []step {
			return one(dropped(p.syn().Chain(badChains(p)[i].chain...).Bytes(), ch.reason))
		}, only(lab.IPv6))
	}
	add6 := func(subject, name string, steps func(p place) []step, options ...option) {
		c.add(subject, name, steps, append(options, only(lab.IPv6))...)
	}
	for _, n := range []int{0, 1, 2, 7} {
		add6(subjectChain, fmt.Sprintf("destination options cut after %d octets", n), func(p place) []step {
			b := filtertest.IP(60, p.Dynamic.String(), p.MX.String()).Data(strings.Repeat("\x06", n)).Bytes()
			if n == 0 {
				return one(dropped(b, filter.ReasonMalformed))
			}
			return one(dropped(b, filter.ReasonChainTruncated))
		})
	}
	// What hides TCP and is not looked through: nobody else does either.
	for _, hidden := range []struct {
		name   string
		proto  uint8
		reason filter.Reason
	}{
		{"ESP", 50, filter.ReasonOpaque}, {"no next header", 59, filter.ReasonOpaque},
		{"unknown header 200", 200, filter.ReasonNotTCP}, {"experimental 253", 253, filter.ReasonNotTCP},
		{"experimental 254", 254, filter.ReasonNotTCP}, {"reserved 255", 255, filter.ReasonNotTCP},
	} {
		add6(subjectChain, hidden.name+", then a SYN", func(p place) []step {
			b := p.syn().Chain(filtertest.Header{Proto: hidden.proto, Body: make([]byte, 8)}).Bytes()
			return one(forwarded(b, hidden.reason))
		})
		add6(subjectChain, "destination options, "+hidden.name+", then a SYN", func(p place) []step {
			b := p.syn().Chain(filtertest.DestOpts(8), filtertest.Header{Proto: hidden.proto, Body: make([]byte, 8)}).Bytes()
			return one(forwarded(b, hidden.reason))
		})
	}
	add6(subjectChain, "routing type 253, by way of a relay", func(p place) []step {
		b := p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Chain(filtertest.Routing(253, 1, p.MX.String())).Bytes()
		return one(p.refusedBy(p.MSA, b, sequenceNumber+1))
	})
	add6(subjectChain, "destination options, to a relay", func(p place) []step {
		b := p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).Chain(filtertest.DestOpts(8)).Bytes()
		return one(forwarded(b, filter.ReasonRelay))
	}, opening())

	add6(subjectHeader6, "payload length 0, no jumbogram", func(p place) []step {
		return one(dropped(p.syn().Length(0).Bytes(), filter.ReasonMalformed))
	})
	add6(subjectHeader6, "jumbogram of 20 octets", func(p place) []step {
		b := p.syn().Chain(rawHeader(0, 0xc2, 4, 0, 0, 0, 28)).Length(0).Bytes()
		return one(dropped(b, filter.ReasonMalformed))
	})
	add6(subjectHeader6, "jumbogram of 65,536 octets", func(p place) []step {
		b := p.syn().Chain(rawHeader(0, 0xc2, 4, 0, 1, 0, 0)).Length(0).Bytes()
		return one(dropped(b, filter.ReasonMalformed))
	})
	add6(subjectHeader6, "flow label above the number", func(p place) []step {
		b := p.syn().Bytes()
		b[1] |= 0x0f
		return one(p.refused(b, sequenceNumber+1))
	})
	for _, class := range []byte{0x02, 0x28, 0xff} {
		add6(subjectHeader6, fmt.Sprintf("traffic class %#02x", class), func(p place) []step {
			b := p.syn().Bytes()
			b[0], b[1] = b[0]|class>>4, b[1]|class<<4
			return one(p.refused(b, sequenceNumber+1))
		})
	}
	for _, version := range []byte{0, 4, 5, 15} {
		add6(subjectHeader6, fmt.Sprintf("version %d", version), func(p place) []step {
			b := p.syn().Bytes()
			b[0] = version << 4
			return one(dropped(b, filter.ReasonMalformed))
		})
	}
	addHops(c)
	addAH(c)
}

// addHops adds hop limits, in both families.
func addHops(c *catalogue) {
	for _, n := range []uint8{2, 3, 128, 255} {
		c.add("hop limit", fmt.Sprint(n), func(p place) []step {
			return one(p.refused(p.syn().TTL(n).Bytes(), sequenceNumber+1))
		})
	}
	c.add("hop limit", "1", func(p place) []step {
		return one(p.refused(p.syn().TTL(1).Bytes(), sequenceNumber+1).byKernel(kernelHops))
	})
	c.add("hop limit", "0", func(p place) []step {
		s := p.refused(p.syn().TTL(0).Bytes(), 0).byKernel(kernelHops)
		label(s.packet, p.key)
		s.answer = exceededError(p.GatewayDynamic, s.packet)
		return one(s)
	})
	c.add("hop limit", "0, to port 26", func(p place) []step {
		s := forwarded(p.tcp(p.Dynamic, p.MX, 26).TTL(0).Bytes(), filter.ReasonOtherPort).byKernel(kernelHops)
		label(s.packet, p.key)
		s.answer = exceededError(p.GatewayDynamic, s.packet)
		return one(s)
	})
}

// addAH adds authentication headers, in both families.
func addAH(c *catalogue) {
	for _, size := range []int{12, 24, 64} {
		c.add(subjectAH, fmt.Sprintf("of %d octets, then a SYN", size), func(p place) []step {
			return one(p.refused(p.syn().Chain(filtertest.AH(size)).Bytes(), sequenceNumber+1))
		})
	}
	c.add(subjectAH, "then a SYN to port 26", func(p place) []step {
		b := p.tcp(p.Dynamic, p.MX, 26).Chain(filtertest.AH(24)).Bytes()
		return one(forwarded(b, filter.ReasonOtherPort))
	})
	c.add(subjectAH, "then a UDP datagram", func(p place) []step {
		b := filtertest.UDP(at(p.Dynamic, p.key).String(), at(p.MX, 25).String()).ID(uint32(p.key)).Chain(filtertest.AH(24)).Bytes()
		return one(forwarded(b, filter.ReasonNotTCP))
	})
	c.add(subjectAH, "then half a TCP header", func(p place) []step {
		half := p.syn().Bytes()
		half = half[len(half)-20 : len(half)-10]
		b := filtertest.IP(6, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key)).Chain(filtertest.AH(24)).Data(string(half)).Bytes()
		return one(dropped(b, filter.ReasonTruncatedTCP))
	})
	c.add(subjectAH, "17 times, then a SYN", func(p place) []step {
		b := p.syn().Chain(slices.Repeat([]filtertest.Header{filtertest.AH(12)}, 17)...).Bytes()
		return one(dropped(b, filter.ReasonChainTooLong))
	})
	c.add(subjectAH, "then a SYN, cut inside AH", func(p place) []step {
		f := p.syn().Chain(filtertest.AH(24)).Cut(8)
		return fates(f, tiny, overlap)
	})
	c.add(subjectAH, "then a SYN, cut behind AH", func(p place) []step {
		f := p.syn().Chain(filtertest.AH(24)).Cut(24)
		return fates(f, tiny, overlap)
	})
}

// addFragments6 adds what only IPv6 can do with fragments.
func addFragments6(c *catalogue) {
	add6 := func(name string, steps func(p place) []step) {
		c.add(subjectFragments, name, steps, only(lab.IPv6))
	}
	body := strings.Repeat("x", 64)
	opts, hbh := filtertest.DestOpts, filtertest.HopByHop

	inOrders(c, "only destination options in the first", func(p place) []step {
		return fates(p.syn().Chain(opts(8)).Cut(8), tiny, overlap)
	}, only(lab.IPv6))
	inOrders(c, "destination options cut in two", func(p place) []step {
		return fates(p.syn().Chain(opts(32)).Cut(16), tiny, overlap)
	}, only(lab.IPv6))
	inOrders(c, "destination options of 520 octets, cut behind them", func(p place) []step {
		f := p.syn().Chain(opts(520)).Cut(520)
		return []step{dropped(f[0], filter.ReasonChainTooLong), forwarded(f[1], filter.ReasonLaterFragment)}
	}, only(lab.IPv6))
	inOrders(c, "destination options of 512 octets, the SYN behind the floor", func(p place) []step {
		f := p.syn().Chain(opts(512)).Cut(512)
		return []step{dropped(f[0], filter.ReasonChainTooLong), forwarded(f[1], filter.ReasonLaterFragment)}
	}, only(lab.IPv6))
	add6("destination options of 496 octets, the SYN across the floor", func(p place) []step {
		f := p.syn().Chain(opts(496)).Data(body).Cut(520)
		return []step{dropped(f[0], filter.ReasonChainTooLong), forwarded(f[1], filter.ReasonLaterFragment)}
	})
	inOrders(c, "hop-by-hop before the fragment header, cut at [8]", func(p place) []step {
		return fates(p.syn().Chain(hbh(8)).PerFragment(1).Cut(8), tiny, overlap)
	}, only(lab.IPv6))
	add6("destination options before and after the fragment header", func(p place) []step {
		return fates(p.syn().Chain(opts(8), opts(8)).PerFragment(1).Data(body).Cut(32), cutSYN, overlap)
	})
	add6("the second says it is UDP", func(p place) []step {
		b := p.syn().Fragmentable()
		udp := filtertest.IP(17, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key))
		return []step{dropped(p.syn().Piece(0, true, b[:8]), tiny), dropped(udp.Piece(8, false, b[8:]), overlap)}
	})
	add6("the first says it is UDP, the second TCP", func(p place) []step {
		b := p.syn().Fragmentable()
		udp := filtertest.IP(17, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key))
		return []step{forwarded(udp.Piece(0, true, b[:8]), filter.ReasonNotTCP), dropped(p.syn().Piece(8, false, b[8:]), overlap)}
	})
	add6("the second says no next header", func(p place) []step {
		b := p.syn().Fragmentable()
		none := filtertest.IP(59, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key))
		return []step{dropped(p.syn().Piece(0, true, b[:8]), tiny), dropped(none.Piece(8, false, b[8:]), overlap)}
	})
	add6("a fragment header inside an atomic fragment", func(p place) []step {
		b := p.syn().Fragmentable()
		nested := p.syn().Chain(filtertest.Fragment(uint32(p.key), 0, false)).PerFragment(1)
		return []step{
			dropped(nested.Piece(0, true, b[:8]), filter.ReasonChainOrder),
			dropped(nested.Piece(8, false, b[8:]), filter.ReasonChainOrder),
		}
	})
	add6("a fragment header inside a fragment", func(p place) []step {
		return fates(p.syn().Chain(filtertest.Fragment(uint32(p.key)+1<<16, 0, false)).Data(body).Cut(32), filter.ReasonChainOrder, overlap)
	})
	add6("reserved bits in the fragment header", func(p place) []step {
		b := p.syn().Chain(filtertest.Fragment(uint32(p.key), 0, false)).Bytes()
		b[41], b[43] = 0xff, b[43]|0x06
		return one(p.refused(b, sequenceNumber+1))
	})
	add6("an empty first", func(p place) []step {
		return one(dropped(p.syn().Piece(0, true, nil), filter.ReasonBadFragment))
	})
	add6("the fragment header cut short", func(p place) []step {
		b := filtertest.IP(44, p.Dynamic.String(), p.MX.String()).Data("\x06\x00\x00\x01").Bytes()
		return one(dropped(b, filter.ReasonChainTruncated))
	})
}
