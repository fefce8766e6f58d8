// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"op25b/filter"
)

// FuzzDecide4 and FuzzDecide6 hold Decide against the oracle, for any octets.
// Seeds are the golden packets and what fuzzing found worth keeping, in
// testdata/fuzz. mode picks direction, knowledge of the checksum, policy, and
// whether checksums are mended, which no fuzzer hits by chance.
func FuzzDecide4(f *testing.F) { fuzzDecide(f, 4) }

// FuzzDecide6 is FuzzDecide4 for IPv6.
func FuzzDecide6(f *testing.F) { fuzzDecide(f, 6) }

// The bits of mode. The two above them pick the policy.
const (
	modeInbound = 1 << iota
	modeTrusted
	modeMend
	modePolicy
)

func fuzzDecide(f *testing.F, version byte) {
	f.Helper()
	for i, g := range readGolden(f) {
		if len(g.pkt) > 0 && g.pkt[0]>>4 == version {
			f.Add(g.pkt, byte(i)) // any mode will do
			f.Add(g.pkt, byte(0))
		}
	}
	judges := newJudges(f)
	f.Fuzz(func(t *testing.T, pkt []byte, mode byte) {
		if len(pkt) > 0 {
			pkt[0] = version<<4 | pkt[0]&0xf
		}
		if mode&modeMend != 0 {
			mend(pkt)
		}
		dir, sum := filter.Outbound, filter.ChecksumUnknown
		if mode&modeInbound != 0 {
			dir = filter.Inbound
		}
		if mode&modeTrusted != 0 {
			sum = filter.ChecksumTrusted
		}
		j := judges[int(mode/modePolicy)%len(judges)]
		before := bytes.Clone(pkt)
		got, want := j.policy.Decide(dir, pkt, sum), j.oracle.decide(dir, pkt, sum)
		if !want.admits(got) {
			t.Errorf("%s, %s, checksum %d: % x\n got %s %s\nwant %s", j.name, dir, sum, pkt, got.Action, got.Reason, want)
		}
		compareTransport(t, pkt)
		if !bytes.Equal(before, pkt) {
			t.Error("the packet was changed")
		}
	})
}

// mend rewrites the checksums of a packet, as far as it can be read.
func mend(pkt []byte) {
	d, defects := readDatagram(pkt, false)
	if len(defects) > 0 {
		return
	}
	if d.v4 {
		complement(d.header[10:], 0, d.header)
	}
	if c := readChain(d); len(c.defects) == 0 && !c.later() && c.next == 6 && len(c.rest) >= 20 {
		complement(c.rest[16:], wordSum(d.pseudo)+6+uint64(len(c.rest)), c.rest)
	}
}

// complement writes the checksum of b into field, a part of it.
func complement(field []byte, pseudo uint64, b []byte) {
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, 65535-uint16((pseudo+wordSum(b))%65535)) // below 65,535
}
