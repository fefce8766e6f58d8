// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestForwardsUnchangedButForTheHopLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]ft.Packet{
		"tcp4":   ft.TCP(dynamic4+":40000", server4+":443").Data("hello").TTL(63),
		"tcp6":   ft.TCP("["+dynamic6+"]:40000", "["+server6+"]:443").Data("hello").TTL(63),
		"udp4":   ft.UDP(dynamic4+":40000", server4+":25").Data("hello").TTL(63),
		"udp6":   ft.UDP("["+dynamic6+"]:40000", "["+server6+"]:25").TTL(63),
		"icmp4":  ft.ICMP(dynamic4, server4).TTL(63),
		"icmp6":  ft.ICMP(dynamic6, server6).TTL(63),
		"sctp4":  ft.SCTP(dynamic4+":40000", server4+":25").TTL(63),
		"gre4":   ft.GRE(dynamic4, server4).TTL(63),
		"static": ft.TCP(static4+":40000", server4+":25").TTL(63),
	}
	for name, p := range tests {
		for hop, want := range map[Hop]uint8{HopDecrement: 64, HopTransparent: 65} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, func(o *Options, _ *filter.Spec) { o.Hop = hop })
				b.sub.in <- plain(p.Bytes())
				if got, want := take(t, b.up), plain(p.TTL(want).Bytes()); !bytes.Equal(got, want) {
					t.Errorf("got  %x\nwant %x", got, want)
				}
				silent(t, b.sub)
			})
		}
	}
}

func TestForwardsInbound(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := ft.TCP(server4+":443", dynamic4+":40000").Flags(ft.SYN | ft.ACK).TTL(50)
	b.up.in <- plain(p.Bytes())
	if got, want := take(t, b.sub), plain(p.TTL(51).Bytes()); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestHopLimitSaturates(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Hop = HopTransparent })
	for _, p := range []ft.Packet{ft.UDP(dynamic4+":1", server4+":2"), ft.UDP("["+dynamic6+"]:1", "["+server6+"]:2")} {
		for _, ttl := range []uint8{254, 255} {
			b.sub.in <- plain(p.TTL(ttl).Bytes())
			if got, want := take(t, b.up), plain(p.TTL(255).Bytes()); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		}
	}
}

// A super-packet passes whole, its header untouched.
func TestSuperPacketPassesWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	p := ft.TCP(dynamic4+":40000", server4+":443").Flags(ft.ACK).Data(strings.Repeat("x", 60000)).Checksum(ft.Partial).TTL(63)
	in := vnet(p.Bytes(), 1, 1360, 20, 16)
	b.sub.in <- in
	want := append(append([]byte(nil), in[:HeaderSize]...), p.TTL(64).Bytes()...)
	if got := take(t, b.up); !bytes.Equal(got, want) {
		t.Errorf("%d octets came out, %d went in, or they differ", len(got), len(in))
	}
}

func TestHopLimitChecksumProperty(t *testing.T) {
	t.Parallel()
	for ttl := range 256 {
		for id := uint32(0); id < 65536; id += 257 {
			pkt := ft.UDP(dynamic4+":1", server4+":2").TTL(uint8(ttl)).ID(id).Bytes()
			raiseHopLimit(pkt, 1)
			if !header.IPv4(pkt).IsChecksumValid() {
				t.Fatalf("TTL %d, ID %d: bad checksum", ttl, id)
			}
		}
	}
}

// A broken header checksum stays broken: forwarding must not repair it.
func TestHopLimitKeepsBadChecksumBad(t *testing.T) {
	t.Parallel()
	pkt := ft.UDP(dynamic4+":1", server4+":2").IPChecksum(ft.Bad).Bytes()
	raiseHopLimit(pkt, 1)
	if header.IPv4(pkt).IsChecksumValid() {
		t.Error("the checksum was repaired")
	}
}

func TestPolicySwap(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	syn := plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	b.sub.in <- syn
	take(t, b.sub) // the RST
	spec := testSpec()
	spec.Pools[0].Static = true
	policy, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	b.router.SetPolicy(policy)
	b.sub.in <- syn
	take(t, b.up)
	silent(t, b.sub)
}

func TestShortFrameIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.sub.in <- make([]byte, HeaderSize)
	b.sub.in <- []byte{1}
	if got := b.fates(2)[DroppedShort]; got != 2 {
		t.Errorf("%d short frames, want 2", got)
	}
}

func TestWriteErrorsAreCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Log = zap.New(core) })
	b.up.fail(syscall.ENOBUFS)
	for range 20 {
		b.sub.in <- plain(ft.UDP(dynamic4+":1", server4+":2").Bytes())
	}
	if got := b.fates(20)[DroppedOnWrite]; got != 20 {
		t.Errorf("%d lost, want 20", got)
	}
	if n := logs.Len(); n < 1 || n > 2 {
		t.Errorf("%d log lines, want one (two if a second went by)", n)
	}
}

// An answer that cannot be written is lost, counted and logged; the loop goes on.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Log = zap.New(core) })
	b.sub.fail(syscall.ENOBUFS)
	b.sub.in <- plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	b.sub.in <- plain(ft.UDP(dynamic4+":1", server4+":2").TTL(0).Bytes())
	if got := b.fates(2)[DroppedOnWrite]; got != 2 {
		t.Errorf("%d lost, want 2", got)
	}
	if n := logs.Len(); n < 1 || n > 2 {
		t.Errorf("%d log lines, want one (two if a second went by)", n)
	}
}

// The end of a packet loop must not go unnoticed.
func TestPortFailureEndsRun(t *testing.T) {
	t.Parallel()
	failure := fmt.Errorf("the device is gone: %w", io.EOF)
	sub, up := newMemoryLanes()
	policy, err := filter.Compile(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Subscriber: sub.port(1500), Upstream: up.port(1500), Policy: policy, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	sub.err = failure
	close(sub.in)
	if err := r.Run(context.Background()); !errors.Is(err, failure) || !strings.Contains(err.Error(), "outbound") {
		t.Errorf("Run: %v, want the failure and its direction", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	policy, err := filter.Compile(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	sub, up := newMemoryLanes()
	one, two := sub.port(1500), up.port(1500)
	two.Lanes = append(two.Lanes, up)
	for name, opts := range map[string]Options{
		"no lanes":     {Policy: policy, Log: zap.NewNop()},
		"uneven lanes": {Subscriber: one, Upstream: two, Policy: policy, Log: zap.NewNop()},
		"no policy":    {Subscriber: one, Upstream: one, Log: zap.NewNop()},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
