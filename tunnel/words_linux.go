// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// The words of which netfilter rules are made. Each works on register 1.

func load(base expr.PayloadBase, offset, size uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size}}
}

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

// ipv4, ipv6 and tcp are what nft puts before a match of their fields, so that
// it reads the rules back as they stand in guardScript.
func ipv4() []expr.Any {
	return append(meta(expr.MetaKeyNFPROTO), compare(expr.CmpOpEq, unix.NFPROTO_IPV4)...)
}

func ipv6() []expr.Any {
	return append(meta(expr.MetaKeyNFPROTO), compare(expr.CmpOpEq, unix.NFPROTO_IPV6)...)
}

func tcp() []expr.Any {
	return append(meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, unix.IPPROTO_TCP)...)
}

// fragmentOffset loads the offset of an IPv6 fragment, in octets; the rule ends
// when there is no fragment header.
func fragmentOffset() []expr.Any {
	const fragmentHeader = 44
	header := &expr.Exthdr{DestRegister: 1, Type: fragmentHeader, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6}
	return append([]expr.Any{header}, mask(0xff, 0xf8)...)
}

func mask(m ...byte) []expr.Any {
	return []expr.Any{&expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: uint32(len(m)), //nolint:gosec // one or two
		Mask: m, Xor: make([]byte, len(m)),
	}}
}

func compare(op expr.CmpOp, data ...byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: op, Register: 1, Data: data}}
}

func in(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

func notIn(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true}}
}

func verdict(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// ifname pads an interface name the way the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}
