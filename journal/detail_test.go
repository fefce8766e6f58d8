// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
)

func named(prefix string, port uint16, outcome census.Outcome, attempts, packets uint64, first, last int) census.Destination {
	d := census.Destination{Port: port, Outcome: outcome, Attempts: attempts, Packets: packets, First: noon.Add(time.Duration(first) * time.Second), Last: noon.Add(time.Duration(last) * time.Second)}
	if prefix != "" {
		d.Prefix = netip.MustParsePrefix(prefix)
	}
	return d
}

// full names as many as a record can.
func full() (top []census.Destination) {
	for i := range census.MostTop {
		top = append(top, census.Destination{
			Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 128), Port: 465, Outcome: census.Monitored,
			Attempts: math.MaxUint64, Packets: 1, First: noon, Last: noon.Add(time.Hour),
		})
	}
	return top
}

// TestDetail pins the encoding: files have it.
func TestDetail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		record census.Record
		want   string // octets, "" for not pinned
	}{
		"nothing": {census.Record{}, "01 00 00"},
		"an address of IPv4": {
			census.Record{Minutes: 1<<2 | 1<<59, Top: []census.Destination{named("203.0.113.25/32", 25, census.Relayed, 3, 3, 130, 130)}},
			"01 01 02023b 04 cb007119 03 8201",
		},
		"all that is unusual": {
			census.Record{Minutes: 0xff, Top: []census.Destination{named("2001:db8:1::/48", 587, census.NotInForce, 300, 301, 0, 3600)}},
			"01 01 08 00000000000000ff fa 30 20010db80001 024b ac02 ad02 00 901c",
		},
		"nobody named":   {census.Record{Top: []census.Destination{named("", 25, census.Refused, 1, 1, 9, 9)}}, "01 01 00 10 ff 01 09"},
		"everybody":      {census.Record{Top: []census.Destination{named("::/0", 25, census.Refused, 1, 1, 9, 9)}}, "01 01 00 18 00 01 09"},
		"a network":      {census.Record{Top: []census.Destination{named("203.0.113.0/24", 25, census.Exempt, 1, 1, 9, 9)}}, "01 01 00 13 18 cb0071 01 09"},
		"unsolicited":    {census.Record{Unsolicited: census.Unsolicited{SYNACKs: 1, Resets: 2, Data: 300, Peers: 4, DataPeers: 3}}, "01 20 00 01 02 ac02 04 03"},
		"as much as can": {census.Record{Minutes: math.MaxUint64, Unsolicited: census.Unsolicited{SYNACKs: math.MaxUint64}, Top: full()}, ""},
	} {
		test.record.Hour = noon
		got := detailOf(&test.record)
		if want := strings.ReplaceAll(test.want, " ", ""); want != "" && hex.EncodeToString(got) != want {
			t.Errorf("%s:\n got %x\nwant %s", name, got, want)
		}
		again := census.Record{Hour: noon}
		if err := readDetail(got, &again); err != nil {
			t.Error(name, err)
		}
		if diff := cmp.Diff(test.record, again, comparePrefixes()); diff != "" {
			t.Error(name, diff)
		}
		// Any part of it is damaged, and so is more.
		for n := range got {
			checkDamaged(t, got[:n])
		}
		checkDamaged(t, append(got, 0))
	}
	for outcome, want := range map[census.Outcome]byte{census.Refused: 0, census.Monitored: 1, census.NotInForce: 2, census.Exempt: 3, census.Relayed: 4} {
		if byte(outcome) != want {
			t.Errorf("files have %d for %s, and it is %d now: translate them", want, outcome, outcome)
		}
	}
}

// checkDamaged makes sure that octets are refused, and a record left as it was.
func checkDamaged(t *testing.T, octets []byte) {
	t.Helper()
	r := census.Record{Hour: noon, Minutes: 5}
	if err := readDetail(octets, &r); !errors.Is(err, errDamaged) {
		t.Errorf("%x: %v", octets, err)
	}
	if diff := cmp.Diff(census.Record{Hour: noon, Minutes: 5}, r, comparePrefixes()); diff != "" {
		t.Error(diff)
	}
}

func TestDetailDamaged(t *testing.T) {
	t.Parallel()
	for name, octets := range map[string]string{
		"a later version":          "020000",
		"unknown bits":             "014000",
		"17 destinations":          "011100",
		"minutes twice":            "0100020505",
		"a minute after the last":  "01000140",
		"minutes that are not set": "0100090000000000000001",
		"an unknown outcome":       "01010005cb0071190309",
		"33 bits of IPv4":          "0101001021cb007119000309",
		"129 bits of IPv6":         "010100188120010db8000000000000000000000000000309",
		"after the hour":           "01010004cb00711903911c",
		"last after the hour":      "01010084cb00711903901c01",
		"a number without an end":  "01010004cb007119ffffffffffffffffffff01",
	} {
		b, err := hex.DecodeString(octets)
		if err != nil {
			t.Fatal(name, err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkDamaged(t, b)
		})
	}
}

// TestDetailCut has what is not kept as it came.
func TestDetailCut(t *testing.T) {
	t.Parallel()
	in := named("::ffff:203.0.113.25/120", 25, census.Refused, 1, 2, -5, 7200)
	out := named("203.0.113.0/24", 25, census.Refused, 1, 2, 0, 3600)
	r := census.Record{Hour: noon, Top: append(full(), in)}
	var got census.Record
	for _, top := range [][]census.Destination{{in}, {named("203.0.113.25/24", 25, census.Refused, 1, 2, -5, 7200)}} {
		r.Top, got.Hour = top, noon
		if err := readDetail(detailOf(&r), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]census.Destination{out}, got.Top, comparePrefixes()); diff != "" {
			t.Error(diff)
		}
	}
	r.Top = append(full(), in)
	if err := readDetail(detailOf(&r), &got); err != nil || len(got.Top) != census.MostTop {
		t.Error(len(got.Top), err)
	}
}

// FuzzDetail reads anything: what can be read is written and read as the same.
func FuzzDetail(f *testing.F) {
	for _, r := range []census.Record{
		{}, {Minutes: 7}, {Minutes: math.MaxUint64, Top: full()},
		{Unsolicited: census.Unsolicited{Data: 9, Peers: 3}, Top: []census.Destination{
			named("203.0.113.25/32", 25, census.Relayed, 3, 3, 130, 131), named("", 26, census.Exempt, 1, 9, 0, 0), named("2001:db8::/32", 25, census.Refused, 1, 1, 1, 1),
		}},
	} {
		r.Hour = noon
		f.Add(detailOf(&r))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		before := bytes.Clone(octets)
		first, second := census.Record{Hour: noon}, census.Record{Hour: noon}
		err := readDetail(octets, &first)
		if !bytes.Equal(before, octets) {
			t.Error("the octets were changed")
		}
		if err != nil {
			checkDamaged(t, octets)
			return
		}
		again := detailOf(&first)
		if len(again) > len(octets) {
			t.Errorf("%x became longer: %x", octets, again)
		}
		if err := readDetail(again, &second); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second, comparePrefixes()); diff != "" {
			t.Error(diff)
		}
	})
}
