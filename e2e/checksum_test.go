// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"op25b/lab"
)

// Subscribers' packets come from a local veth with their checksums partial: the
// sender's kernel leaves them to a network card that never comes. Where that is
// switched off on the link behind the gateway, the kernel completes each packet
// there, from what the gateway has left of it.

// TestChecksumsOutbound has tcpdump verify what leaves the gateway for upstream.
func TestChecksumsOutbound(t *testing.T) {
	t.Parallel()
	needTools(t, "tcpdump", "ethtool", "iperf3", "ping")
	for _, offload := range []string{"auto", "off"} {
		t.Run(offload, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			mustRun(t, n.Gateway, "ethtool", "-K", lab.LinkUpstream, "tx", "off")
			if _, err := n.StartEcho(); err != nil {
				t.Fatal(err)
			}
			g := startGateway(t, n, lab.ConfigOptions{Offload: offload})
			for _, f := range n.Families() {
				a := f.Addrs()
				seen := startCapture(t, n.Transit, lab.LinkTransitGateway, "src host "+a.Dynamic.String())
				sendAllSorts(t, n, f, "-n 1M")
				wantValid(t, seen)
			}
			stopAndCount(t, g)
		})
	}
}

// TestChecksumsInbound does so for what leaves for the subscriber, and for what
// the gateway says itself.
func TestChecksumsInbound(t *testing.T) {
	t.Parallel()
	needTools(t, "tcpdump", "ethtool", "iperf3", "ping")
	for _, offload := range []string{"auto", "off"} {
		t.Run(offload, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			mustRun(t, n.Gateway, "ethtool", "-K", lab.LinkDynamic, "tx", "off")
			if _, err := n.StartEcho(); err != nil {
				t.Fatal(err)
			}
			g := startGateway(t, n, lab.ConfigOptions{Offload: offload, ReturnPath: "router"})
			for _, f := range n.Families() {
				a := f.Addrs()
				seen := startCapture(t, n.Dynamic, lab.LinkHost, "dst host "+a.Dynamic.String())
				wantRefused(t, n.Dynamic, at(a.MX, lab.PortSMTP))
				sendAllSorts(t, n, f, "-n 1M -R")
				wantValid(t, seen)
			}
			stopAndCount(t, g)
		})
	}
}

// sendAllSorts makes TCP, UDP and ICMP go both ways between the dynamic subscriber
// and the internet, in packets, super-packets and fragments.
func sendAllSorts(t *testing.T, n *lab.Network, f lab.Family, bulk string) {
	t.Helper()
	a := f.Addrs()
	iperf(t, n.Dynamic, n.Internet, at(a.Internet, portIperf), bulk)
	wantPing(t, n.Dynamic, a.Internet, "-s", "21")
	wantPing(t, n.Dynamic, a.Internet, "-s", "8000")
	for _, size := range []int{1, 20, 21, 1400, 8000, lastSize} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := n.Dynamic.AskEcho(ctx, at(a.Internet, lab.PortEcho), make([]byte, size)); err != nil {
			t.Errorf("%s: UDP echo of %d octets: %v", f, size, err)
		}
		cancel()
	}
}

// lastSize is the payload of the last packet of sendAllSorts, in octets.
const lastSize = 777

var (
	// What tcpdump says about checksums. It knows nothing to say about fragments
	// behind the first; whoever reassembled them has verified them.
	validChecksum   = regexp.MustCompile(`\(correct\)|sum ok\]`)
	invalidChecksum = regexp.MustCompile(`(?m)^.*(bad (udp |icmp6 )?cksum|incorrect|wrong \S+ cksum).*$`)
)

// wantValid wants tcpdump to have verified all sorts of packets, and nothing wrong
// in them.
func wantValid(t *testing.T, c capture) {
	t.Helper()
	c.waitOutput(t, fmt.Sprintf("UDP, length %d\n", lastSize))
	decoded := c.stop(t, 1)
	if wrong := invalidChecksum.FindAllString(decoded, 5); wrong != nil {
		t.Errorf("tcpdump finds wrong checksums: %q", wrong)
	}
	for _, sort := range []string{"Flags [", "UDP, length 20\n", "echo re"} {
		if !strings.Contains(decoded, sort) {
			t.Errorf("tcpdump has not seen %q", sort)
		}
	}
	const few = 100
	if n := len(validChecksum.FindAllString(decoded, -1)); n < few {
		t.Errorf("tcpdump has verified %d checksums only:\n%s", n, decoded)
	}
}
