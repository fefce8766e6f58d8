// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

const (
	subjectSYN      = "SYN variants"
	subjectNotSYN   = "not a SYN"
	subjectSegment  = "TCP segment"
	subjectChecksum = "checksum"
	subjectLength   = "lengths that lie"
	subjectPort     = "ports"
)

// tcpFlags are the bits behind the data offset, by name, from the lowest.
var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE", "reserved 1", "reserved 2", "reserved 3"}

func flagNames(f filtertest.Flags) string {
	var names []string
	for i, name := range tcpFlags {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "no flag"
	}
	return strings.Join(names, "+")
}

const allReserved = 0xe00

// addFlags adds every set of flags that opens a connection, and all sorts of others.
func addFlags(c *catalogue) {
	const bystanders = filtertest.FIN | filtertest.PSH | filtertest.URG | filtertest.ECE | filtertest.CWR
	for f := range filtertest.Flags(0x100) {
		if f&filtertest.SYN == 0 || f&^(filtertest.SYN|bystanders) != 0 {
			continue
		}
		for _, reserved := range []filtertest.Flags{0, filtertest.AE, allReserved} {
			addSYN(c, f|reserved)
		}
	}
	for _, reserved := range []filtertest.Flags{0x200, 0x400, 0x800} {
		addSYN(c, filtertest.SYN|reserved)
	}
	for _, f := range []filtertest.Flags{
		0, filtertest.FIN, filtertest.ECE | filtertest.CWR,
		filtertest.ACK, filtertest.ACK | filtertest.FIN, filtertest.PSH | filtertest.URG, 0xfff &^ filtertest.SYN &^ filtertest.RST,
	} {
		// A RST is never answered, and a SYN with one is no segment of anything.
		f |= filtertest.SYN | filtertest.RST
		c.add(subjectSYN, flagNames(f), func(p place) []step {
			return one(dropped(p.syn().Flags(f).Bytes(), filter.ReasonSYNRST))
		})
	}
	for _, f := range []filtertest.Flags{
		0, filtertest.ACK, filtertest.FIN, filtertest.RST, filtertest.PSH, filtertest.URG,
		filtertest.FIN | filtertest.PSH | filtertest.URG,
		filtertest.SYN | filtertest.ACK, filtertest.SYN | filtertest.ACK | filtertest.FIN, filtertest.SYN | filtertest.ACK | filtertest.ECE,
		filtertest.FIN | filtertest.ACK, filtertest.PSH | filtertest.ACK, filtertest.RST | filtertest.ACK,
		filtertest.ECE | filtertest.CWR, filtertest.AE, allReserved,
		0xfff &^ filtertest.SYN, 0xff &^ filtertest.SYN &^ filtertest.RST,
	} {
		c.add(subjectNotSYN, flagNames(f), func(p place) []step {
			return one(forwarded(p.syn().Flags(f).Ack(1).Bytes(), filter.ReasonNotSYN))
		})
	}
	c.add(subjectNotSYN, "ACK with data", func(p place) []step {
		return one(forwarded(p.syn().Flags(filtertest.ACK).Ack(1).Data("EHLO x\r\n").Bytes(), filter.ReasonNotSYN))
	})
	c.add(subjectNotSYN, "ACK, SYN, ACK", func(p place) []step {
		ack := forwarded(p.syn().Flags(filtertest.ACK).Bytes(), filter.ReasonNotSYN)
		return []step{ack, p.refused(p.syn().Bytes(), sequenceNumber+1), ack}
	})
	c.add(subjectNotSYN, "split handshake: SYN, then SYN+ACK", func(p place) []step {
		return []step{
			p.refused(p.syn().Bytes(), sequenceNumber+1),
			forwarded(p.syn().Flags(filtertest.SYN|filtertest.ACK).Ack(1).Bytes(), filter.ReasonNotSYN),
		}
	})
}

func addSYN(c *catalogue, f filtertest.Flags) {
	ack := uint32(sequenceNumber + 1)
	if f&filtertest.FIN != 0 {
		ack++
	}
	c.add(subjectSYN, flagNames(f), func(p place) []step {
		return one(p.refused(p.syn().Flags(f).Bytes(), ack))
	})
}

// tcpOptions are options of a SYN, and whether a sender would send them.
func tcpOptions() map[string][]byte {
	key := bytes.Repeat([]byte{0x25}, 18)
	return map[string][]byte{
		"MSS":                       {2, 4, 5, 180},
		"as Linux sends them":       {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7},
		"fast open, cookie request": {34, 2},
		"fast open, cookie":         {34, 10, 1, 2, 3, 4, 5, 6, 7, 8},
		"fast open, experimental":   {254, 4, 0xf9, 0x89},
		"MPTCP capable, version 0":  {30, 12, 0x00, 0x81, 1, 2, 3, 4, 5, 6, 7, 8},
		"MPTCP capable, version 1":  {30, 4, 0x01, 0x01},
		"MPTCP join":                {30, 12, 0x10, 1, 1, 2, 3, 4, 5, 6, 7, 8},
		"MD5":                       slices.Concat([]byte{19, 18}, key[:16]),
		"TCP-AO":                    slices.Concat([]byte{29, 16, 1, 1}, key[:12]),
		"SACK permitted":            {4, 2},
		"40 octets of NOP":          bytes.Repeat([]byte{1}, 40),
		"40 octets of zero":         make([]byte, 40),
		"unknown, 40 octets":        slices.Concat([]byte{99, 40}, key, key, []byte{0, 0}),
		"unknown, length 0":         {99, 0, 1, 1},
		"unknown, length 1":         {99, 1, 1, 1},
		"unknown, beyond the end":   {99, 200, 1, 1},
		"MSS, length 2":             {2, 2, 1, 1},
		"MSS, cut short":            {1, 1, 1, 2},
		"EOL, then MSS":             {0, 2, 4, 5, 180, 0, 0, 0},
	}
}

func addSegments(c *catalogue) {
	options := tcpOptions()
	names := make([]string, 0, len(options))
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c.add(subjectSegment, "option "+name, func(p place) []step {
			return one(p.refused(p.syn().Options(options[name]...).Bytes(), sequenceNumber+1))
		})
	}
	for _, n := range []int{1, 8, 512, 1380} {
		c.add(subjectSegment, fmt.Sprintf("SYN with %d octets", n), func(p place) []step {
			return one(p.refused(p.syn().Data(strings.Repeat("x", n)).Bytes(), uint32(sequenceNumber+1+n)))
		})
	}
	c.add(subjectSegment, "SYN with a fast open cookie and 8 octets", func(p place) []step {
		return one(p.refused(p.syn().Options(options["fast open, cookie"]...).Data("EHLO x\r\n").Bytes(), sequenceNumber+9))
	})
	c.add(subjectSegment, "SYN+FIN with 8 octets", func(p place) []step {
		return one(p.refused(p.syn().Flags(filtertest.SYN|filtertest.FIN).Data("EHLO x\r\n").Bytes(), sequenceNumber+10))
	})
	c.add(subjectSegment, "sequence number 0xffffffff", func(p place) []step {
		return one(p.refused(p.syn().Seq(0xffffffff).Bytes(), 0))
	})
	c.add(subjectSegment, "sequence number 0xfffffffe with 8 octets", func(p place) []step {
		return one(p.refused(p.syn().Seq(0xfffffffe).Data("EHLO x\r\n").Bytes(), 7))
	})
	c.add(subjectSegment, "sequence number 0", func(p place) []step {
		return one(p.refused(p.syn().Seq(0).Bytes(), 1))
	})
	c.add(subjectSegment, "acknowledgment number without ACK", func(p place) []step {
		return one(p.refused(p.syn().Ack(0xdeadbeef).Bytes(), sequenceNumber+1))
	})
	for _, field := range []struct {
		name      string
		at, value uint16
	}{{"window 0", 14, 0}, {"urgent pointer without URG", 18, 16}} {
		c.add(subjectSegment, field.name, func(p place) []step {
			b := p.syn().Bytes()
			binary.BigEndian.PutUint16(b[len(b)-20:][field.at:], field.value)
			return one(p.refused(reseal(b), sequenceNumber+1))
		})
	}
	c.add(subjectSegment, "three SYNs", func(p place) []step {
		s := p.refused(p.syn().Bytes(), sequenceNumber+1)
		return []step{s, s, s}
	})
	for _, words := range []int{0, 1, 2, 3, 4, 6, 10, 15} {
		c.add(subjectSegment, fmt.Sprintf("data offset %d words, without options", words), func(p place) []step {
			return one(dropped(p.syn().DataOffset(words).Bytes(), filter.ReasonBadDataOffset))
		})
	}
	c.add(subjectSegment, "data offset 4 words, with data", func(p place) []step {
		return one(dropped(p.syn().DataOffset(4).Data("EHLO x\r\n").Bytes(), filter.ReasonBadDataOffset))
	})
	c.add(subjectSegment, "data offset 6 words, into the data", func(p place) []step {
		return one(p.refused(p.syn().DataOffset(6).Data("\x01\x01\x01\x01data").Bytes(), sequenceNumber+5))
	})
	c.add(subjectSegment, "data offset 8 words, one octet beyond the packet", func(p place) []step {
		return one(dropped(p.syn().DataOffset(8).Data("\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01").Bytes(), filter.ReasonBadDataOffset))
	})
	addChecksums(c)
	addLengths(c)
	addPorts(c)
}

func addChecksums(c *catalogue) {
	const bad = "the kernel may look at checksums before the gateway"
	for _, data := range []string{"", "x", "EHLO x\r\n"} {
		c.add(subjectChecksum, fmt.Sprintf("wrong, with %d octets", len(data)), func(p place) []step {
			return one(dropped(p.syn().Data(data).Checksum(filtertest.Bad).Bytes(), filter.ReasonBadChecksum))
		})
		c.add(subjectChecksum, fmt.Sprintf("partial, with %d octets, vouched for", len(data)), func(p place) []step {
			s := p.refused(p.syn().Data(data).Checksum(filtertest.Partial).Bytes(), uint32(sequenceNumber+1+len(data)))
			s.partial = true
			return one(s)
		})
		c.add(subjectChecksum, fmt.Sprintf("partial, with %d octets, but nobody vouches", len(data)), func(p place) []step {
			return one(dropped(p.syn().Data(data).Checksum(filtertest.Partial).Bytes(), filter.ReasonBadChecksum))
		})
	}
	c.add(subjectChecksum, "zero", func(p place) []step {
		b := p.syn().Bytes()
		b[len(b)-4], b[len(b)-3] = 0, 0
		return one(dropped(b, filter.ReasonBadChecksum))
	})
	c.add(subjectChecksum, "wrong, of an ACK", func(p place) []step {
		return one(forwarded(p.syn().Flags(filtertest.ACK).Checksum(filtertest.Bad).Bytes(), filter.ReasonNotSYN).byKernel(bad))
	})
	c.add(subjectChecksum, "wrong, then right", func(p place) []step {
		return []step{
			dropped(p.syn().Checksum(filtertest.Bad).Bytes(), filter.ReasonBadChecksum),
			p.refused(p.syn().Bytes(), sequenceNumber+1),
		}
	})
}

func addLengths(c *catalogue) {
	whole := func(p place) []byte {
		b := p.syn().Bytes()
		return b[len(b)-20:]
	}
	for _, n := range []int{4, 8, 12, 13, 14, 16, 19} {
		c.add(subjectLength, fmt.Sprintf("TCP header ends after %d octets", n), func(p place) []step {
			b := filtertest.IP(6, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key)).Data(string(whole(p)[:n])).Bytes()
			return one(dropped(b, filter.ReasonTruncatedTCP))
		})
		c.add(subjectLength, fmt.Sprintf("TCP header whole, but the IP header counts %d octets of it", n), func(p place) []step {
			length := n
			if p.is4() {
				length += 20
			}
			return one(dropped(p.syn().Length(length).Bytes(), filter.ReasonTruncatedTCP))
		})
	}
	c.add(subjectLength, "nothing behind the IP header", func(p place) []step {
		b := filtertest.IP(6, p.Dynamic.String(), p.MX.String()).ID(uint32(p.key)).Bytes()
		if p.is4() {
			return one(dropped(b, filter.ReasonTruncatedTCP))
		}
		return one(dropped(b, filter.ReasonMalformed))
	})
	for _, n := range []int{1, 2, 20, 1000} {
		c.add(subjectLength, fmt.Sprintf("%d octets more than there are", n), func(p place) []step {
			b := p.syn().Bytes()
			length := 20 + n
			if p.is4() {
				length = len(b) + n
			}
			return one(dropped(p.syn().Length(length).Bytes(), filter.ReasonMalformed))
		})
	}
	for _, n := range []int{1, 2, 7, 100} {
		c.add(subjectLength, fmt.Sprintf("%d octets that nobody counts", n), func(p place) []step {
			return one(p.refused(p.syn().Trailing(bytes.Repeat([]byte{0xee}, n)...).Bytes(), sequenceNumber+1))
		})
	}
	c.add(subjectLength, "data, and 4 octets that nobody counts", func(p place) []step {
		return one(p.refused(p.syn().Data("EHLO x\r\n").Trailing(1, 2, 3, 4).Bytes(), sequenceNumber+9))
	})
	c.add(subjectLength, "7 octets that nobody counts, to port 26", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MX, 26).Trailing(1, 2, 3, 4, 5, 6, 7).Bytes(), filter.ReasonOtherPort))
	})
	for _, n := range []int{65535, 32768} {
		c.add(subjectLength, fmt.Sprintf("super-packet of %d octets", n), func(p place) []step {
			size := n - 20
			if p.is4() {
				size -= 20
			} else if n == 65535 {
				size = 65535 - 20 // the payload length does not count the header
				size -= 40        // but a frame has room for 65535 in all
			}
			return one(p.refused(p.syn().Data(strings.Repeat("x", size)).Bytes(), uint32(sequenceNumber+1+size)).inMemory())
		})
	}
	c.add(subjectLength, "one octet", func(p place) []step {
		first := byte(0x45)
		if !p.is4() {
			first = 0x60
		}
		return one(dropped([]byte{first}, filter.ReasonMalformed).inMemory())
	})
	c.add(subjectLength, "an IP header without its last octet", func(p place) []step {
		size := 20
		if !p.is4() {
			size = 40
		}
		return one(dropped(p.syn().Bytes()[:size-1], filter.ReasonMalformed))
	})
}

func addPorts(c *catalogue) {
	for _, port := range []uint16{0, 24, 26, 80, 465, 587, 2525, 0x1900, 65535} {
		c.add(subjectPort, fmt.Sprintf("to port %d", port), func(p place) []step {
			return one(forwarded(p.tcp(p.Dynamic, p.MX, port).Bytes(), filter.ReasonOtherPort))
		})
	}
	for _, port := range []uint16{0, 25, 1, 53, 80, 443, 65535} {
		c.add(subjectPort, fmt.Sprintf("from port %d", port), func(p place) []step {
			from := at(p.Dynamic, port).String()
			b := filtertest.TCP(from, at(p.MX, lab.PortSMTP).String()).ID(uint32(p.key)).Seq(sequenceNumber).Bytes()
			s := p.refused(b, sequenceNumber+1)
			s.answer = resetSegment(p.MX, p.Dynamic, port, 0, sequenceNumber+1, flagRST|flagACK)
			return one(s)
		})
	}
	c.add(subjectPort, "25, 26, 25", func(p place) []step {
		s := p.refused(p.syn().Bytes(), sequenceNumber+1)
		return []step{s, forwarded(p.tcp(p.Dynamic, p.MX, 26).Bytes(), filter.ReasonOtherPort), s}
	})
}
