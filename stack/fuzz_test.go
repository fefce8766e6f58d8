// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// captures returns packets of real clients, of one family.
func captures(f *testing.F, version int) [][]byte {
	f.Helper()
	text, err := os.ReadFile("../filter/testdata/captures.txt")
	if err != nil {
		f.Fatal(err)
	}
	var packets [][]byte
	for line := range strings.Lines(string(text)) {
		_, digits, found := strings.Cut(line, ": ")
		if strings.HasPrefix(line, "#") || !found {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			f.Fatal(err)
		}
		if header.IPVersion(b) == version {
			packets = append(packets, b)
		}
	}
	if len(packets) == 0 {
		f.Fatal("no captures")
	}
	return packets
}

// seeds returns the captures and what is made to be refused or answered.
func seeds(f *testing.F, version int) [][]byte {
	f.Helper()
	from, to := dynamic4, server4
	if version == header.IPv6Version {
		from, to = "["+dynamic6+"]", "["+server6+"]"
	}
	syn := ft.TCP(from+":40000", to+":25").Seq(1000)
	made := []ft.Packet{
		syn, syn.Data("hello"), syn.Flags(ft.SYN | ft.FIN | ft.ECE), syn.Flags(ft.ACK), syn.Flags(ft.RST), syn.TTL(0),
		syn.Chain(ft.AH(24)), syn.Trailing(1, 2, 3), syn.Checksum(ft.Bad), syn.Options(bytes.Repeat([]byte{1}, 40)...),
		ft.UDP(from+":1", to+":2").TTL(0), ft.UDP(from+":1", to+":2").Data(strings.Repeat("x", 1400)),
		ft.UDP(from+":1", to+":2").Data(strings.Repeat("x", 1480)),
	}
	packets := captures(f, version)
	for _, p := range made {
		packets = append(packets, p.Bytes())
	}
	return packets
}

// recorder is a Lane that keeps what leaves it.
type recorder struct{ forwarded, answers [][]byte }

func (*recorder) Read() ([]byte, error) { return nil, os.ErrClosed }
func (*recorder) Lost() (uint64, error) { return 0, nil }
func (*recorder) Close() error          { return nil }
func (*recorder) Pending() bool         { return false }
func (r *recorder) Forward(f []byte)    { r.forwarded = append(r.forwarded, bytes.Clone(f)) }

func (r *recorder) Answer(f []byte) error {
	r.answers = append(r.answers, bytes.Clone(f))
	return nil
}

// stage is a router whose workers are called by hand.
type stage struct {
	workers [filter.NumDirections]*worker
	lanes   [filter.NumDirections]*recorder
	policy  *filter.Policy
}

func newStage(f *testing.F, change func(*filter.Spec)) *stage {
	f.Helper()
	spec := testSpec()
	change(&spec)
	policy, err := filter.Compile(spec)
	if err != nil {
		f.Fatal(err)
	}
	s := &stage{policy: policy}
	port := func(d filter.Direction, mtu int, addresses ...string) Port {
		s.lanes[d] = &recorder{}
		lane, _ := newMemoryLanes()
		p := lane.port(mtu, addresses...)
		p.Lanes = []Lane{s.lanes[d]}
		return p
	}
	r, err := New(Options{
		Subscriber: port(filter.Outbound, 1500, gateway4, gateway6),
		Upstream:   port(filter.Inbound, 1400, "198.51.100.1", "2001:db8:ff::1"),
		Policy:     policy, Log: zap.NewNop(),
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, w := range r.workers {
		w.answer.limit.SetLimit(rate.Inf)
		s.workers[w.direction] = w
	}
	return s
}

// move has a worker move a copy of f and returns what became of it: its fate, the
// buffer afterwards, and what was written to either side.
func (s *stage) move(d filter.Direction, f frame) (fate Fate, after, forwarded, answers [][]byte) {
	*s.lanes[d] = recorder{}
	buf := bytes.Clone(f)
	fate = s.workers[d].move(buf)
	return fate, [][]byte{buf}, s.lanes[d].forwarded, s.lanes[d].answers
}

// FuzzMove4 and FuzzMove6 put any frame through a worker, hostile virtio_net_hdr
// included. It meets one fate; what comes out is what that fate says and no more;
// answers are valid packets to who sent it, and a reset is no longer than what
// caused it.
func FuzzMove4(f *testing.F) { fuzzMove(f, header.IPv4Version) }

// FuzzMove6 is FuzzMove4 for IPv6.
func FuzzMove6(f *testing.F) { fuzzMove(f, header.IPv6Version) }

func fuzzMove(f *testing.F, version int) {
	f.Helper()
	for i, pkt := range seeds(f, version) {
		for _, vnet := range [][]byte{
			make([]byte, HeaderSize),
			{flagNeedsChecksum, gsoNone, 0, 0, 0, 0, byte(version-4)*10 + 20, 0, 16, 0},
			{flagNeedsChecksum, 1, 0xff, 0xff, 0x50, 5, 20, 0, 16, 0},
			{flagNeedsChecksum, 5, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			{flagDataValid, 0, 1, 2, 3, 4, 5, 6, 7, 8},
		} {
			f.Add(append(bytes.Clone(vnet), pkt...), byte(i))
		}
	}
	stages := []*stage{
		newStage(f, func(*filter.Spec) {}),
		newStage(f, func(s *filter.Spec) { s.JudgeEstablished, s.BlockInboundSourcePort = true, true }),
		newStage(f, func(s *filter.Spec) { s.Pools[0].Response = filter.RespondProhibited }),
		newStage(f, func(s *filter.Spec) { s.ValidateSource = false; s.Pools[0].Response = filter.RespondDrop }),
		newStage(f, func(s *filter.Spec) { s.Pools[0].Monitor = true }),
	}
	f.Fuzz(func(t *testing.T, f []byte, mode byte) {
		if len(f) > FrameSize {
			return
		}
		if len(f) > HeaderSize {
			f[HeaderSize] = byte(version)<<4 | f[HeaderSize]&0xf
		}
		s, d := stages[int(mode>>1)%len(stages)], filter.Direction(mode&1)
		given := bytes.Clone(f)
		fate, after, forwarded, answers := s.move(d, f)
		if !bytes.Equal(given, f) {
			t.Fatal("the frame that was lent was changed")
		}
		checkFate(t, d, f, fate, after[0], forwarded, answers)
		if fate != DroppedShort {
			checkAgainstPolicy(t, s.policy, d, f, fate)
		}
	})
}

// checkFate compares what came out with the fate.
func checkFate(t *testing.T, d filter.Direction, f frame, fate Fate, after []byte, forwarded, answers [][]byte) {
	t.Helper()
	wantForwarded, wantAnswers := 0, 0
	switch fate {
	case Forwarded:
		wantForwarded = 1
	case AnsweredReset, AnsweredProhibited, AnsweredTimeExceeded, AnsweredTooBig:
		wantAnswers = 1
	case DroppedByVerdict, DroppedByLimit, DroppedShort:
		if !bytes.Equal(f, after) {
			t.Errorf("%s, and yet it was changed:\n%x\n%x", fate, f, after)
		}
	case DroppedUnanswered, DroppedByHost:
	default:
		t.Fatalf("fate %d", fate)
	}
	if len(forwarded) != wantForwarded || len(answers) != wantAnswers {
		t.Fatalf("%s: %d forwarded and %d answers: %x", fate, len(forwarded), len(answers), f)
	}
	if fate == AnsweredReset && hopLimit(f.packet()) == 0 {
		t.Error("an expired packet was reset")
	}
	for _, out := range forwarded {
		checkForwarded(t, f, out)
	}
	for _, out := range answers {
		checkAnswer(t, d, f, fate, out)
	}
}

// checkForwarded allows a larger hop limit, and in IPv4 the checksum that goes
// with it.
func checkForwarded(t *testing.T, f frame, out []byte) {
	t.Helper()
	want, got := bytes.Clone(f), bytes.Clone(out)
	changed := []int{HeaderSize + hopLimitAt}
	if header.IPVersion(f.packet()) == header.IPv4Version {
		changed = []int{HeaderSize + ttlAt, HeaderSize + 10, HeaderSize + 11}
	}
	if len(got) == len(want) {
		if before, now := want[changed[0]], got[changed[0]]; now != before+min(1, 255-before) {
			t.Errorf("hop limit %d became %d", before, now)
		}
		for _, i := range changed {
			want[i], got[i] = 0, 0
		}
	}
	if !bytes.Equal(want, got) {
		t.Errorf("forwarded\n%x\nfor\n%x", out, f)
	}
	if header.IPVersion(f.packet()) == header.IPv4Version {
		// A checksum that was right is right, one that was wrong is wrong.
		if a, b := headerSum(f.packet()), headerSum(frame(out).packet()); (a == 0) != (b == 0) {
			t.Errorf("the header's checksum was off by %#x and is by %#x: %x", a, b, f)
		}
	}
}

// headerSum adds an IPv4 header up, modulo 65535: zero if its checksum is right.
func headerSum(pkt []byte) int {
	sum := 0
	for i := 0; i < int(pkt[0]&0xf)*4; i += 2 {
		sum += int(binary.BigEndian.Uint16(pkt[i:]))
	}
	return sum % 65535
}

// checkAnswer takes an answer apart, by hand.
func checkAnswer(t *testing.T, d filter.Direction, f frame, fate Fate, out []byte) {
	t.Helper()
	in, pkt := f.packet(), frame(out).packet()
	if !bytes.Equal(out[:HeaderSize], make([]byte, HeaderSize)) || pkt[0]>>4 != in[0]>>4 {
		t.Fatalf("answered %x with %x", f, out)
	}
	size, limit, proto, length := header.IPv6MinimumSize, quoteLimit6, pkt[6], header.IPv6MinimumSize+int(binary.BigEndian.Uint16(pkt[4:]))
	if pkt[0]>>4 == header.IPv4Version {
		size, limit, proto, length = header.IPv4MinimumSize, quoteLimit4, pkt[9], int(binary.BigEndian.Uint16(pkt[2:]))
		if pkt[0] != 0x45 || headerSum(pkt) != 0 {
			t.Errorf("bad IPv4 header: %x", pkt)
		}
	}
	from, to := ends(in)
	source, target := ends(pkt)
	if length != len(pkt) || target != from || hopLimit(pkt) != answerHopLimit {
		t.Errorf("length %d of %d, to %s, want %s, hop limit %d", length, len(pkt), target, from, hopLimit(pkt))
	}
	if fate == AnsweredReset {
		if source != to || proto != 6 || len(pkt) != size+header.TCPMinimumSize || len(pkt) > len(in) {
			t.Errorf("reset %x to %x", pkt, in)
		}
		checkSum(t, pkt, size, 6)
		return
	}
	gateway := map[filter.Direction][2]string{
		filter.Outbound: {gateway4, gateway6}, filter.Inbound: {"198.51.100.1", "2001:db8:ff::1"},
	}[d][pkt[0]>>4/6]
	if source != netip.MustParseAddr(gateway) || len(pkt) > limit || len(pkt) > size+8+len(in) {
		t.Errorf("ICMP from %s, want %s; %d octets", source, gateway, len(pkt))
	}
	if pkt[0]>>4 == header.IPv4Version {
		if proto != 1 || checksum.Checksum(pkt[size:], 0) != 0xffff {
			t.Errorf("bad ICMP: %x", pkt)
		}
		return
	}
	if proto != 58 {
		t.Errorf("bad ICMPv6: %x", pkt)
	}
	checkSum(t, pkt, size, 58)
}

// ends returns source and destination.
func ends(pkt []byte) (src, dst netip.Addr) {
	if pkt[0]>>4 == header.IPv4Version {
		return netip.AddrFrom4([4]byte(pkt[12:16])), netip.AddrFrom4([4]byte(pkt[16:20]))
	}
	return netip.AddrFrom16([16]byte(pkt[8:24])), netip.AddrFrom16([16]byte(pkt[24:40]))
}

// checkSum adds up the pseudo-header and the rest.
func checkSum(t *testing.T, pkt []byte, size int, proto byte) {
	t.Helper()
	addresses := pkt[8:40]
	if size == header.IPv4MinimumSize {
		addresses = pkt[12:20]
	}
	pseudo := append(bytes.Clone(addresses), 0, proto, byte((len(pkt)-size)>>8), byte(len(pkt)-size))
	if checksum.Checksum(pkt[size:], checksum.Checksum(pseudo, 0)) != 0xffff {
		t.Errorf("bad checksum: %x", pkt)
	}
}

// checkAgainstPolicy compares the fate with the verdict.
func checkAgainstPolicy(t *testing.T, p *filter.Policy, d filter.Direction, f frame, fate Fate) {
	t.Helper()
	v := p.Decide(d, f.packet(), f.checksum())
	allowed := map[filter.Action][]Fate{
		filter.Drop:       {DroppedByVerdict},
		filter.Local:      {DroppedByHost}, // there is none here
		filter.Forward:    {Forwarded, AnsweredTimeExceeded, AnsweredTooBig, DroppedUnanswered},
		filter.Monitored:  {Forwarded, AnsweredTimeExceeded, AnsweredTooBig, DroppedUnanswered},
		filter.Reset:      {AnsweredReset, AnsweredTimeExceeded},
		filter.Prohibited: {AnsweredProhibited, AnsweredTimeExceeded},
	}[v.Action]
	if !slices.Contains(allowed, fate) {
		t.Errorf("%s %s, and yet %s: %x", v.Action, v.Reason, fate, f)
	}
}

// FuzzReset builds the reset for any packet whose data offset is right, as Decide
// makes sure. A RST is never answered, and the numbers are those of RFC 9293,
// section 3.5.2.
func FuzzReset(f *testing.F) {
	for _, version := range []int{4, 6} {
		for _, pkt := range seeds(f, version) {
			f.Add(pkt)
		}
	}
	a := newAnswerer(nil)
	f.Fuzz(func(t *testing.T, pkt []byte) {
		proto, segment, ok := filter.Transport(pkt)
		if ok && len(segment) >= 20 && (segment[12]>>4 < 5 || int(segment[12]>>4)*4 > len(segment)) {
			return
		}
		answerable := ok && proto == 6 && len(segment) >= 20 && segment[13]&4 == 0
		given := bytes.Clone(pkt)
		answer := a.reset(pkt)
		if !bytes.Equal(given, pkt) {
			t.Error("the packet was changed")
		}
		if answerable != (answer != nil) {
			t.Fatalf("answered: %t, want %t: %x", answer != nil, answerable, pkt)
		}
		if answer == nil {
			return
		}
		got := answer.packet()[len(answer.packet())-20:]
		number := func(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
		var seq, ack uint32
		flags := byte(4)
		if segment[13]&16 != 0 {
			seq = number(segment, 8)
		} else {
			flags |= 16
			data := len(segment) - int(segment[12]>>4)*4
			ack = number(segment, 4) + uint32(data) + uint32(segment[13]>>1&1) + uint32(segment[13]&1) //nolint:gosec // a length
		}
		if number(got, 4) != seq || number(got, 8) != ack || got[13] != flags ||
			!bytes.Equal(got[:2], segment[2:4]) || !bytes.Equal(got[2:4], segment[:2]) {
			t.Errorf("reset %x for %x: want seq %d, ack %d", got, segment, seq, ack)
		}
	})
}

// FuzzICMP4 and FuzzICMP6 build ICMP errors about any packet: each quotes it from
// its first octet, as much as fits, octet by octet.
func FuzzICMP4(f *testing.F) { fuzzICMP(f, header.IPv4Version) }

// FuzzICMP6 is FuzzICMP4 for IPv6.
func FuzzICMP6(f *testing.F) { fuzzICMP(f, header.IPv6Version) }

func fuzzICMP(f *testing.F, version int) {
	f.Helper()
	for i, pkt := range seeds(f, version) {
		f.Add(pkt, uint16(576+i))
	}
	a := newAnswerer([]netip.Addr{netip.MustParseAddr(gateway4), netip.MustParseAddr(gateway6)})
	a.limit.SetLimit(rate.Inf)
	size, limit := header.IPv4MinimumSize, quoteLimit4
	if version == header.IPv6Version {
		size, limit = header.IPv6MinimumSize, quoteLimit6
	}
	f.Fuzz(func(t *testing.T, pkt []byte, mtu uint16) {
		if len(pkt) < size || len(pkt) > 65535 {
			return // Decide lets nothing shorter through
		}
		pkt[0] = byte(version)<<4 | pkt[0]&0xf
		given := bytes.Clone(pkt)
		answer := a.icmp(pkt, tooBig(int(mtu)))
		if !bytes.Equal(given, pkt) {
			t.Error("the packet was changed")
		}
		proto, payload, ok := filter.Transport(pkt)
		if !ok {
			if answer != nil {
				t.Errorf("an error about what cannot be read: %x", pkt)
			}
			return
		}
		nobody := version == header.IPv4Version && pkt[12] >= 240 // RFC 1122, section 3.2.2
		if (nobody || isICMPError(version, proto, payload)) && answer != nil {
			t.Fatalf("an error about an error, or to nobody: %x", pkt)
		}
		if answer == nil {
			if !nobody && !isICMPError(version, proto, payload) && (proto != 1 && proto != 58 || len(payload) > 0) {
				t.Errorf("no error: %x", pkt)
			}
			return
		}
		got := answer.packet()
		if want := min(size+8+len(pkt), limit); len(got) != want {
			t.Fatalf("%d octets, want %d", len(got), want)
		}
		if !bytes.Equal(got[size+8:], pkt[:len(got)-size-8]) {
			t.Errorf("the quote differs: %x of %x", got, pkt)
		}
		if version == header.IPv4Version && (got[size] != 3 || got[size+1] != 4 || binary.BigEndian.Uint16(got[size+6:]) != mtu) ||
			version == header.IPv6Version && (got[size] != 2 || binary.BigEndian.Uint32(got[size+4:]) != uint32(mtu)) {
			t.Errorf("type %d, code %d, %x", got[size], got[size+1], got[size+4:size+8])
		}
	})
}

// isICMPError goes by the tables of RFC 1812, section 4.3.2, and RFC 4443.
func isICMPError(version int, proto byte, payload []byte) bool {
	switch {
	case len(payload) == 0:
		return false
	case version == header.IPv4Version && proto == 1:
		return strings.IndexByte("\x03\x04\x05\x0b\x0c", payload[0]) >= 0
	case proto == 58:
		return payload[0] < 128
	default:
		return false
	}
}

// FuzzComplete compares completed checksums with those of a slow reference, for
// any virtio_net_hdr, and size with the frame.
func FuzzComplete(f *testing.F) {
	for _, version := range []int{4, 6} {
		for _, pkt := range seeds(f, version) {
			f.Add(byte(flagNeedsChecksum), byte(0), uint16(0), uint16(20), uint16(16), pkt)
			f.Add(byte(flagNeedsChecksum), byte(1), uint16(1400), uint16(20), uint16(16), pkt)
		}
	}
	f.Add(byte(1), byte(0), uint16(0), uint16(0xffff), uint16(0xffff), make([]byte, 40))
	f.Fuzz(func(t *testing.T, flags, gso byte, segment, start, offset uint16, pkt []byte) {
		fr := frame(vnet(pkt, gso, int(segment), int(start), int(offset)))
		fr[0] = flags
		want := reference(fr)
		if size := fr.size(); size < 0 || size > len(pkt) {
			t.Errorf("size %d of %d", size, len(pkt))
		}
		fr.complete()
		if !bytes.Equal(fr, want) {
			t.Errorf("completed\n%x\nwant\n%x", fr, want)
		}
	})
}

// reference completes a checksum as linux/virtio_net.h says.
func reference(f frame) frame {
	out := bytes.Clone(f)
	start := int(binary.NativeEndian.Uint16(f[6:]))
	at := start + int(binary.NativeEndian.Uint16(f[8:]))
	if f[0]&1 == 0 || f[1] != 0 || at+2 > len(f)-HeaderSize {
		return out
	}
	first := f[HeaderSize]
	if ihl := int(first%16) * 4; first/16 == 4 && start < ihl || first/16 != 4 && start < 40 {
		return out // inside the network header there is no transport checksum
	}
	sum := uint64(0)
	for i, b := range f[HeaderSize+start:] {
		sum += uint64(b) << (8 * (1 - i%2))
	}
	if sum%65535 == 0 && sum > 0 { // the complement is zero, which is written as its double
		sum = 0
	}
	value := uint16(65535 - sum%65535) //nolint:gosec // below 65,536
	out[HeaderSize+at], out[HeaderSize+at+1] = byte(value>>8), byte(value)
	clear(out[:HeaderSize])
	return out
}

// FuzzRaiseHopLimit compares the checksum that is adjusted with one that is made
// anew, where the old one was right.
func FuzzRaiseHopLimit(f *testing.F) {
	for _, version := range []int{4, 6} {
		for _, pkt := range captures(f, version) {
			f.Add(pkt[:40], byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, pkt []byte, n byte) {
		if len(pkt) < header.IPv6MinimumSize {
			return
		}
		if version := header.IPVersion(pkt); version != header.IPv4Version && version != header.IPv6Version {
			return
		}
		before, sum := hopLimit(pkt), uint32(binary.BigEndian.Uint16(pkt[10:]))
		word := func() uint32 { return uint32(binary.BigEndian.Uint16(pkt[ttlAt:])) }
		partial := (word() + sum) % 65535
		rest := bytes.Clone(pkt)
		raiseHopLimit(pkt, n)
		if got, want := int(hopLimit(pkt)), min(int(before)+int(n), 255); got != want {
			t.Errorf("hop limit %d + %d is %d", before, n, got)
		}
		at := hopLimitAt
		if header.IPVersion(pkt) == header.IPv4Version {
			// What the two words add up to stays, modulo 65535.
			if now := (word() + uint32(binary.BigEndian.Uint16(pkt[10:]))) % 65535; now != partial {
				t.Errorf("the words add up to %#x, before to %#x", now, partial)
			}
			at = ttlAt
			copy(rest[10:12], pkt[10:12])
		}
		rest[at] = pkt[at]
		if !bytes.Equal(rest, pkt) {
			t.Errorf("more was changed: %x, %x", rest, pkt)
		}
	})
}

// FuzzSegment compares what answers go by with gVisor's own reading of packets
// that carry TCP right behind their header.
func FuzzSegment(f *testing.F) {
	for _, version := range []int{4, 6} {
		for _, pkt := range seeds(f, version) {
			f.Add(pkt)
		}
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		src, dst, tcp := segment(pkt)
		var wantSrc, wantDst tcpip.Address
		var want header.TCP
		switch ip4, ip6 := header.IPv4(pkt), header.IPv6(pkt); {
		case len(pkt) >= 20 && ip4.IsValid(len(pkt)) && ip4.Protocol() == 6 && ip4.FragmentOffset() == 0 && len(ip4.Options()) == 0:
			wantSrc, wantDst, want = ip4.SourceAddress(), ip4.DestinationAddress(), header.TCP(ip4.Payload())
		case len(pkt) >= 40 && ip6.IsValid(len(pkt)) && ip6.NextHeader() == 6 && ip6.PayloadLength() > 0:
			wantSrc, wantDst, want = ip6.SourceAddress(), ip6.DestinationAddress(), header.TCP(ip6.Payload())
		default:
			return
		}
		if len(want) < header.TCPMinimumSize {
			if tcp != nil {
				t.Errorf("a segment of %d octets: %x", len(tcp), pkt)
			}
			return
		}
		if src != wantSrc || dst != wantDst || !bytes.Equal(tcp, want) {
			t.Errorf("%s to %s, %x, want %s to %s, %x", src, dst, tcp, wantSrc, wantDst, want)
		}
	})
}
