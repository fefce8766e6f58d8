// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"op25b/filter"
)

// oracle is a second opinion: what filter's documentation and the RFCs say a
// packet should get. It shares only the vocabulary (Spec, Verdict) and no code,
// reads packets in its own way (oracle_parse_test.go), searches prefixes one by
// one, and prefers being obvious to being quick.
type oracle struct {
	spec   filter.Spec
	pools  []block // id is the index into spec.Pools
	relays []block
	router map[string]bool
	exempt []block

	destinations map[string][]block

	martianSources, martianDestinations []block
}

// block is a prefix as a string of binary digits.
type block struct {
	digits string
	id     int
}

// judgement is an action with the reasons that are right for it. There are
// several when a packet is wrong in several ways: which of them is named first
// is nobody's promise.
type judgement struct {
	action  filter.Action
	reasons []filter.Reason
}

func (j judgement) admits(v filter.Verdict) bool {
	return v.Action == j.action && slices.Contains(j.reasons, v.Reason)
}

func (j judgement) String() string {
	var names []string
	for _, r := range j.reasons {
		names = append(names, r.String())
	}
	return fmt.Sprintf("%s %s", j.action, strings.Join(names, " or "))
}

func forward(r ...filter.Reason) judgement { return judgement{filter.Forward, r} }
func drop(r ...filter.Reason) judgement    { return judgement{filter.Drop, r} }

func newOracle(s filter.Spec) *oracle {
	o := &oracle{
		spec: s, router: map[string]bool{}, destinations: map[string][]block{},
		martianSources:      blocks(0, append(martians(), prefixes("240.0.0.0/4")...)),
		martianDestinations: blocks(0, append(martians(), prefixes("255.255.255.255/32")...)),
	}
	for i, pool := range s.Pools {
		o.pools = append(o.pools, blocks(i, pool.Prefixes)...)
	}
	for i, relay := range s.Relays {
		o.relays = append(o.relays, blocks(i, relay.Prefixes)...)
	}
	for _, a := range s.Router {
		o.router[digits(a)] = true
	}
	for _, e := range s.Exemptions {
		o.exempt = append(o.exempt, blocks(0, []netip.Prefix{e.Prefix})...)
	}
	for _, group := range s.Destinations {
		o.destinations[group.Name] = blocks(0, group.Prefixes)
	}
	return o
}

// decide is the whole policy.
func (o *oracle) decide(dir filter.Direction, pkt []byte, sum filter.Checksum) judgement {
	d, defects := readDatagram(pkt, false)
	if len(defects) > 0 {
		return drop(defects...)
	}
	if dir == filter.Inbound {
		return o.inbound(d)
	}
	return o.outbound(d, sum)
}

func (o *oracle) outbound(d datagram, sum filter.Checksum) judgement {
	pool := find(o.pools, d.src)
	var defects []filter.Reason
	if find(o.martianSources, d.src) >= 0 {
		defects = append(defects, filter.ReasonMartianSource)
	}
	if find(o.martianDestinations, d.dst) >= 0 {
		defects = append(defects, filter.ReasonMartianDestination)
	}
	if d.src == d.dst {
		defects = append(defects, filter.ReasonLand)
	}
	if pool < 0 && o.spec.ValidateSource {
		defects = append(defects, filter.ReasonSpoofedSource)
	}
	switch {
	case len(defects) > 0:
		return drop(defects...)
	case o.router[d.dst] && pool < 0:
		return drop(filter.ReasonUnlisted) // the router answers nobody whom it does not know
	case o.router[d.dst]:
		return judgement{filter.Local, []filter.Reason{filter.ReasonRouter}}
	case pool < 0:
		return forward(filter.ReasonUnlisted)
	case find(o.exempt, d.src) >= 0:
		return forward(filter.ReasonExempt)
	case o.spec.Pools[pool].Static:
		return forward(filter.ReasonStatic)
	default:
		return o.inForce(o.dynamic(d, sum, pool, o.spec.Pools[pool].Response), pool, d.src, d.dst, d)
	}
}

// dynamic judges a packet from a dynamic pool.
func (o *oracle) dynamic(d datagram, sum filter.Checksum, pool int, response filter.Response) judgement {
	c := readChain(d)
	if len(c.defects) > 0 {
		return drop(c.defects...)
	}
	if o.looksInto(c.next) && !d.inner {
		return o.tunnel(d, c, pool)
	}
	if c.notTCP() {
		return forward(c.hides()...)
	}
	// In IPv6 a later fragment may belong to a tunnel, whatever it says.
	tunneled := o.spec.InspectTunnels != filter.Tunnels{} && !c.v4 && c.later()
	if o.reaches(pool, d.dst) && !c.segmentsLeft && !tunneled {
		return forward(filter.ReasonRelay)
	}
	if defects := c.fragmentDefects(); len(defects) > 0 {
		return drop(defects...)
	}
	if c.later() {
		return forward(filter.ReasonLaterFragment)
	}
	if len(c.rest) < 20 {
		return drop(c.short())
	}
	if !slices.Contains(o.spec.Ports, binary.BigEndian.Uint16(c.rest[2:])) {
		return forward(filter.ReasonOtherPort)
	}
	return o.blockedPort(d, c, sum, response)
}

// blockedPort judges a segment from a dynamic pool to a blocked port.
func (o *oracle) blockedPort(d datagram, c chain, sum filter.Checksum, response filter.Response) judgement {
	segment := c.rest
	if words := int(segment[12] / 16); words < 5 || words*4 > len(segment) {
		return drop(filter.ReasonBadDataOffset)
	}
	syn, rst, ack := segment[13]&2 != 0, segment[13]&4 != 0, segment[13]&16 != 0
	reason := filter.ReasonBlockedPort
	switch {
	case syn && rst:
		return drop(filter.ReasonSYNRST)
	case syn && !ack: // opens a connection
	case !o.spec.JudgeEstablished:
		return forward(filter.ReasonNotSYN)
	case rst:
		return drop(filter.ReasonResetSegment)
	default:
		reason = filter.ReasonEstablished
	}
	if c.fragment != nil && c.fragment.more {
		return drop(filter.ReasonFragmentedSYN)
	}
	if !d.headerSumRight() || (sum != filter.ChecksumTrusted && !segmentSumRight(d, segment)) {
		return drop(filter.ReasonBadChecksum)
	}
	answer := map[filter.Response]filter.Action{
		filter.RespondReset: filter.Reset, filter.RespondProhibited: filter.Prohibited, filter.RespondDrop: filter.Drop, filter.RespondNotice: filter.Reset,
	}
	return judgement{answer[response], []filter.Reason{reason}}
}

// inbound judges a packet from the upstream.
func (o *oracle) inbound(d datagram) judgement {
	// What is reserved is neither at home nor answered, but may come from afar.
	if find(o.martianDestinations, d.src) >= 0 || o.router[d.dst] && find(o.martianSources, d.src) >= 0 {
		return drop(filter.ReasonMartianSource)
	}
	if o.router[d.dst] {
		return judgement{filter.Local, []filter.Reason{filter.ReasonRouter}}
	}
	pass := forward(filter.ReasonInbound)
	pool := find(o.pools, d.dst)
	if !o.spec.BlockInboundSourcePort || pool < 0 || o.spec.Pools[pool].Static || find(o.exempt, d.dst) >= 0 {
		return pass
	}
	return o.inForce(o.inboundSourcePort(d, pool), pool, d.dst, d.src, d)
}

// inboundSourcePort judges a packet to a dynamic pool.
func (o *oracle) inboundSourcePort(d datagram, pool int) judgement {
	pass := forward(filter.ReasonInbound)
	c := readChain(d)
	if len(c.defects) > 0 {
		return drop(c.defects...)
	}
	if c.notTCP() || o.reaches(pool, d.src) {
		return pass
	}
	if defects := c.fragmentDefects(); len(defects) > 0 {
		return drop(defects...)
	}
	if c.later() {
		return pass
	}
	if len(c.rest) < 20 {
		return drop(c.short())
	}
	opens := c.rest[13]&2 != 0 && c.rest[13]&16 == 0
	if opens || !slices.Contains(o.spec.Ports, binary.BigEndian.Uint16(c.rest)) {
		return pass
	}
	return drop(filter.ReasonInboundSourcePort)
}

// find returns the id of the longest block that holds the address, or -1.
func find(blocks []block, address string) int {
	id, longest := -1, -1
	for _, b := range blocks {
		if len(b.digits) > longest && strings.HasPrefix(address, b.digits) {
			id, longest = b.id, len(b.digits)
		}
	}
	return id
}

// digits spells out an address: its family, then all its bits.
func digits(a netip.Addr) string {
	var s strings.Builder
	s.Grow(len("6:") + 128)
	s.WriteString(map[bool]string{true: "4:", false: "6:"}[a.Is4()])
	for _, octet := range a.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			s.WriteByte('0' + octet>>bit&1)
		}
	}
	return s.String()
}

func blocks(id int, list []netip.Prefix) []block {
	var all []block
	for _, p := range list {
		all = append(all, block{digits(p.Addr())[:len("4:")+p.Bits()], id})
	}
	return all
}

// martians are impossible at either end.
func martians() []netip.Prefix {
	return prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4",
		"::/128", "::1/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8")
}
