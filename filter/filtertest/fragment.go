// SPDX-License-Identifier: Apache-2.0

package filtertest

import "slices"

// PerFragment says that the first n headers of the chain precede the fragment
// header and are repeated in each fragment (RFC 8200, section 4.5). The rest of
// the chain is cut with the payload.
func (p Packet) PerFragment(n int) Packet {
	p.perFragment = n
	return p
}

// Fragmentable returns what [Packet.Cut] divides: the chain behind the
// per-fragment headers, the transport header and the data.
func (p Packet) Fragmentable() []byte {
	_, b := link(p.chain[p.perFragment:], p.proto, p.transport(p))
	return b
}

// Cut returns p in fragments, cut at the given offsets into the fragmentable
// part, in rising order. An offset that is no multiple of eight makes fragments
// that lie. With no offset the result is p in one atomic fragment, or in IPv4 p
// itself.
func (p Packet) Cut(at ...int) [][]byte {
	b := p.Fragmentable()
	bounds := append(append([]int{0}, at...), len(b))
	if !slices.IsSorted(bounds) {
		panic("filtertest: the cuts do not rise, or lie behind the end")
	}
	var fragments [][]byte
	for i, end := range bounds[1:] {
		fragments = append(fragments, p.Piece(bounds[i], end < len(b), b[bounds[i]:end]))
	}
	return fragments
}

// Piece returns one fragment of p with the given payload in place of p's own:
// for overlaps, gaps and pieces that never belonged together. Offset is in
// octets, more is the "more fragments" bit.
func (p Packet) Piece(offset int, more bool, payload []byte) []byte {
	if p.is4() {
		proto, _ := link(p.chain, p.proto, nil)
		return p.wrap(proto, offset, more, payload)
	}
	next, _ := link(p.chain[p.perFragment:], p.proto, nil)
	headers := append(slices.Clone(p.chain[:p.perFragment]), Fragment(p.id, offset, more))
	proto, payload := link(headers, next, payload)
	return p.wrap(proto, 0, false, payload)
}
