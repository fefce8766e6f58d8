// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// golden joins labelled lines of hexadecimal digits; the label comes first,
// up to a colon.
func golden(t *testing.T, lines string) []byte {
	t.Helper()
	var all string
	for line := range strings.Lines(lines) {
		if _, digits, ok := strings.Cut(line, ":"); ok {
			all += strings.Join(strings.Fields(digits), "")
		}
	}
	b, err := hex.DecodeString(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResetGolden(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   []byte
		want string
	}{
		"SYN, IPv4": {
			ft.TCP(dynamic4+":40000", server4+":25").Seq(1000).Bytes(), `
			virtio_net_hdr:             00 00 0000 0000 0000 0000
			version, IHL, TOS:          45 00
			total length 40:            0028
			identification 0, DF:       0000 4000
			TTL 65, TCP:                41 06
			header checksum:            9974
			from the server:            cb007119
			to the subscriber:          64400002
			from 25 to 40000:           0019 9c40
			sequence number 0:          00000000
			acknowledges the SYN, 1001: 000003e9
			no options, RST ACK:        50 14
			window 0:                   0000
			checksum:                   6f32
			urgent pointer 0:           0000`,
		},
		"SYN, IPv6": {
			ft.TCP("["+dynamic6+"]:40000", "["+server6+"]:25").Seq(0xffffffff).Bytes(), `
			virtio_net_hdr:             00 00 0000 0000 0000 0000
			version, class, label:      60000000
			payload 20, TCP, 65 hops:   0014 06 41
			from the server:            20010db8cafe00000000000000000025
			to the subscriber:          20010db8000a00010000000000000002
			from 25 to 40000:           0019 9c40
			sequence number 0:          00000000
			acknowledgment wraps to 0:  00000000
			no options, RST ACK:        50 14
			window 0:                   0000
			checksum:                   ecd4
			urgent pointer 0:           0000`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.sub.in <- plain(tt.in)
			got, want := take(t, b.sub), golden(t, tt.want)
			if !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
			silent(t, b.up)
		})
	}
}

// RFC 9293, section 3.5.2, group 1, for all that a SYN may carry.
func TestResetNumbers(t *testing.T) {
	t.Parallel()
	v4 := ft.TCP(dynamic4+":40000", server4+":25").Seq(1000).Ack(7777)
	v6 := ft.TCP("["+dynamic6+"]:40000", "["+server6+"]:25").Seq(1000).Ack(7777)
	segments := map[string]struct {
		change   func(ft.Packet) ft.Packet
		seq, ack uint32
		flags    header.TCPFlags
	}{
		"SYN":         {func(p ft.Packet) ft.Packet { return p }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"SYN ECE CWR": {func(p ft.Packet) ft.Packet { return p.Flags(ft.SYN | ft.ECE | ft.CWR) }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"SYN AE":      {func(p ft.Packet) ft.Packet { return p.Flags(ft.SYN | ft.AE) }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"SYN FIN":     {func(p ft.Packet) ft.Packet { return p.Flags(ft.SYN | ft.FIN) }, 0, 1002, header.TCPFlagRst | header.TCPFlagAck},
		"SYN data":    {func(p ft.Packet) ft.Packet { return p.Data("12345678") }, 0, 1009, header.TCPFlagRst | header.TCPFlagAck},
		"TFO":         {func(p ft.Packet) ft.Packet { return p.Options(34, 10, 1, 2, 3, 4, 5, 6, 7, 8).Data("12345678") }, 0, 1009, header.TCPFlagRst | header.TCPFlagAck},
		"all options": {func(p ft.Packet) ft.Packet { return p.Options(bytes.Repeat([]byte{1}, 40)...) }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"trailing":    {func(p ft.Packet) ft.Packet { return p.Trailing(1, 2, 3) }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"AH":          {func(p ft.Packet) ft.Packet { return p.Chain(ft.AH(24)).Data("12") }, 0, 1003, header.TCPFlagRst | header.TCPFlagAck},
		"data":        {func(p ft.Packet) ft.Packet { return p.Flags(ft.ACK).Data("hello") }, 7777, 0, header.TCPFlagRst},
		"FIN ACK":     {func(p ft.Packet) ft.Packet { return p.Flags(ft.FIN | ft.ACK) }, 7777, 0, header.TCPFlagRst},
		"FIN":         {func(p ft.Packet) ft.Packet { return p.Flags(ft.FIN) }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
		"no flags":    {func(p ft.Packet) ft.Packet { return p.Flags(0).Data("1") }, 0, 1001, header.TCPFlagRst | header.TCPFlagAck},
	}
	for name, tt := range segments {
		for family, base := range map[string]ft.Packet{"IPv4": v4, "IPv6": v6} {
			t.Run(family+" "+name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, func(_ *Options, s *filter.Spec) { s.JudgeEstablished = true })
				b.sub.in <- plain(tt.change(base).Bytes())
				_, _, tcp := checkTCP(t, take(t, b.sub))
				if tcp.SequenceNumber() != tt.seq || tcp.AckNumber() != tt.ack || tcp.Flags() != tt.flags {
					t.Errorf("seq %d ack %d flags %s, want %d %d %s", tcp.SequenceNumber(), tcp.AckNumber(), tcp.Flags(),
						tt.seq, tt.ack, tt.flags)
				}
			})
		}
	}
}

// checkTCP checks that f is one valid, bare TCP segment and takes it apart.
func checkTCP(t *testing.T, f []byte) (src, dst tcpip.Address, tcp header.TCP) {
	t.Helper()
	pkt := f[HeaderSize:]
	if !bytes.Equal(f[:HeaderSize], make([]byte, HeaderSize)) {
		t.Errorf("the virtio_net_hdr is not zero: %x", f[:HeaderSize])
	}
	src, dst, tcp = segment(pkt)
	if tcp == nil {
		t.Fatalf("no TCP segment: %x", pkt)
	}
	if !tcp.IsChecksumValid(src, dst, checksum.Checksum(tcp.Payload(), 0), uint16(len(tcp.Payload()))) {
		t.Errorf("bad TCP checksum: %x", pkt)
	}
	if header.IPVersion(pkt) == 4 && !header.IPv4(pkt).IsChecksumValid() {
		t.Errorf("bad IPv4 checksum: %x", pkt)
	}
	if len(tcp) != header.TCPMinimumSize || tcp.WindowSize() != 0 {
		t.Errorf("%d octets of TCP, window %d", len(tcp), tcp.WindowSize())
	}
	return src, dst, tcp
}

// A checksum that a device should have completed is not a bad one.
func TestPartialChecksumIsAnswered(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]struct {
		syn   ft.Packet
		start int
	}{
		"IPv4": {ft.TCP(dynamic4+":40000", server4+":25"), 20},
		"IPv6": {ft.TCP("["+dynamic6+"]:40000", "["+server6+"]:25"), 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.sub.in <- vnet(p.syn.Checksum(ft.Partial).Bytes(), gsoNone, 0, p.start, 16)
			checkTCP(t, take(t, b.sub))
		})
	}
}

func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	syn := ft.TCP(dynamic4+":40000", server4+":25")
	fragments := syn.Data(strings.Repeat("x", 200)).Cut(80)
	tests := map[string][]byte{
		"RST":                  syn.Flags(ft.RST).Bytes(),
		"SYN RST":              syn.Flags(ft.SYN | ft.RST).Bytes(),
		"bad checksum":         syn.Checksum(ft.Bad).Bytes(),
		"bad IP checksum":      syn.IPChecksum(ft.Bad).Bytes(),
		"first fragment":       fragments[0],
		"later fragment":       fragments[1],
		"to broadcast":         ft.TCP(dynamic4+":40000", "255.255.255.255:25").Bytes(),
		"to multicast":         ft.TCP(dynamic4+":40000", "224.0.0.1:25").Bytes(),
		"to multicast, IPv6":   ft.TCP("["+dynamic6+"]:40000", "[ff02::1]:25").Bytes(),
		"spoofed":              ft.TCP("198.51.100.7:40000", server4+":25").Bytes(),
		"spoofed, IPv6":        ft.TCP("[2001:db8:b::1]:40000", "["+server6+"]:25").Bytes(),
		"from broadcast":       ft.TCP("255.255.255.255:40000", server4+":25").Bytes(),
		"from multicast":       ft.TCP("224.0.0.1:40000", server4+":25").Bytes(),
		"from itself":          ft.TCP(dynamic4+":25", dynamic4+":25").Bytes(),
		"spoofed, hop limit 0": ft.UDP("198.51.100.7:40000", server4+":25").TTL(0).Bytes(),
	}
	for name, pkt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(_ *Options, s *filter.Spec) { s.JudgeEstablished = true })
			b.sub.in <- plain(pkt)
			b.fates(1)
			silent(t, b.sub)
		})
	}
}

// What package filter would not have refused gets no answer by mistake either.
func TestNoResetWithoutTCPHeader(t *testing.T) {
	t.Parallel()
	a := newAnswerer(nil)
	for name, pkt := range map[string][]byte{
		"UDP":       ft.UDP(dynamic4+":1", server4+":25").Bytes(),
		"19 octets": ft.IP(6, dynamic4, server4).Data(strings.Repeat("x", 19)).Bytes(),
		"no chain":  ft.IP(6, dynamic6, server6).Bytes()[:20],
	} {
		if answer := a.reset(pkt); len(answer) > 0 {
			t.Errorf("%s: answered with %x", name, []byte(answer))
		}
	}
}

func TestICMPErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1450) // above the way out's 1400
	prohibit := func(_ *Options, s *filter.Spec) { s.Pools[0].Response = filter.RespondProhibited }
	tests := map[string]struct {
		change     func(*Options, *filter.Spec)
		in         ft.Packet
		typ, code  byte
		mtu        uint32
		quote, max int
		from       string
	}{
		"time exceeded, IPv4":    {nil, ft.UDP(dynamic4+":1", server4+":2").Data(long).TTL(0), 11, 0, 0, 548, 576, gateway4},
		"time exceeded, IPv6":    {nil, ft.UDP("["+dynamic6+"]:1", "["+server6+"]:2").TTL(0), 3, 0, 0, 48, 1280, gateway6},
		"expired before refused": {nil, ft.TCP(dynamic4+":1", server4+":25").TTL(0), 11, 0, 0, 40, 576, gateway4},
		"fragmentation needed":   {nil, ft.TCP(dynamic4+":1", server4+":80").Flags(ft.ACK).Data(long), 3, 4, 1400, 548, 576, gateway4},
		"packet too big":         {nil, ft.TCP("["+dynamic6+"]:1", "["+server6+"]:80").Flags(ft.ACK).Data(long), 2, 0, 1400, 1232, 1280, gateway6},
		"prohibited, IPv4":       {prohibit, ft.TCP(dynamic4+":1", server4+":25"), 3, 13, 0, 40, 576, gateway4},
		"prohibited, IPv6":       {prohibit, ft.TCP("["+dynamic6+"]:1", "["+server6+"]:25"), 1, 1, 0, 60, 1280, gateway6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.change)
			in := tt.in.Bytes()
			if tt.typ == 3 && tt.code == 4 {
				in = dontFragment(in)
			}
			b.sub.in <- plain(in)
			got := take(t, b.sub)[HeaderSize:]
			silent(t, b.up)
			size := header.IPv6MinimumSize
			if header.IPVersion(got) == 4 {
				size = header.IPv4MinimumSize
				checkICMP4(t, got, tt.from)
			} else {
				checkICMP6(t, got, tt.from)
			}
			icmp := got[size:]
			if icmp[0] != tt.typ || icmp[1] != tt.code {
				t.Errorf("type %d code %d, want %d %d", icmp[0], icmp[1], tt.typ, tt.code)
			}
			if mtu := uint32(icmp[6])<<8 | uint32(icmp[7]); mtu != tt.mtu {
				t.Errorf("MTU %d, want %d", mtu, tt.mtu)
			}
			if quote := icmp[8:]; len(quote) != tt.quote || !bytes.Equal(quote, in[:len(quote)]) {
				t.Errorf("quotes %d octets, want %d, as received", len(quote), tt.quote)
			}
			if len(got) > tt.max {
				t.Errorf("%d octets, at most %d", len(got), tt.max)
			}
		})
	}
}

func dontFragment(pkt []byte) []byte {
	ip := header.IPv4(pkt)
	ip.SetFlagsFragmentOffset(header.IPv4FlagDontFragment, 0)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	return pkt
}

func checkICMP4(t *testing.T, pkt header.IPv4, from string) {
	t.Helper()
	icmp := header.ICMPv4(pkt[header.IPv4MinimumSize:])
	if !pkt.IsChecksumValid() || checksum.Checksum(icmp, 0) != 0xffff {
		t.Errorf("bad checksum: %x", []byte(pkt))
	}
	if pkt.SourceAddress().String() != from || pkt.DestinationAddress().String() != dynamic4 || pkt.TTL() != answerHopLimit {
		t.Errorf("from %s to %s, TTL %d", pkt.SourceAddress(), pkt.DestinationAddress(), pkt.TTL())
	}
}

func checkICMP6(t *testing.T, pkt header.IPv6, from string) {
	t.Helper()
	icmp := header.ICMPv6(pkt[header.IPv6MinimumSize:])
	want := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: pkt.SourceAddress(), Dst: pkt.DestinationAddress()})
	if icmp.Checksum() != want {
		t.Errorf("bad checksum: %x", []byte(pkt))
	}
	if pkt.SourceAddress().String() != from || pkt.DestinationAddress().String() != dynamic6 || pkt.HopLimit() != answerHopLimit {
		t.Errorf("from %s to %s, %d hops", pkt.SourceAddress(), pkt.DestinationAddress(), pkt.HopLimit())
	}
}

// RFC 1812, section 4.3.2.7 and RFC 4443, section 2.4 (e).
func TestNoErrorAboutErrorsOrLaterFragments(t *testing.T) {
	t.Parallel()
	later := ft.UDP(dynamic4+":1", server4+":2").Data(strings.Repeat("x", 200)).TTL(0).Cut(160)[1]
	unreachable := ft.IP(1, dynamic4, server4).Data("\x03\x01\x00\x00\x00\x00\x00\x00quoted").TTL(0).Bytes()
	tooBig6 := ft.IP(58, dynamic6, server6).Data("\x02\x00\x00\x00\x00\x00\x00\x00quoted").TTL(0).Bytes()
	for name, pkt := range map[string][]byte{
		"later fragment": later, "ICMP error": unreachable, "ICMPv6 error": tooBig6,
		"ICMP of no type":   ft.IP(1, dynamic4, server4).TTL(0).Bytes(),
		"ICMPv6 of no type": ft.IP(58, static6, server6).Chain(ft.DestOpts(8)).TTL(0).Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.sub.in <- plain(pkt)
			if got := b.fates(1)[DroppedUnanswered]; got != 1 {
				t.Errorf("%d unanswered, want 1", got)
			}
			silent(t, b.sub)
		})
	}
}

// RFC 1122, section 3.2.2: no error to an address that no host has.
func TestNoErrorToReservedAddresses(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]bool{"223.255.255.255:1": true, "240.0.0.9:1": false, "255.255.255.254:1": false} {
		a := newAnswerer([]netip.Addr{netip.MustParseAddr("198.51.100.1")})
		answer := a.icmp(ft.UDP(from, dynamic4+":33434").TTL(0).Bytes(), timeExceeded)
		if got := len(answer) > 0; got != want {
			t.Errorf("from %s: answered is %t, want %t", from, got, want)
		}
	}
}

func TestSizeIsJudgedBySegment(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("x", 20000)
	v4 := ft.TCP(dynamic4+":1", server4+":80").Flags(ft.ACK).Data(data).Checksum(ft.Partial)
	v6 := ft.TCP("["+dynamic6+"]:1", "["+server6+"]:80").Flags(ft.ACK).Data(data).Checksum(ft.Partial)
	udp := ft.UDP(dynamic4+":1", server4+":80").Data(data).Checksum(ft.Partial)
	tests := map[string]struct {
		frame []byte
		fate  Fate
	}{
		"TSO, IPv4, fits":        {vnet(dontFragment(v4.Bytes()), 1, 1360, 20, 16), Forwarded},
		"TSO, IPv4, one too big": {vnet(dontFragment(v4.Bytes()), 1, 1361, 20, 16), AnsweredTooBig},
		"TSO, IPv6, fits":        {vnet(v6.Bytes(), 4, 1340, 40, 16), Forwarded},
		"TSO, IPv6, one too big": {vnet(v6.Bytes(), 4, 1341, 40, 16), AnsweredTooBig},
		"TSO with ECN, fits":     {vnet(dontFragment(v4.Bytes()), 0x81, 1360, 20, 16), Forwarded},
		"USO, fits":              {vnet(dontFragment(udp.Bytes()), 5, 1372, 20, 6), Forwarded},
		"USO, one too big":       {vnet(dontFragment(udp.Bytes()), 5, 1373, 20, 6), AnsweredTooBig},
		"may be fragmented":      {vnet(mayFragmentPacket(udp.Bytes()), 5, 1373, 20, 6), Forwarded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.sub.in <- tt.frame
			if fates := b.fates(1); fates[tt.fate] != 1 {
				t.Errorf("fates %v, want %s", fates, tt.fate)
			}
		})
	}
}

func mayFragmentPacket(pkt []byte) []byte {
	ip := header.IPv4(pkt)
	ip.SetFlagsFragmentOffset(0, 0)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	return pkt
}

func TestICMPRateIsLimited(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const sent = 10 * icmpBurst
	go func() {
		for range sent {
			b.sub.in <- plain(ft.UDP(dynamic4+":1", server4+":2").TTL(0).Bytes())
		}
	}()
	go b.sub.empty()
	fates := b.fates(sent)
	if fates[AnsweredTimeExceeded] < icmpBurst || fates[DroppedUnanswered] == 0 {
		t.Errorf("%d answered and %d not, want at least the burst and not all", fates[AnsweredTimeExceeded], fates[DroppedUnanswered])
	}
}

func TestNoAddressNoError(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Subscriber.Addresses = nil })
	b.sub.in <- plain(ft.UDP(dynamic4+":1", server4+":2").TTL(0).Bytes())
	b.sub.in <- plain(ft.UDP("["+dynamic6+"]:1", "["+server6+"]:2").TTL(0).Bytes())
	if got := b.fates(2)[DroppedUnanswered]; got != 2 {
		t.Errorf("%d unanswered, want 2", got)
	}
}
