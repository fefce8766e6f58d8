// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// The property that makes up for not reassembling: whatever fragments a dynamic
// subscriber sends, those that Decide lets pass do not add up to a SYN to a
// blocked port, on any receiver.

// passes reports whether a fragment leaves the router.
func passes(policy *filter.Policy, b []byte) bool {
	return policy.Decide(filter.Outbound, b, filter.ChecksumTrusted).Action == filter.Forward
}

// TestEverySequence judges every piece between two cuts of every disguise, and
// then tries all sequences of two pieces that pass. Three take minutes:
//
//	OP25B_FRAGMENT_DEPTH=3 go test -run TestEverySequence ./filter
func TestEverySequence(t *testing.T) {
	t.Parallel()
	depth := setting(t, "OP25B_FRAGMENT_DEPTH", 2)
	policy := compile(t, tunnels())
	for _, u := range universes() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			all := u.pieces()
			survivors := distinct(slices.DeleteFunc(slices.Clone(all), func(w wire) bool { return !passes(policy, w.octets) }))
			t.Logf("%d of %d pieces pass", len(survivors), len(all))
			if !slices.ContainsFunc(all, func(w wire) bool { return opens([]wire{w}, preferences()[0]) }) {
				t.Error("nothing opens even without a filter: the test tests nothing")
			}
			forEachSequence(survivors, depth, func(sequence []wire) bool {
				for _, prefer := range preferences() {
					if opens(sequence, prefer) {
						t.Errorf("a receiver that prefers %s is opened by\n%s", prefer.name, spell(sequence))
						return false
					}
				}
				return true
			})
		})
	}
}

// forEachSequence calls f with all sequences of up to n, with repetition, until
// f has seen enough.
func forEachSequence(from []wire, n int, f func([]wire) bool) {
	var extend func(sequence []wire) bool
	extend = func(sequence []wire) bool {
		if len(sequence) > 0 && !f(sequence) {
			return false
		}
		if len(sequence) == n {
			return true
		}
		for _, w := range from {
			if !extend(append(slices.Clip(sequence), w)) {
				return false
			}
		}
		return true
	}
	extend(nil)
}

// opens plays a sequence to a receiver and reports whether, at any time, it saw
// a SYN to a blocked port. In IPv4, fragments of one packet share their protocol
// (RFC 791, section 3.2); others are of another packet.
func opens(sequence []wire, prefer preference) bool {
	packets := map[uint8]*receiver{}
	for _, w := range sequence {
		key, v4 := uint8(0), w.octets[0]>>4 == 4
		if v4 {
			key = w.piece.next
		}
		if packets[key] == nil {
			packets[key] = &receiver{prefer: prefer, v4: v4}
		}
		packets[key].accept(w.piece)
		if packets[key].opened([]uint16{25, 2525}) {
			return true
		}
	}
	return false
}

func spell(sequence []wire) string {
	var s strings.Builder
	for _, w := range sequence {
		fmt.Fprintf(&s, "offset %d, %d octets, more %t, next header %d: % x\n",
			w.piece.offset, len(w.piece.data), w.piece.more, w.piece.next, w.octets)
	}
	return s.String()
}

// TestEveryCutInEveryOrder cuts a SYN of five units in all sixteen ways and
// sends the pieces in all orders: without a filter each opens, with it none.
func TestEveryCutInEveryOrder(t *testing.T) {
	t.Parallel()
	policy := compile(t, tunnels())
	for name, syn := range map[string]filtertest.Packet{
		"IPv4": filtertest.TCP("100.64.0.2:40000", "203.0.113.25:25").Data("twenty octets behind"),
		"IPv6": filtertest.TCP("[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25").Data("twenty octets behind"),
		"IPv6 options": filtertest.TCP("[2001:db8:a::2]:40000", "[2001:db8:ffff::25]:25").
			Chain(filtertest.DestOpts(8)).Data("twelve more."),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for mask := range 16 {
				pieces := cutBy(syn, mask)
				if len(pieces) < 2 {
					continue // in IPv4 that is no fragment; an atomic one has its tests
				}
				forEachOrder(pieces, func(order []wire) {
					for _, prefer := range preferences() {
						if !opens(order, prefer) {
							t.Errorf("%s: unfiltered, the cuts %04b do not open", prefer.name, mask)
						}
					}
					survivors := slices.DeleteFunc(slices.Clone(order), func(w wire) bool { return !passes(policy, w.octets) })
					for _, prefer := range preferences() {
						if opens(survivors, prefer) {
							t.Errorf("%s is opened by\n%s", prefer.name, spell(survivors))
						}
					}
				})
			}
		})
	}
}

// cutBy cuts behind the n-th unit of eight octets if bit n of mask is set.
func cutBy(p filtertest.Packet, mask int) []wire {
	var cuts []int
	for n := range 4 {
		if mask>>n&1 != 0 {
			cuts = append(cuts, 8*(n+1))
		}
	}
	var all []wire
	for _, b := range p.Cut(cuts...) {
		all = appendWire(all, b)
	}
	return all
}

// forEachOrder calls f with each permutation of all.
func forEachOrder(all []wire, f func([]wire)) {
	var place func(done int)
	place = func(done int) {
		if done == len(all) {
			f(all)
			return
		}
		for i := done; i < len(all); i++ {
			all[done], all[i] = all[i], all[done]
			place(done + 1)
			all[done], all[i] = all[i], all[done]
		}
	}
	place(0)
}
