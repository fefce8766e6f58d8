// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
	"op25b/lab"
)

// The catalogue is every way to port 25 that anybody here could think of, by name.
// Each input is one packet or a sequence, with the verdict that each packet must
// get, the octets that must come back, and whether a listener may see it.
//
// It runs three times: through a stack.Router in memory (catalogue_router_test.go),
// across namespaces against a Linux listener with op25b, with op25b killed, and
// with nftables alone (catalogue_lab_test.go). What nftables does otherwise is the
// table in docs/evasion.md (catalogue_docs_test.go).

// input is one entry of the catalogue.
type input struct {
	subject string // what kind of thing it tries; see the subjects
	name    string // unique
	family  lab.Family
	regime  regime
	from    origin
	key     uint16 // source port, identification and flow label: unique
	steps   []step
	opens   bool // a connection to port 25 may come up: it is allowed
}

// step is one packet and what must become of it.
type step struct {
	packet []byte
	// partial: the checksum is left to the device, which vouches for the packet.
	partial bool
	want    filter.Verdict
	// answer is what comes back, as the sender receives it; nil: nothing.
	answer []byte
	// kernel says why it is the kernel's own matter across namespaces, in front of
	// the gateway or behind it: its drop, its ICMP, its RST. Empty: it is not.
	kernel string
	// memory: no link carries it; it is for the router in memory only.
	memory bool
}

// origin is where an input comes from.
type origin uint8

const (
	fromDynamic origin = iota
	fromStatic
	fromInternet
)

// direction is the way that the sender's packets go.
func (s origin) direction() filter.Direction {
	if s == fromInternet {
		return filter.Inbound
	}
	return filter.Outbound
}

// place is the surroundings of one input: the lab's addresses in one family, and a
// number of its own.
type place struct {
	lab.Addrs
	family lab.Family
	key    uint16
}

func (p place) is4() bool { return p.family == lab.IPv4 }

// syn is what all inputs try to be taken for, or not to: a SYN of the dynamic
// subscriber to a mail server.
func (p place) syn() filtertest.Packet { return p.tcp(p.Dynamic, p.MX, lab.PortSMTP) }

// sequenceNumber is that of every segment unless an input says otherwise.
const sequenceNumber = 1000

func (p place) tcp(from, to netip.Addr, port uint16) filtertest.Packet {
	return filtertest.TCP(at(from, p.key).String(), at(to, port).String()).ID(uint32(p.key)).Seq(sequenceNumber)
}

// initialHops is what packets are sent with, and what answers arrive with.
const initialHops = 64

// What must become of a packet. The answers are those of RFC 9293, section 3.5.2.

// refused: a RST that acknowledges ack, the number after all that was sent.
func (p place) refused(b []byte, ack uint32) step { return p.refusedBy(p.MX, b, ack) }

func (p place) refusedBy(server netip.Addr, b []byte, ack uint32) step {
	return step{
		packet: b, want: filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort},
		answer: resetSegment(server, p.Dynamic, p.key, 0, ack, flagRST|flagACK),
	}
}

// cutOff: what is refused of a connection that is up.
func (p place) cutOff(b []byte, seq, ack uint32, flags byte) step {
	return step{
		packet: b, want: filter.Verdict{Action: filter.Reset, Reason: filter.ReasonEstablished},
		answer: resetSegment(p.MX, p.Dynamic, p.key, seq, ack, flags),
	}
}

func dropped(b []byte, r filter.Reason) step {
	return step{packet: b, want: filter.Verdict{Action: filter.Drop, Reason: r}}
}

func forwarded(b []byte, r filter.Reason) step {
	return step{packet: b, want: filter.Verdict{Action: filter.Forward, Reason: r}}
}

// forwardedAll is for sequences whose packets share a fate.
func forwardedAll(packets [][]byte, r filter.Reason) []step {
	var steps []step
	for _, b := range packets {
		steps = append(steps, forwarded(b, r))
	}
	return steps
}

// byKernel marks a step whose fate the kernel decides across namespaces.
func (s step) byKernel(why string) step {
	s.kernel = why
	return s
}

// inMemory marks a step that no link carries.
func (s step) inMemory() step {
	s.memory = true
	return s
}

// catalogue collects inputs.
type catalogue struct{ inputs []input }

// option changes an input as it is added.
type option func(*input)

func under(r regime) option       { return func(in *input) { in.regime = r } }
func sentFrom(s origin) option    { return func(in *input) { in.from = s } }
func opening() option             { return func(in *input) { in.opens = true } }
func only(f lab.Family) option    { return func(in *input) { in.family = f } }
func one(s step) []step           { return []step{s} }
func firstKey(inputs []input) int { return 20000 + len(inputs) }

// add adds an input in both families, or in the one that an option names.
func (c *catalogue) add(subject, name string, steps func(p place) []step, options ...option) {
	var asked input
	for _, change := range options {
		change(&asked)
	}
	for _, f := range []lab.Family{lab.IPv4, lab.IPv6} {
		if asked.family != 0 && asked.family != f {
			continue
		}
		in := asked
		in.subject, in.family, in.key = subject, f, uint16(firstKey(c.inputs))
		in.name = fmt.Sprintf("%s, %s: %s", f, subject, name)
		in.steps = steps(place{f.Addrs(), f, in.key})
		for i := range in.steps {
			label(in.steps[i].packet, in.key)
		}
		c.inputs = append(c.inputs, in)
	}
}

// label writes the input's number into the flow label of an IPv6 packet, which no
// checksum covers: by it the packet is known again. In IPv4 the identification
// serves. Whatever else is in the label stays.
func label(b []byte, key uint16) {
	if len(b) >= 40 && b[0]>>4 == 6 {
		b[2], b[3] = byte(key>>8), byte(key)
	}
}

// keyOf reads it back, from a packet or from the quotation in an ICMP error.
func keyOf(b []byte) uint16 {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return uint16(b[4])<<8 | uint16(b[5])
	case len(b) >= 40 && b[0]>>4 == 6:
		return uint16(b[2])<<8 | uint16(b[3])
	default:
		return 0
	}
}

// theCatalogue returns all inputs, always in the same order.
func theCatalogue() []input {
	var c catalogue
	addFlags(&c)
	addSegments(&c)
	addHeaders4(&c)
	addFragments4(&c)
	addHeaders6(&c)
	addFragments6(&c)
	addAddresses(&c)
	addTransports(&c)
	addTunnels(&c)
	addEstablished(&c)
	addInbound(&c)
	return c.inputs
}

// TestCatalogue wants enough inputs, and no two of one name.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	const least = 400
	inputs := theCatalogue()
	seen := map[string]bool{}
	packets := 0
	for _, in := range inputs {
		if seen[in.name] {
			t.Errorf("two inputs are called %q", in.name)
		}
		seen[in.name] = true
		packets += len(in.steps)
	}
	if len(inputs) < least {
		t.Errorf("%d inputs, want %d at least", len(inputs), least)
	}
	t.Logf("%d inputs, %d packets", len(inputs), packets)
}
