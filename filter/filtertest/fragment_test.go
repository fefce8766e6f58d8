// SPDX-License-Identifier: Apache-2.0

package filtertest_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter/filtertest"
)

// piece is a fragment as a receiver sees it.
type piece struct {
	Offset  int
	More    bool
	Next    uint8
	Payload string
}

func parse4(b []byte) piece {
	ip := header.IPv4(b)
	return piece{
		Offset: int(ip.FragmentOffset()), More: ip.More(), Next: ip.Protocol(),
		Payload: string(b[ip.HeaderLength():]),
	}
}

// parse6 expects the fragment header at the given offset.
func parse6(b []byte, at int) piece {
	field := binary.BigEndian.Uint16(b[at+2:])
	return piece{Offset: int(field &^ 7), More: field&1 != 0, Next: b[at], Payload: string(b[at+8:])}
}

func TestCut4(t *testing.T) {
	t.Parallel()
	p := filtertest.TCP(from4, to4).IPOptions(1, 1, 1, 0).Data("0123456789")
	whole := string(p.Fragmentable())
	var got []piece
	for _, b := range p.Cut(8, 24) {
		if !header.IPv4(b).IsChecksumValid() || int(header.IPv4(b).TotalLength()) != len(b) {
			t.Errorf("% x: header is wrong", b)
		}
		got = append(got, parse4(b))
	}
	want := []piece{{0, true, 6, whole[:8]}, {8, true, 6, whole[8:24]}, {24, false, 6, whole[24:]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fragments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]byte{p.Bytes()}, p.Cut()); diff != "" {
		t.Errorf("no cut (-want +got):\n%s", diff)
	}
}

// TestCut6 has a header of the chain on either side of the fragment header.
func TestCut6(t *testing.T) {
	t.Parallel()
	p := filtertest.TCP(from6, to6).Chain(filtertest.HopByHop(8), filtertest.DestOpts(16)).PerFragment(1)
	whole := string(p.Fragmentable())
	if len(whole) != 16+header.TCPMinimumSize {
		t.Fatalf("fragmentable part has %d octets", len(whole))
	}
	var got []piece
	for _, b := range p.Cut(8, 32) {
		if !bytes.Equal(b[40:48], []byte{44, 0, 0, 0, 0, 0, 0, 0}) || int(header.IPv6(b).PayloadLength()) != len(b)-40 {
			t.Errorf("% x: headers are wrong", b)
		}
		got = append(got, parse6(b, 48))
	}
	want := []piece{{0, true, 60, whole[:8]}, {8, true, 60, whole[8:32]}, {32, false, 60, whole[32:]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fragments (-want +got):\n%s", diff)
	}
	atomic := filtertest.TCP(from6, to6).Cut()
	if got := parse6(atomic[0], 40); len(atomic) != 1 || got.Offset != 0 || got.More || got.Next != 6 {
		t.Errorf("atomic fragment: %+v", got)
	}
}

func TestPieceHoldsAnything(t *testing.T) {
	t.Parallel()
	got := parse4(filtertest.TCP(from4, to4).Chain(filtertest.AH(12)).Piece(65528, true, []byte("any")))
	if diff := cmp.Diff(piece{65528, true, 51, "any"}, got); diff != "" {
		t.Errorf("piece (-want +got):\n%s", diff)
	}
}

// TestPanics pins that a typo in a test does not go unseen.
func TestPanics(t *testing.T) {
	t.Parallel()
	for name, typo := range map[string]func(){
		"an address that is none": func() { filtertest.TCP("100.64.0.256:1", to4) },
		"two families":            func() { filtertest.TCP(from4, to6) },
		"an odd extension header": func() { filtertest.DestOpts(12) },
		"a short AH":              func() { filtertest.AH(8) },
		"cuts that fall":          func() { filtertest.TCP(from4, to4).Cut(16, 8) },
		"a cut behind the end":    func() { filtertest.TCP(from4, to4).Cut(24) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			typo()
		})
	}
}
