// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

const (
	subjectHeader4   = "IPv4 header"
	subjectOptions4  = "IPv4 options"
	subjectFragments = "fragments"
)

func addHeaders4(c *catalogue) {
	add := func(subject, name string, steps func(p place) []step, options ...option) {
		c.add(subject, name, steps, append(options, only(lab.IPv4))...)
	}
	refused := func(name string, options ...byte) {
		add(subjectOptions4, name, func(p place) []step {
			return one(p.refused(p.syn().IPOptions(options...).Bytes(), sequenceNumber+1))
		})
	}
	for words := 6; words <= 15; words++ {
		refused(fmt.Sprintf("NOP up to %d words", words), bytes.Repeat([]byte{1}, 4*(words-5))...)
	}
	refused("end of list, then garbage", 0, 131, 7, 4, 198, 51, 100, 2)
	refused("40 octets of end of list", make([]byte, 40)...)
	refused("unknown, 4 octets", 0x99, 4, 1, 2)
	refused("unknown, 40 octets", slices.Concat([]byte{0x99, 40}, make([]byte, 38))...)
	refused("Router Alert", 148, 4, 0, 0)
	refused("Security", 130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	refused("Stream ID", 136, 4, 0, 1)
	refused("Record Route, full", 7, 7, 8, 192, 0, 2, 1)
	refused("Record Route, room for nine", slices.Concat([]byte{7, 39, 4}, make([]byte, 36))...)
	refused("Timestamp, room for nine", slices.Concat([]byte{68, 40, 5, 0}, make([]byte, 36))...)
	refused("Timestamp, full", 68, 8, 9, 0, 0, 0, 0, 1)
	refused("Timestamp with addresses", slices.Concat([]byte{68, 36, 5, 1}, make([]byte, 32))...)

	for _, o := range []struct {
		name    string
		reason  filter.Reason
		options []byte
	}{
		{"loose source route to a relay", filter.ReasonSourceRoute, []byte{131, 7, 4, 192, 0, 2, 25}},
		{"loose source route, used up", filter.ReasonSourceRoute, []byte{131, 7, 8, 192, 0, 2, 25}},
		{"strict source route", filter.ReasonSourceRoute, []byte{137, 7, 4, 192, 0, 2, 25}},
		{"loose source route behind NOPs", filter.ReasonSourceRoute, []byte{1, 1, 1, 131, 7, 4, 192, 0, 2, 25}},
		{"loose source route of length 0", filter.ReasonSourceRoute, []byte{131, 0, 4, 0}},
		{"unknown, length 0", filter.ReasonMalformed, []byte{0x99, 0, 1, 1}},
		{"unknown, length 1", filter.ReasonMalformed, []byte{0x99, 1, 1, 1}},
		{"unknown, beyond the header", filter.ReasonMalformed, []byte{0x99, 5, 1, 1}},
		{"unknown, without a length", filter.ReasonMalformed, []byte{1, 1, 1, 0x99}},
	} {
		add(subjectOptions4, o.name, func(p place) []step {
			return one(dropped(p.syn().IPOptions(o.options...).Bytes(), o.reason))
		})
		add(subjectOptions4, o.name+", to the relay", func(p place) []step {
			return one(dropped(p.tcp(p.Dynamic, p.MSA, lab.PortSMTP).IPOptions(o.options...).Bytes(), o.reason))
		})
	}
	add(subjectOptions4, "Router Alert, to port 26", func(p place) []step {
		return one(forwarded(p.tcp(p.Dynamic, p.MX, 26).IPOptions(148, 4, 0, 0).Bytes(), filter.ReasonOtherPort))
	})

	for ihl := range 5 {
		add(subjectHeader4, fmt.Sprintf("IHL %d", ihl), func(p place) []step {
			return one(dropped(p.syn().IHL(ihl).Bytes(), filter.ReasonMalformed))
		})
	}
	add(subjectHeader4, "IHL 15, beyond the packet", func(p place) []step {
		return one(dropped(p.syn().IHL(15).Bytes(), filter.ReasonMalformed))
	})
	add(subjectHeader4, "IHL 10, the whole TCP header as options", func(p place) []step {
		// The source port is the first option: it runs beyond the header.
		return one(dropped(reseal4(p.syn().IHL(10).Bytes()), filter.ReasonMalformed))
	})
	for _, total := range []int{0, 1, 19} {
		add(subjectHeader4, fmt.Sprintf("total length %d", total), func(p place) []step {
			return one(dropped(p.syn().Length(total).Bytes(), filter.ReasonMalformed))
		})
	}
	add(subjectHeader4, "total length below IHL", func(p place) []step {
		return one(dropped(p.syn().IPOptions(1, 1, 1, 1).Length(20).Bytes(), filter.ReasonMalformed))
	})
	for _, version := range []byte{0, 5, 6, 15} {
		add(subjectHeader4, fmt.Sprintf("version %d", version), func(p place) []step {
			b := p.syn().Bytes()
			b[0] = version<<4 | 5
			return one(dropped(reseal4(b), filter.ReasonMalformed))
		})
	}
	add(subjectHeader4, "wrong header checksum", func(p place) []step {
		return one(dropped(p.syn().IPChecksum(filtertest.Bad).Bytes(), filter.ReasonBadChecksum))
	})
	add(subjectHeader4, "wrong header checksum, to port 26", func(p place) []step {
		b := p.tcp(p.Dynamic, p.MX, 26).IPChecksum(filtertest.Bad).Bytes()
		return one(forwarded(b, filter.ReasonOtherPort).byKernel("the kernel verifies the header"))
	})
	for _, f := range []struct {
		name  string
		field uint16
	}{{"the evil bit", 0x8000}, {"DF", 0x4000}, {"DF and the evil bit", 0xc000}} {
		add(subjectHeader4, f.name, func(p place) []step {
			return one(p.refused(flags4(p.syn().Bytes(), f.field), sequenceNumber+1))
		})
	}
	for _, tos := range []byte{0x02, 0x03, 0x10, 0xb8, 0xff} {
		add(subjectHeader4, fmt.Sprintf("type of service %#02x", tos), func(p place) []step {
			b := p.syn().Bytes()
			b[1] = tos
			return one(p.refused(reseal4(b), sequenceNumber+1))
		})
	}
}

// flags4 writes the flags and the offset of an IPv4 header.
func flags4(b []byte, field uint16) []byte {
	binary.BigEndian.PutUint16(b[6:], field)
	return reseal4(b)
}

// reseal4 puts the IPv4 header checksum right over the first 20 octets, or as many
// as the header says and the packet has.
func reseal4(b []byte) []byte {
	size := min(max(int(b[0]&0xf)*4, 20), len(b))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^onesSum(b[:size]))
	return b
}
