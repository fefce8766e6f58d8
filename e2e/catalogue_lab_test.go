// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"op25b/filter"
	"op25b/lab"
)

// The catalogue across namespaces: everything is sent from the node that
// the input names, raw, and watched at both ends.

// polygon is a network with a listener on port 25 and taps at its ends.
type polygon struct {
	*lab.Network
	taps    map[origin]*tap
	inputs  []input
	ports   map[port]int // which input a port is of
	markers uint16
}

// port is a source port of the catalogue in one family.
type port struct {
	family lab.Family
	number uint16
}

// sighted is what became of one input.
type sighted struct {
	opened   int      // SYN|ACK of the listener
	answers  [][]byte // RSTs by the gateway, as they came back
	icmp     [][]byte // ICMP errors about it that came back
	arrivals [][]byte // its packets at the other end
}

func newPolygon(t *testing.T, opts lab.Options) *polygon {
	t.Helper()
	needTools(t, "nft", "ip", "ping")
	n := newNetwork(t, opts)
	if len(n.Families()) < 2 {
		lack(t, "IPv6")
	}
	for _, node := range []*lab.Node{n.Dynamic, n.Static, n.Internet} {
		// Flow labels are how packets are known again.
		setSysctl(t, node, "net.ipv6.auto_flowlabels", "0")
	}
	for _, setting := range []struct {
		node  *lab.Node
		key   string
		value string
	}{
		// What nobody acknowledges is not repeated: it would count in a later run.
		{n.Internet, "net.ipv4.tcp_synack_retries", "0"},
		// Whether the kernel sends an ICMP error must not depend on how many it sent.
		{n.Gateway, "net.ipv4.icmp_ratelimit", "0"},
		{n.Gateway, "net.ipv6.icmp.ratelimit", "0"},
	} {
		setSysctl(t, setting.node, setting.key, setting.value)
	}
	listener, err := n.Internet.Listen("tcp", fmt.Sprintf(":%d", lab.PortSMTP))
	if err != nil {
		t.Fatal(err)
	}
	go acceptAndClose(listener)
	p := &polygon{Network: n, inputs: theCatalogue(), ports: map[port]int{}, taps: map[origin]*tap{
		fromDynamic:  openTap(t, n.Dynamic, lab.LinkHost, n.Gateway, lab.LinkDynamic),
		fromStatic:   openTap(t, n.Static, lab.LinkHost, n.Gateway, lab.LinkStatic),
		fromInternet: openTap(t, n.Internet, lab.LinkHost, n.Transit, lab.LinkTransitInternet),
	}}
	for i, in := range p.inputs {
		p.ports[port{in.family, in.key}] = i
		for _, s := range in.steps {
			if _, tcp, ok := tcpOf(s.answer); ok {
				p.ports[port{in.family, uint16(tcp[2])<<8 | uint16(tcp[3])}] = i
			}
		}
	}
	// Neighbours are learned now: a queue for unresolved ones holds few packets.
	for _, f := range n.Families() {
		for _, node := range []*lab.Node{n.Dynamic, n.Static} {
			wantPing(t, node, f.Addrs().MX)
			wantPing(t, node, f.Addrs().MSA)
		}
	}
	return p
}

func acceptAndClose(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

// run sends the inputs that chosen says, in batches, and returns what became of
// each, by index.
func (p *polygon) run(t *testing.T, chosen func(in *input) bool) map[int]*sighted {
	t.Helper()
	for _, c := range p.taps {
		c.forget()
	}
	sent := map[int]*sighted{}
	const batch = 48
	pending := 0
	for i := range p.inputs {
		in := &p.inputs[i]
		if !chosen(in) {
			continue
		}
		sent[i] = &sighted{}
		for _, s := range in.steps {
			if s.memory {
				continue
			}
			if err := p.taps[in.from].send(in.family, s); err != nil {
				t.Fatalf("%s: send: %v", in.name, err)
			}
		}
		if pending++; pending == batch {
			p.settle(t)
			pending = 0
		}
	}
	p.settle(t)
	p.calm(t)
	for _, c := range p.taps {
		for _, s := range c.take() {
			p.sort(t, c, s, sent)
		}
	}
	return sent
}

// settle waits until markers have gone the way of everything before them, on each
// queue, and come back: connections to the relay, which are allowed.
func (p *polygon) settle(t *testing.T) {
	t.Helper()
	const flows = 8
	awaited := map[port]bool{}
	for _, f := range p.Families() {
		for range flows {
			p.markers++
			number := 50000 + p.markers%10000
			pl := place{f.Addrs(), f, number}
			if err := p.taps[fromDynamic].send(f, step{packet: pl.tcp(pl.Dynamic, pl.MSA, lab.PortSMTP).Bytes()}); err != nil {
				t.Fatal(err)
			}
			awaited[port{f, number}] = true
		}
	}
	eventually(t, "markers to come back", func() bool {
		for _, s := range p.taps[fromDynamic].take() {
			if dst, tcp, ok := tcpOf(s.ip); ok && !s.sent && tcp[13]&0x12 == 0x12 {
				delete(awaited, port{familyOf(dst), uint16(tcp[2])<<8 | uint16(tcp[3])})
			}
		}
		return len(awaited) == 0
	})
}

// calm waits until nothing moves any more.
func (p *polygon) calm(t *testing.T) {
	t.Helper()
	const quiet = 150 * time.Millisecond
	eventually(t, "the network to be quiet", func() bool {
		for _, c := range p.taps {
			if c.quietFor() < quiet {
				return false
			}
		}
		return true
	})
}

// sort files what a tap saw under the input that it belongs to.
func (p *polygon) sort(t *testing.T, c *tap, s sighting, sent map[int]*sighted) {
	t.Helper()
	if s.sent {
		// A SYN|ACK from the listener is a connection that begins, wherever it goes.
		dst, tcp, ok := tcpOf(s.ip)
		if !ok || c != p.taps[fromInternet] || tcp[13]&0x17 != 0x12 || uint16(tcp[0])<<8|uint16(tcp[1]) != lab.PortSMTP {
			return
		}
		number := uint16(tcp[2])<<8 | uint16(tcp[3])
		i, known := p.ports[port{familyOf(dst), number}]
		if known && p.inputs[i].from == fromInternet {
			return // the input itself
		}
		if x := sent[i]; known && x != nil {
			x.opened++
		} else if number < 50000 {
			t.Errorf("the listener answers a connection that nobody asked for: % x", s.ip)
		}
		return
	}
	if i := p.byKey(s.ip); sent[i] != nil && p.inputs[i].sends(sourceOf(s.ip)) {
		sent[i].arrivals = append(sent[i].arrivals, s.ip)
		return
	}
	if quoted, ok := isICMP(s.ip); ok {
		if x := sent[p.byKey(quoted)]; x != nil {
			x.icmp = append(x.icmp, s.ip)
		}
		return
	}
	dst, tcp, ok := tcpOf(s.ip)
	// Whoever answers behind the gateway is two hops further away.
	if !ok || tcp[13]&flagRST == 0 || hopsOf(s.ip) != initialHops || c == p.taps[fromInternet] {
		return
	}
	if i, known := p.ports[port{familyOf(dst), uint16(tcp[2])<<8 | uint16(tcp[3])}]; known && sent[i] != nil {
		sent[i].answers = append(sent[i].answers, s.ip)
	} else {
		t.Errorf("an answer to nothing: % x", s.ip)
	}
}

// byKey returns the input that a packet carries the number of, or -1.
func (p *polygon) byKey(b []byte) int {
	key := keyOf(b)
	f := lab.IPv4
	if len(b) > 0 && b[0]>>4 == 6 {
		f = lab.IPv6
	}
	if i, known := p.ports[port{f, key}]; known && p.inputs[i].key == key {
		return i
	}
	return -1
}

// sends reports whether the input has a packet from the source.
func (in *input) sends(source netip.Addr) bool {
	for _, s := range in.steps {
		if sourceOf(s.packet) == source {
			return true
		}
	}
	return false
}

// TestCatalogueAcrossNamespaces sends every input through a gateway at a listener on
// port 25.
func TestCatalogueAcrossNamespaces(t *testing.T) {
	needTools(t, "nft", "ip", "ping")
	for _, tt := range []struct {
		name       string
		capture    string
		offload    string
		noOffloads bool
	}{
		{"capture all, offloads on", "all", "on", false},
		{"capture all, offloads off", "all", "off", true},
		{"capture smtp", "smtp", "on", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			p := newPolygon(t, lab.Options{NoOffloads: tt.noOffloads})
			config := lab.ConfigOptions{Capture: tt.capture, Offload: tt.offload}
			g := startGatewayWith(t, p.Network, p.GatewayConfig(usual.options(config)))
			var sum score
			for r := range numRegimes {
				if r == tunnels && tt.capture == "smtp" {
					continue // the kernel forwards tunnels by itself: the configuration is refused
				}
				if r != usual {
					reload(t, g, p.GatewayConfig(r.options(config)))
				}
				for i, x := range p.run(t, func(in *input) bool { return in.regime == r }) {
					sum.judge(t, &p.inputs[i], x)
				}
			}
			t.Logf("%d inputs in %s: %d opened (%d of them allowed, of %d), %d wrong", sum.inputs, time.Since(begun), sum.opened, sum.allowed, sum.toOpen, sum.wrong)

			t.Run("killed", func(t *testing.T) {
				reload(t, g, p.GatewayConfig(usual.options(config))) // the guard is the policy's that was last in force
				kill(t, p.Network, g)
				var sum score
				for i, x := range p.run(t, func(in *input) bool { return in.regime == usual && in.from != fromInternet }) {
					sum.judgeOpened(t, &p.inputs[i], x)
				}
				t.Logf("%d inputs: %d opened (%d of them allowed, of %d)", sum.inputs, sum.opened, sum.allowed, sum.toOpen)
				cleanUp(t, p.Network)
			})
		})
	}
}

// score counts what a run showed.
type score struct{ inputs, opened, allowed, toOpen, wrong int }

// judgeOpened wants open what is allowed, and nothing else.
func (sum *score) judgeOpened(t *testing.T, in *input, x *sighted) {
	t.Helper()
	sum.inputs++
	if in.opens {
		sum.toOpen++
	}
	switch {
	case x.opened > 0 && in.opens:
		sum.opened++
		sum.allowed++
	case x.opened > 0:
		sum.opened++
		t.Errorf("%s: OPENED port 25", in.name)
	case in.opens:
		t.Errorf("%s: does not open port 25, and must", in.name)
	}
}

// judge wants all that the input says, octet by octet.
func (sum *score) judge(t *testing.T, in *input, x *sighted) {
	t.Helper()
	sum.judgeOpened(t, in, x)
	wrong := func(format string, args ...any) {
		t.Helper()
		sum.wrong++
		t.Errorf("%s: %s", in.name, fmt.Sprintf(format, args...))
	}
	var want [][]byte
	for _, s := range in.steps {
		if s.answer == nil || s.memory {
			continue
		}
		answer := s.answer
		if s.want.Action == filter.Prohibited {
			answer = unreachableError(sourceOf(answer), withHops(s.packet, hopsOf(s.packet)-1)) // as the gateway gets it
		}
		if s.kernel == "" {
			want = append(want, answer)
		}
	}
	got := x.answers
	if in.regime == prohibited {
		got = append(got, x.icmp...)
	}
	if !in.kernelMayAnswer() && !sameMultiset(got, want) {
		wrong("comes back\n%s, want\n%s", dump(got), dump(want))
	}

	// What arrives must be what was sent, two hops later.
	var on, optional [][]byte
	for _, s := range in.steps {
		if s.want.Action != filter.Forward || s.memory {
			continue
		}
		expected := trimmed(s.packet)
		if hopsOf(expected) > 2 {
			expected = withHops(expected, hopsOf(expected)-2)
		}
		if s.kernel != "" || !reachable(destinationOf(expected)) {
			optional = append(optional, expected)
		} else {
			on = append(on, expected)
		}
	}
	rest, missing := minus(x.arrivals, on), minus(on, x.arrivals)
	if rest = minus(rest, optional); len(rest) > 0 {
		wrong("arrives\n%s, want\n%s", dump(rest), dump(on))
	}
	if len(missing) > 0 {
		wrong("does not arrive:\n%s", dump(missing))
	}
}

// kernelMayAnswer: one of the steps is the kernel's own matter.
func (in *input) kernelMayAnswer() bool {
	for _, s := range in.steps {
		if s.kernel != "" {
			return true
		}
	}
	return false
}

// reachable reports whether a node of the lab has the address and a tap sees it.
func reachable(to netip.Addr) bool {
	a := familyOf(to).Addrs()
	return to == a.MX || to == a.MSA || to == a.Internet || to == a.Web || to == a.Dynamic || to == a.Static
}

// minus returns the packets of a without those of b, each counted.
func minus(a, b [][]byte) [][]byte {
	left := append([][]byte(nil), b...)
	var rest [][]byte
next:
	for _, x := range a {
		for i, y := range left {
			if bytes.Equal(x, y) {
				left = append(left[:i:i], left[i+1:]...)
				continue next
			}
		}
		rest = append(rest, x)
	}
	return rest
}

func sameMultiset(a, b [][]byte) bool { return len(minus(a, b)) == 0 && len(minus(b, a)) == 0 }

func dump(packets [][]byte) string {
	if len(packets) == 0 {
		return "  nothing"
	}
	var b bytes.Buffer
	for _, p := range packets {
		fmt.Fprintf(&b, "  % x\n", p)
	}
	return b.String()
}
