// SPDX-License-Identifier: Apache-2.0

package filtertest_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter/filtertest"
)

const (
	from4, to4 = "100.64.0.2:40000", "203.0.113.25:25"
	from6, to6 = "[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25"
)

// TestBytes compares with packets written by hand.
func TestBytes(t *testing.T) {
	t.Parallel()
	syn4, syn6 := filtertest.TCP(from4, to4), filtertest.TCP(from6, to6)
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"TCP, IPv4", syn4.Bytes(), `
			45000028 25250000 4006b54f 64400002 cb007119
			9c400019 000003e8 00000000 5002faf0 74540000`},
		{"TCP, IPv6", syn6.Flags(filtertest.ACK | filtertest.AE).Seq(1).Ack(2).Bytes(), `
			60000000 00140640 20010db8000a00000000000000000002 20010db8ffff00000000000000000025
			9c400019 00000001 00000002 5110faf0 bbe40000`},
		{"options, data, trailing bytes", syn4.IPOptions(1).Options(2, 4, 5, 180).Data("hi").Trailing(0xee).Bytes(), `
			46000032 25250000 4006b345 64400002 cb007119 01000000
			9c400019 000003e8 00000000 6002faf0 f42c0000 020405b4 6869 ee`},
		{"lies", syn4.IHL(4).Length(7).DataOffset(2).TTL(1).ID(3).Bytes(), `
			44000007 00030000 01061a93 64400002 cb007119
			9c400019 000003e8 00000000 2002faf0 a4540000`},
		{"UDP", filtertest.UDP(from4, to4).Data("x").Bytes(), `
			4500001d 25250000 4011b54f 64400002 cb007119
			9c400019 0009 4b26 78`},
		{"GRE", filtertest.GRE("100.64.0.2", "203.0.113.25").Data("x").Bytes(), `
			45000019 25250000 402fb535 64400002 cb007119
			00000800 78`},
		{"a chain", filtertest.IP(59, "2001:db8::1", "2001:db8::2").Chain(
			filtertest.HopByHop(8),
			filtertest.Routing(4, 1, "2001:db8::3"),
			filtertest.Fragment(7, 8, true),
			filtertest.AH(12),
			filtertest.DestOpts(16),
		).Bytes(), `
			60000000 00440040 20010db8000000000000000000000001 20010db8000000000000000000000002
			2b00000000000000
			2c020401 00000000 20010db8000000000000000000000003
			33000009 00000007
			3c010000 00000100 00000001
			3b01 1e0c 000000000000000000000000`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want := strings.Join(strings.Fields(tc.want), "")
			if diff := cmp.Diff(want, hex.EncodeToString(tc.got)); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChecksum asks gVisor's verification, which the builders do not use.
func TestChecksum(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]filtertest.Packet{
		"TCP4": filtertest.TCP(from4, to4).Data("odd"), "TCP6": filtertest.TCP(from6, to6),
		"UDP4": filtertest.UDP(from4, to4).Data("odd"), "UDP6": filtertest.UDP(from6, to6),
		"ICMP4": filtertest.ICMP(from4, to4).Data("odd"), "ICMP6": filtertest.ICMP(from6, to6),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if b := base.Bytes(); !transportValid(b) {
				t.Errorf("% x: checksum is wrong", b)
			}
			for _, sum := range []filtertest.Sum{filtertest.Bad, filtertest.Partial} {
				if b := base.Checksum(sum).Bytes(); transportValid(b) {
					t.Errorf("% x: checksum is right", b)
				}
			}
		})
	}
}

// TestPartial completes a partial checksum as a device does: by adding up the
// segment, field included.
func TestPartial(t *testing.T) {
	t.Parallel()
	for _, base := range []filtertest.Packet{filtertest.TCP(from4, to4).Data("abc"), filtertest.TCP(from6, to6)} {
		want, got := base.Bytes(), base.Checksum(filtertest.Partial).Bytes()
		_, segment := transport(got)
		tcp := header.TCP(segment)
		tcp.SetChecksum(^checksum.Checksum(tcp, 0))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("completed packet (-want +got):\n%s", diff)
		}
	}
}

func TestIPChecksum(t *testing.T) {
	t.Parallel()
	base := filtertest.TCP(from4, to4).IPOptions(7, 7, 4, 0, 0, 0, 0)
	if b := base.Bytes(); !header.IPv4(b).IsChecksumValid() {
		t.Errorf("% x: header checksum is wrong", b)
	}
	if b := base.IPChecksum(filtertest.Bad).Bytes(); header.IPv4(b).IsChecksumValid() {
		t.Errorf("% x: header checksum is right", b)
	}
}

// TestSCTP checks the CRC's two ways only against each other: that it is right
// is for a receiver to say, in e2e.
func TestSCTP(t *testing.T) {
	t.Parallel()
	good := filtertest.SCTP(from4, to4)
	if cmp.Equal(good.Bytes(), good.Checksum(filtertest.Bad).Bytes()) {
		t.Error("the good and the bad packet are the same")
	}
}

// TestCopies pins that a base packet is not changed by what is derived from it.
func TestCopies(t *testing.T) {
	t.Parallel()
	base := filtertest.TCP(from6, to6).Chain(filtertest.DestOpts(8)).Options(1, 1, 1, 0)
	before := base.Bytes()
	base.Chain(filtertest.AH(12)).Options(2).Data("x").Trailing(1).Cut(8)
	base.Bytes()[0] = 0
	if diff := cmp.Diff(before, base.Bytes()); diff != "" {
		t.Errorf("base (-before +after):\n%s", diff)
	}
}

// transport splits a packet without a chain.
func transport(b []byte) (proto uint8, segment []byte) {
	if b[0]>>4 == header.IPv4Version {
		return b[9], b[header.IPv4(b).HeaderLength():]
	}
	return b[6], b[header.IPv6MinimumSize:]
}

func transportValid(b []byte) bool {
	proto, segment := transport(b)
	if proto == uint8(header.ICMPv4ProtocolNumber) {
		return checksum.Checksum(segment, 0) == 0xffff
	}
	pseudo := header.PseudoHeaderChecksum(header.TCPProtocolNumber, header.IPv4(b).SourceAddress(),
		header.IPv4(b).DestinationAddress(), uint16(len(segment))) // small
	if b[0]>>4 == header.IPv6Version {
		pseudo = header.PseudoHeaderChecksum(header.TCPProtocolNumber, header.IPv6(b).SourceAddress(),
			header.IPv6(b).DestinationAddress(), uint16(len(segment))) // small
	}
	// The protocol's number enters the pseudo-header as a plain summand.
	pseudo = checksum.Combine(pseudo, uint16(proto)-uint16(header.TCPProtocolNumber))
	return checksum.Checksum(segment, pseudo) == 0xffff
}
