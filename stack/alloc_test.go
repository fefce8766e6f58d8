// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

// discard is a Lane that takes everything.
type discard struct{}

func (discard) Read() ([]byte, error) { return nil, os.ErrClosed }
func (discard) Forward([]byte)        {}
func (discard) Lost() (uint64, error) { return 0, nil }
func (discard) Answer([]byte) error   { return nil }
func (discard) Pending() bool         { return false }
func (discard) Close() error          { return nil }

func outboundWorker(t testing.TB) *worker {
	t.Helper()
	lane, _ := newMemoryLanes()
	port := lane.port(1500, gateway4, gateway6)
	port.Lanes = []Lane{discard{}}
	policy, err := filter.Compile(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Subscriber: port, Upstream: port, Policy: policy, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return r.workers[0]
}

func shapes() map[string]struct {
	frame []byte
	fate  Fate
} {
	bulk := ft.TCP(dynamic4+":1", server4+":443").Flags(ft.ACK).Data(strings.Repeat("x", 60000)).Checksum(ft.Partial)
	return map[string]struct {
		frame []byte
		fate  Fate
	}{
		"udp-64":        {plain(ft.UDP(dynamic4+":1", server4+":2").Data(strings.Repeat("x", 36)).Bytes()), Forwarded},
		"udp-64-ipv6":   {plain(ft.UDP("["+dynamic6+"]:1", "["+server6+"]:2").Bytes()), Forwarded},
		"tcp-bulk":      {vnet(bulk.Bytes(), 1, 1460, 20, 16), Forwarded},
		"syn-refused":   {plain(ft.TCP(dynamic4+":1", server4+":25").Bytes()), AnsweredReset},
		"syn-refused-6": {plain(ft.TCP("["+dynamic6+"]:1", "["+server6+"]:25").Bytes()), AnsweredReset},
		"expired":       {plain(ft.UDP(dynamic4+":1", server4+":2").TTL(0).Bytes()), AnsweredTimeExceeded},
		"spoofed":       {plain(ft.UDP("198.51.100.9:1", server4+":2").Bytes()), DroppedByVerdict},
	}
}

// What would escape: the frame, if a Queue kept it; addresses, if they were
// pointers; an ICMP error, if it were built in a new slice.
func TestNoAllocationPerFrame(t *testing.T) {
	w := outboundWorker(t)
	for name, s := range shapes() {
		if name == "expired" {
			w.answer.limit.SetBurst(1 << 30)
			w.answer.limit.SetLimit(1 << 30)
		}
		buf := make([]byte, len(s.frame))
		allocs := testing.AllocsPerRun(100, func() {
			copy(buf, s.frame)
			if got := w.move(buf); got != s.fate {
				t.Fatalf("%s: %s, want %s", name, got, s.fate)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations per frame", name, allocs)
		}
	}
}

// BenchmarkMove is one frame's way through a worker, without the system calls.
func BenchmarkMove(b *testing.B) {
	for name, s := range shapes() {
		b.Run(name, func(b *testing.B) {
			w := outboundWorker(b)
			buf := make([]byte, len(s.frame))
			b.SetBytes(int64(len(s.frame)))
			for b.Loop() {
				copy(buf, s.frame[:min(len(s.frame), 128)])
				w.move(buf)
			}
		})
	}
}
