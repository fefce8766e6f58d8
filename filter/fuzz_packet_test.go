// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// captures returns packets of real clients.
func captures(f *testing.F) [][]byte {
	f.Helper()
	text, err := os.ReadFile("testdata/captures.txt")
	if err != nil {
		f.Fatal(err)
	}
	var packets [][]byte
	for line := range strings.Lines(string(text)) {
		_, octets, found := strings.Cut(line, ": ")
		if strings.HasPrefix(line, "#") || !found {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(octets))
		if err != nil {
			f.Fatal(err)
		}
		packets = append(packets, b)
	}
	if len(packets) == 0 {
		f.Fatal("no captures")
	}
	return packets
}

// FuzzTransport compares Transport with the oracle's reading, for any octets, and
// asks of what it finds that it lies in the packet.
func FuzzTransport(f *testing.F) {
	for _, pkt := range captures(f) {
		f.Add(pkt)
	}
	for _, g := range readGolden(f) {
		f.Add(g.pkt)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		given := bytes.Clone(pkt)
		compareTransport(t, pkt)
		if !bytes.Equal(given, pkt) {
			t.Error("the packet was changed")
		}
	})
}

// FuzzOptions4 puts any options into an IPv4 header before a SYN to a blocked port.
// A source route is never anything else, and whatever they say the SYN does not
// pass.
func FuzzOptions4(f *testing.F) {
	for _, options := range []string{
		"", "\x00", "\x01\x01\x01\x01", "\x94\x04\x00\x00", "\x83\x07\x04\xc0\x00\x02\x01", "\x89\x03\x04\x00",
		"\x07\x07\x04\x00\x00\x00\x00\x00", "\x44\x04\x05\x00", "\x01\x83", "\x82\x00", "\x82\x01", "\x82\x29",
		strings.Repeat("\x01", 40), "\x00\x83\x03\x04",
	} {
		f.Add([]byte(options))
	}
	policy := compile(f, plain())
	f.Fuzz(func(t *testing.T, options []byte) {
		if len(options) > 40 {
			return
		}
		pkt := filtertest.TCP("100.64.0.2:40000", "203.0.113.25:25").IPOptions(options...).Bytes()
		got := policy.Decide(filter.Outbound, pkt, filter.ChecksumUnknown)
		defects := optionDefects(pkt[20 : int(pkt[0]&0xf)*4])
		want := filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}
		if len(defects) > 0 {
			want = filter.Verdict{Action: filter.Drop, Reason: defects[0]}
		}
		if got != want {
			t.Errorf("options % x: %s %s, want %s %s", options, got.Action, got.Reason, want.Action, want.Reason)
		}
	})
}

// FuzzChain6 puts any chain of extension headers, of any kinds, sizes and contents,
// before a SYN to a blocked port: it never passes as long as the chain leads to it,
// and Decide agrees with the oracle in any case.
func FuzzChain6(f *testing.F) {
	for _, kinds := range [][]byte{
		{}, {0}, {60}, {43}, {44}, {51}, {135}, {139}, {140}, {0, 60, 43, 60}, {44, 44}, {60, 0}, {60, 44, 60}, {50}, {59}, {253},
		bytes.Repeat([]byte{60}, 16), bytes.Repeat([]byte{60}, 17), {43, 51, 44, 51},
	} {
		f.Add(kinds, []byte{}, false)
		f.Add(kinds, []byte{0, 1, 0, 2, 1, 0, 3, 0}, true)
	}
	j := judge{name: "plain", policy: compile(f, plain()), oracle: newOracle(plain())}
	f.Fuzz(func(t *testing.T, kinds, contents []byte, inbound bool) {
		if len(kinds) > 40 {
			return
		}
		pkt := chained(kinds, contents)
		dir := filter.Outbound
		if inbound {
			dir = filter.Inbound
		}
		got, want := j.policy.Decide(dir, pkt, filter.ChecksumTrusted), j.oracle.decide(dir, pkt, filter.ChecksumTrusted)
		if !want.admits(got) {
			t.Errorf("% x: %s %s, want %s", pkt, got.Action, got.Reason, want)
		}
		if got.Action != filter.Forward || inbound {
			return
		}
		// What passes must not be a SYN to whoever walks the chain to its end.
		if segment := transport(false, pkt[6], pkt[40:]); len(segment) >= 14 && segment[13]&18 == 2 &&
			binary.BigEndian.Uint16(segment[2:]) == 25 && wholeTCP(pkt) {
			t.Errorf("% x passes with %s", pkt, got.Reason)
		}
	})
}

// chained writes headers of the given kinds, filled with contents, and a SYN behind
// them.
func chained(kinds, contents []byte) []byte {
	next := func() byte {
		if len(contents) == 0 {
			return 0
		}
		b := contents[0]
		contents = contents[1:]
		return b
	}
	syn := filtertest.TCP("[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25").Bytes()
	pkt, segment := bytes.Clone(syn[:40]), syn[40:]
	at := 6 // where the next header's kind belongs
	for _, kind := range kinds {
		pkt[at] = kind
		at = len(pkt)
		header := bytes.Repeat([]byte{0}, 8)
		switch length := next() & 3; kind {
		case 51:
			header = append(header, make([]byte, 4*(int(length)+1))...)
			header[1] = byte(len(header)/4 - 2)
		case 44:
		default:
			header = append(header, make([]byte, 8*int(length))...)
			header[1] = length
		}
		for i := 2; i < min(8, len(header)); i++ {
			header[i] = next()
		}
		pkt = append(pkt, header...)
	}
	pkt[at] = 6
	pkt = append(pkt, segment...)
	binary.BigEndian.PutUint16(pkt[4:], uint16(len(pkt)-40)) //nolint:gosec // a few hundred
	return pkt
}

// wholeTCP reports whether no fragment header of the packet says that it is a
// part of something.
func wholeTCP(pkt []byte) bool {
	d, defects := readDatagram(pkt, false)
	c := readChain(d)
	return len(defects) == 0 && !c.later() && c.next == 6
}

// FuzzFragments plays any sequence of fragments that pass to receivers with each
// of the five reassembly policies: none may put a SYN to a blocked port together.
func FuzzFragments(f *testing.F) {
	for _, seed := range []string{
		"\x00\x00\x00\x01\x05\x00", "\x01\x00\x00\x01\x00\x09\x00", "\x02\x0a\x01\x00\x00\x01\x0a\x01\x00", "\x03\x00\x02\x40\x02\x00",
	} {
		for version := range 2 {
			f.Add([]byte(seed), version == 1)
		}
	}
	policy := compile(f, plain())
	ports := plain().Ports
	f.Fuzz(func(t *testing.T, script []byte, six bool) {
		from, to := "100.64.0.2:40000", "203.0.113.25:25"
		if six {
			from, to = "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25"
		}
		syn := filtertest.TCP(from, to).Data(strings.Repeat("x", 1000)).ID(7)
		decoy := filtertest.TCP(from, to[:len(to)-2]+"443").Flags(filtertest.ACK).Data(strings.Repeat("y", 1000)).ID(7)
		var passed []piece
		// Three octets a fragment: which of the two, flags and size; offset; size.
		for n := 0; len(script) >= 3 && n < 16; script, n = script[3:], n+1 {
			from := syn
			if script[0]&1 != 0 {
				from = decoy
			}
			octets := from.Fragmentable()
			start := min(int(script[1])*8, len(octets))
			end := min(start+int(script[2])*8, len(octets))
			b := from.Piece(start, script[0]&2 == 0, octets[start:end])
			if !passes(policy, b) {
				continue
			}
			if p, ok := parsePiece(b); ok {
				passed = append(passed, p)
			}
		}
		for _, prefer := range preferences() {
			r := receiver{prefer: prefer, v4: !six}
			for _, p := range passed {
				r.accept(p)
				if r.opened(ports) {
					t.Fatalf("%s: a receiver opens the connection: %+v", prefer.name, passed)
				}
			}
		}
	})
}

// FuzzTunnel wraps any octets, in each encapsulation, and compares what is decided
// with the oracle; with no tunnel looked into, the outer packet alone counts.
func FuzzTunnel(f *testing.F) {
	for _, pkt := range captures(f) {
		for kind := range byte(6) {
			f.Add(kind, uint16(0), pkt)
		}
	}
	f.Add(byte(2), uint16(0xb000), bytes.Repeat([]byte{0x45}, 60))
	looks, ignores := judge{"tunnels", compile(f, tunnels()), newOracle(tunnels())}, judge{"plain", compile(f, plain()), newOracle(plain())}
	f.Fuzz(func(t *testing.T, kind byte, flags uint16, inner []byte) {
		if len(inner) > 1400 {
			return
		}
		from, to := "100.64.0.2", "203.0.113.9"
		if kind%6 >= 3 {
			from, to = "2001:db8:a::2", "2001:db8:ffff::9"
		}
		proto := []uint8{4, 41, 47}[kind%3]
		if proto == 47 {
			head := binary.BigEndian.AppendUint16(nil, flags)
			inner = append(append(head, []byte{0x08, 0x00, 0x86, 0xdd}[kind>>3&1*2:][:2]...), inner...)
		}
		pkt := filtertest.IP(proto, from, to).Data(string(inner)).Bytes()
		for _, j := range []judge{looks, ignores} {
			got, want := j.policy.Decide(filter.Outbound, pkt, filter.ChecksumUnknown), j.oracle.decide(filter.Outbound, pkt, filter.ChecksumUnknown)
			if !want.admits(got) {
				t.Errorf("%s: % x: %s %s, want %s", j.name, pkt, got.Action, got.Reason, want)
			}
			if got.Action == filter.Reset || got.Action == filter.Prohibited {
				t.Errorf("%s: an answer to what a tunnel carries: % x", j.name, pkt)
			}
		}
	})
}

// FuzzRefused asks for any source whether the ranges that the kernel's guard gets
// refuse it, and whether Decide refuses its SYN; of a source that is refused in part,
// either is right.
func FuzzRefused(f *testing.F) {
	for _, a := range []string{"100.64.0.2", "100.65.0.2", "203.0.113.7", "0.0.0.0", "255.255.255.255", "2001:db8:a::2", "2001:db8:a:ffff::2", "::", "::ffff:1.2.3.4"} {
		f.Add(netip.MustParseAddr(a).AsSlice())
	}
	f.Fuzz(func(t *testing.T, address []byte) {
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		to := netip.MustParseAddrPort("198.18.0.25:25")
		if a.Is6() {
			to = netip.MustParseAddrPort("[2001:db8:eeee::25]:25")
		}
		for name, s := range specs() {
			policy := compile(t, s)
			refused := holds(policy.Refused(), a)
			v := policy.Decide(filter.Outbound, filter.Probe(netip.AddrPortFrom(a, 1024), to), filter.ChecksumUnknown)
			if v.Reason == filter.ReasonMartianSource || v.Reason == filter.ReasonLand {
				continue // no packet of the kernel's has such a source
			}
			passes := v.Action == filter.Forward || v.Action == filter.Monitored
			if partly := holds(policy.Partly(), a); passes == refused && !partly || partly && refused {
				t.Errorf("%s: %s: %s %s, and the ranges refuse it: %t, in part: %t", name, a, v.Action, v.Reason, refused, partly)
			}
		}
	})
}
