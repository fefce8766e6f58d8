// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"testing"

	"op25b/filter"
)

func TestTransport(t *testing.T) {
	t.Parallel()
	for _, g := range readGolden(t) {
		t.Run(g.title, func(t *testing.T) {
			t.Parallel()
			compareTransport(t, g.pkt)
		})
	}
}

// compareTransport compares Transport with the oracle's walk.
func compareTransport(t *testing.T, pkt []byte) {
	t.Helper()
	proto, payload, ok := filter.Transport(pkt)
	d, defects := readDatagram(pkt, false)
	c := chain{}
	if len(defects) == 0 {
		c = readChain(d)
	}
	if readable := len(defects) == 0 && len(c.defects) == 0 && !c.later(); ok != readable {
		t.Errorf("% x\nTransport is ok: %t, want %t", pkt, ok, readable)
	}
	if ok && (proto != c.next || !bytes.Equal(payload, c.rest)) {
		t.Errorf("% x\nTransport finds %d and % x, want %d and % x", pkt, proto, payload, c.next, c.rest)
	}
	if len(payload) > 0 {
		before := bytes.Clone(pkt)
		payload[0]++
		if bytes.Equal(before, pkt) {
			t.Error("the payload is no part of the packet")
		}
		payload[0]--
	}
	if !ok && (proto != 0 || payload != nil) {
		t.Errorf("not ok, and yet %d and % x", proto, payload)
	}
}
