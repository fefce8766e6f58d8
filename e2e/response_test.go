// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/lab"
)

// TestResponses shows each answer as a program on the subscriber's Linux sees it.
// The codes are in the kernel's tables icmp_err_convert (net/ipv4/icmp.c) and
// tab_unreach (net/ipv6/icmp.c).
func TestResponses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		response string
		family   lab.Family
		want     string
	}{
		{"reset", lab.IPv4, refused},
		{"reset", lab.IPv6, refused},
		{"prohibited", lab.IPv4, unreachable},
		{"prohibited", lab.IPv6, noPermission},
		{"drop", lab.IPv4, noAnswer},
		{"drop", lab.IPv6, noAnswer},
	}
	for _, response := range []string{"reset", "prohibited", "drop"} {
		t.Run(response, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startMail(t, n)
			startGateway(t, n, lab.ConfigOptions{Response: response})
			beyond := record(t, n.Transit, lab.LinkTransitGateway, "tcp[tcpflags] & tcp-syn != 0 or ip6[53] & 2 != 0")
			errors := record(t, n.Dynamic, lab.LinkHost, "icmp or ip6[40] == 1")
			for _, tt := range tests {
				if tt.response == response {
					t.Run(tt.family.String(), func(t *testing.T) {
						wantOutcome(t, n.Dynamic, at(tt.family.Addrs().MX, lab.PortSMTP), tt.want)
						wantConnected(t, n.Dynamic, at(tt.family.Addrs().MX, lab.PortSubmission))
						wantConnected(t, n.Static, at(tt.family.Addrs().MX, lab.PortSMTP))
					})
				}
			}
			if response == "prohibited" {
				errors.waitText(t, "host 203.0.113.25 unreachable - admin prohibited filter")
				errors.waitText(t, "unreachable prohibited 2001:db8:cafe::25")
			}
			// In each family: SYN and answer, to 587 and from the static subscriber.
			for _, p := range beyond.wait(t, len(n.Families())*4) {
				dynamic := p.src == lab.IPv4.Addrs().Dynamic || p.src == lab.IPv6.Addrs().Dynamic
				if dynamic && p.tcp.DestinationPort() == lab.PortSMTP {
					t.Errorf("upstream got a SYN to port 25 from %s", p.src)
				}
			}
		})
	}
}

// startMail starts the lab's own mail servers, for tests that need something that
// listens.
func startMail(t *testing.T, n *lab.Network) *lab.Mail {
	t.Helper()
	m, err := n.StartMail()
	if err != nil {
		t.Fatalf("start mail servers: %v", err)
	}
	return m
}

// wantOutcome dials; every outcome but silence must come at once.
func wantOutcome(t *testing.T, from *lab.Node, to netip.AddrPort, want string) {
	t.Helper()
	got := dial(t, from, to)
	if got.outcome != want || (want != noAnswer && got.took > atOnce) {
		t.Errorf("%s to %s: %s after %s, want %s", from.Name(), to, got.outcome, got.took, want)
	}
	t.Logf("%s to %s: %s after %s", from.Name(), to, got.outcome, got.took)
}

// TestReset holds the RST, as it comes in at the subscriber, against RFC 9293,
// section 3.5.2, for each kind of SYN.
func TestReset(t *testing.T) {
	t.Parallel()
	needTools(t, "tcpdump")
	tests := []struct {
		name string
		// send opens a connection to the server.
		send func(t *testing.T, from *lab.Node, client netip.Addr, server netip.AddrPort)
		// syn says whether the SYN on the wire is the one that was meant.
		syn func(tcp header.TCP) bool
	}{
		{"plain", sendPlain, func(tcp header.TCP) bool {
			return tcp.Flags() == header.TCPFlagSyn && len(tcp.Payload()) == 0 && tcp.DataOffset() > header.TCPMinimumSize
		}},
		{"with ECE and CWR", sendECN, func(tcp header.TCP) bool {
			return tcp.Flags() == header.TCPFlagSyn|header.TCPFlagEce|header.TCPFlagCwr
		}},
		{"with data, by the kernel's fast open", sendFastOpen, func(tcp header.TCP) bool {
			return tcp.Flags() == header.TCPFlagSyn && string(tcp.Payload()) == greeting
		}},
		{"with data, around the end of the sequence numbers", sendRaw, func(tcp header.TCP) bool {
			return tcp.Flags() == header.TCPFlagSyn && tcp.SequenceNumber() == lastSequenceNumber && string(tcp.Payload()) == greeting
		}},
	}
	n := newNetwork(t, lab.Options{})
	startGateway(t, n, lab.ConfigOptions{})
	for _, tt := range tests {
		for _, f := range n.Families() {
			t.Run(tt.name+", "+f.String(), func(t *testing.T) {
				server := at(f.Addrs().MX, lab.PortSMTP)
				seen := record(t, n.Dynamic, lab.LinkHost, "tcp port 25")
				tt.send(t, n.Dynamic, f.Addrs().Dynamic, server)
				packets := seen.wait(t, 2)
				if !tt.syn(packets[0].tcp) {
					t.Fatalf("this is not the SYN that was meant:\n%s", seen.text(t))
				}
				wantReset(t, packets[0], packets[1])
				if text := seen.text(t); !strings.Contains(text, "Flags [R.]") || !resetIsCorrect(text) {
					t.Errorf("tcpdump does not call the RST's checksums correct:\n%s", text)
				}
				if len(packets) != 2 {
					t.Errorf("%d packets, want a SYN and a RST:\n%s", len(packets), seen.text(t))
				}
			})
		}
	}
}

// wantReset compares the answer, octet by octet, with what it must be.
func wantReset(t *testing.T, syn, rst packet) {
	t.Helper()
	segmentLength := uint32(len(syn.tcp.Payload())) + 1
	want := buildTCP(syn.dst, syn.src, &header.TCPFields{
		SrcPort: syn.tcp.DestinationPort(), DstPort: syn.tcp.SourcePort(),
		SeqNum: 0, AckNum: syn.tcp.SequenceNumber() + segmentLength,
		DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagRst | header.TCPFlagAck, WindowSize: 0,
	}, "")
	if string(rst.ip) != string(want) {
		t.Errorf("the answer is\n% x, want\n% x", rst.ip, want)
	}
}

// resetIsCorrect reports what tcpdump thinks of the RST. Of the SYN it may think
// what it likes: its checksum is still partial where the subscriber sends it.
func resetIsCorrect(text string) bool {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "Flags [R.]") {
			return strings.Contains(line, "(correct)")
		}
	}
	return false
}

const (
	// greeting is data that a client sends with its SYN.
	greeting = "EHLO subscriber.example\r\n"
	// lastSequenceNumber makes the acknowledgment of SYN and data wrap around.
	lastSequenceNumber = 0xffff_ffff
	// rawPort is where raw segments come from; no socket has it.
	rawPort = 61000
)

func sendPlain(t *testing.T, from *lab.Node, _ netip.Addr, server netip.AddrPort) {
	t.Helper()
	wantRefused(t, from, server)
}

func sendECN(t *testing.T, from *lab.Node, _ netip.Addr, server netip.AddrPort) {
	t.Helper()
	setSysctl(t, from, "net.ipv4.tcp_ecn", "1")
	wantRefused(t, from, server)
}

// setSysctl changes a setting of the node until the end of the test.
func setSysctl(t *testing.T, node *lab.Node, key, value string) {
	t.Helper()
	before, err := node.Sysctl(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.SetSysctl(key, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.SetSysctl(key, before); err != nil {
			t.Error(err)
		}
	})
}

// sendFastOpen has the kernel send data in the SYN (RFC 7413) without the cookie
// of an earlier connection: there never was one.
func sendFastOpen(t *testing.T, from *lab.Node, _ netip.Addr, server netip.AddrPort) {
	t.Helper()
	const clientWithoutCookie = "5" // Documentation/networking/ip-sysctl.rst, tcp_fastopen: 0x1 and 0x4
	setSysctl(t, from, "net.ipv4.tcp_fastopen", clientWithoutCookie)
	err := from.Do(func() error {
		fd, err := unix.Socket(domain(server.Addr()), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		limit := unix.NsecToTimeval(int64(silence))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
			return err
		}
		return unix.Sendto(fd, []byte(greeting), unix.MSG_FASTOPEN, sockaddr(server))
	})
	if got := outcomeOf(err); got != refused {
		t.Errorf("fast open to %s: %s, want %s", server, got, refused)
	}
}

// sendRaw sends a SYN that no kernel would.
func sendRaw(t *testing.T, from *lab.Node, client netip.Addr, server netip.AddrPort) {
	t.Helper()
	syn := buildTCP(client, server.Addr(), &header.TCPFields{
		SrcPort: rawPort, DstPort: server.Port(), SeqNum: lastSequenceNumber,
		DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1024,
	}, greeting)
	err := from.Do(func() error {
		fd, err := unix.Socket(domain(client), unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		// Raw sockets of both families take the destination without a port.
		return unix.Sendto(fd, syn, 0, sockaddr(netip.AddrPortFrom(server.Addr(), 0)))
	})
	if err != nil {
		t.Fatalf("send a raw SYN: %v", err)
	}
}

func domain(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// buildTCP returns an IP packet with a TCP segment: hop limit 64, and in IPv4
// identification 0 with DF.
func buildTCP(src, dst netip.Addr, fields *header.TCPFields, data string) []byte {
	from, to := tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice())
	segment := make(header.TCP, header.TCPMinimumSize+len(data))
	copy(segment[header.TCPMinimumSize:], data)
	segment.Encode(fields)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, from, to, uint16(len(segment)))
	segment.SetChecksum(^checksum.Checksum(segment, sum))
	const hopLimit = 64
	if src.Is4() {
		ip := make(header.IPv4, header.IPv4MinimumSize, header.IPv4MinimumSize+len(segment))
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(cap(ip)), Flags: header.IPv4FlagDontFragment, TTL: hopLimit,
			Protocol: uint8(header.TCPProtocolNumber), SrcAddr: from, DstAddr: to,
		})
		ip.SetChecksum(^ip.CalculateChecksum())
		return append(ip, segment...)
	}
	ip := make(header.IPv6, header.IPv6MinimumSize, header.IPv6MinimumSize+len(segment))
	ip.Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(segment)), TransportProtocol: header.TCPProtocolNumber,
		HopLimit: hopLimit, SrcAddr: from, DstAddr: to,
	})
	return append(ip, segment...)
}

// recording is what tcpdump saw on a link, octet by octet.
type recording struct {
	*program
	file string
}

// packet is a TCP packet of a recording.
type packet struct {
	ip       []byte // the packet from its IP header on, without the link's padding
	src, dst netip.Addr
	tcp      header.TCP
}

// record starts a recording; tcpdump listens when it returns.
func record(t *testing.T, node *lab.Node, link, filter string) *recording {
	t.Helper()
	needTools(t, "tcpdump")
	r := &recording{file: filepath.Join(t.TempDir(), "recording.pcap")}
	r.program = start(t, node, "tcpdump", "-Z", "root", "-i", link, "--immediate-mode", "-U", "-w", r.file, filter)
	r.waitOutput(t, "listening on")
	return r
}

// wait waits for n packets at least and returns all that were recorded by then.
func (r *recording) wait(t *testing.T, n int) []packet {
	t.Helper()
	var packets []packet
	eventually(t, fmt.Sprintf("%d packets in the recording", n), func() bool {
		packets = r.packets(t)
		return len(packets) >= n
	})
	return packets
}

// waitText waits until tcpdump says text about the recording.
func (r *recording) waitText(t *testing.T, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the recording", text), func() bool { return strings.Contains(r.text(t), text) })
}

// text is the recording in tcpdump's words, checksums judged.
func (r *recording) text(t *testing.T) string {
	t.Helper()
	return mustRun(t, nil, "tcpdump", "-nn", "-vv", "-t", "-r", r.file)
}

// packets reads the file as far as it was written (pcap-savefile(5), Ethernet).
func (r *recording) packets(t *testing.T) []packet {
	t.Helper()
	const fileHeader, recordHeader, lengthAt, ethernet = 24, 16, 8, 14
	content, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	content = content[min(fileHeader, len(content)):]
	var packets []packet
	for len(content) >= recordHeader {
		length := int(binary.NativeEndian.Uint32(content[lengthAt:]))
		if len(content) < recordHeader+length {
			break
		}
		if p, ok := parsePacket(content[recordHeader+ethernet : recordHeader+length]); ok {
			packets = append(packets, p)
		}
		content = content[recordHeader+length:]
	}
	return packets
}

// parsePacket cuts a packet without IPv6 extension headers.
func parsePacket(b []byte) (packet, bool) {
	switch header.IPVersion(b) {
	case header.IPv4Version:
		ip := header.IPv4(b)
		p := packet{ip: b[:ip.TotalLength()], src: ipAddr(ip.SourceAddress()), dst: ipAddr(ip.DestinationAddress()), tcp: ip.Payload()}
		return p, ip.Protocol() == uint8(header.TCPProtocolNumber)
	case header.IPv6Version:
		ip := header.IPv6(b)
		p := packet{ip: b[:header.IPv6MinimumSize+int(ip.PayloadLength())], src: ipAddr(ip.SourceAddress()), dst: ipAddr(ip.DestinationAddress()), tcp: ip.Payload()}
		return p, ip.NextHeader() == uint8(header.TCPProtocolNumber)
	default:
		return packet{}, false
	}
}

func ipAddr(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}
