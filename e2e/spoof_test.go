// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/lab"
)

// TestManySources sends SYNs to port 25 from a source that is another each time, half
// of them inside the dynamic pool and half from anywhere. The gateway's memory does
// not grow with them, and another subscriber does not notice.
//
// Settings: OP25B_SOURCES (150000) in all, OP25B_SOURCE_RATE (15000) a second.
func TestManySources(t *testing.T) {
	sources, rate := benchSetting(t, "OP25B_SOURCES", 150_000), benchSetting(t, "OP25B_SOURCE_RATE", 15_000)
	n := newNetwork(t, lab.Options{})
	mustRun(t, n.Gateway, "ip", "route", "add", wholePool.String(), "via", lab.IPv4.Addrs().Dynamic.String())
	g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{}))
	s := newSpoofer(t, n)
	s.send(t, sources/10, rate) // whatever is allocated once
	counts := g.status(t)       // and the code that is needed to ask
	before := resident(t, g.pid)
	stream := sendSequence(t, n, 1000)
	s.send(t, sources, rate)
	after := resident(t, g.pid)
	stream.wantThousandth(t, n)
	const most = 8 << 20 // octets
	t.Logf("resident: %d KiB before, %d KiB after %d sources", before>>10, after>>10, sources)
	if after > before+most {
		t.Errorf("memory has grown by %d KiB", (after-before)>>10)
	}
	now := g.status(t)
	seen := now.Packets["outbound"]["frames"] - counts.Packets["outbound"]["frames"]
	t.Logf("%d frames read, %d refused, %d from nowhere", seen, now.Refused-counts.Refused,
		now.Drops["outbound"]["spoofed_source"]-counts.Drops["outbound"]["spoofed_source"])
	if now.Drops["outbound"]["spoofed_source"] == 0 || now.Refused == 0 {
		t.Errorf("the sources did not arrive: %+v", now.Drops)
	}
	g.stopConserved(t)
}

// wholePool is the lab's dynamic pool.
var wholePool = netip.MustParsePrefix("100.64.0.0/10")

// spoofer sends SYNs from sources that it makes up, a batch at a time.
type spoofer struct {
	fd       int
	random   *rand.Rand
	ethernet []byte
	vectors  [batch]unix.Iovec
	messages [batch]messageHeader
	frames   [batch][]byte
}

func newSpoofer(t testing.TB, n *lab.Network) *spoofer {
	t.Helper()
	target, err := n.Gateway.Netlink().LinkByName(lab.LinkDynamic)
	if err != nil {
		t.Fatal(err)
	}
	const ipv4 = 0x0800
	ethernet := binary.BigEndian.AppendUint16(slices.Concat(target.Attrs().HardwareAddr, make([]byte, 6)), ipv4)
	return &spoofer{fd: packetSocket(t, n.Dynamic), random: rand.New(rand.NewPCG(25, 25)), ethernet: ethernet} //nolint:gosec // reproducible
}

// source is an address of the pool, or any that somebody could have.
func (s *spoofer) source() netip.Addr {
	a := s.random.Uint32()
	if a&1 == 0 {
		a = binary.BigEndian.Uint32(wholePool.Addr().AsSlice()) | a>>10
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a)))
}

func (s *spoofer) send(t testing.TB, count, rate int) {
	t.Helper()
	to := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	begun := time.Now()
	for sent := 0; sent < count; {
		if ahead := time.Duration(float64(sent)/float64(rate)*float64(time.Second)) - time.Since(begun); ahead > 0 {
			time.Sleep(ahead)
		}
		for i := range s.frames {
			syn := buildTCP(s.source(), to.Addr(), &header.TCPFields{
				SrcPort: uint16(1024 + i), DstPort: to.Port(), SeqNum: uint32(sent),
				DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1024,
			}, "")
			s.frames[i] = append(append(s.frames[i][:0], s.ethernet...), syn...)
			s.vectors[i].Base = &s.frames[i][0]
			s.vectors[i].SetLen(len(s.frames[i]))
			s.messages[i].header.Iov = &s.vectors[i]
			s.messages[i].header.SetIovlen(1)
		}
		n, err := sendMessages(s.fd, s.messages[:])
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		sent += n
	}
}

// resident is how much of the process is in memory, in octets.
func resident(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
