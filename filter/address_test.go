// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"net/netip"
	"testing"

	"op25b/filter"
	"op25b/filter/filtertest"
)

// TestMartians has for each block the addresses at its edges, inside and just
// outside. Source and destination say whether an address is impossible there.
func TestMartians(t *testing.T) {
	t.Parallel()
	policy := compile(t, open())
	for _, tc := range []struct {
		address             string
		source, destination bool
	}{
		{"0.0.0.0", true, true}, // "this network"
		{"0.255.255.255", true, true},
		{"1.0.0.0", false, false},
		{"10.0.0.1", false, false}, // private: pools may hold it
		{"100.64.7.7", false, false},
		{"126.255.255.255", false, false},
		{"127.0.0.0", true, true}, // loopback
		{"127.255.255.255", true, true},
		{"128.0.0.0", false, false},
		{"169.253.255.255", false, false},
		{"169.254.0.0", true, true}, // link-local
		{"169.254.255.255", true, true},
		{"169.255.0.0", false, false},
		{"168.254.0.1", false, false},
		{"172.16.0.1", false, false},
		{"192.168.0.1", false, false},
		{"223.255.255.255", false, false},
		{"224.0.0.0", true, true}, // multicast
		{"239.255.255.255", true, true},
		{"240.0.0.0", true, false}, // reserved, and forwarded as a destination
		{"255.255.255.254", true, false},
		{"255.255.255.255", true, true}, // broadcast

		{"::", true, true},
		{"::1", true, true},
		{"::2", false, false},
		{"::ffff:0.0.0.0", true, true}, // IPv4-mapped
		{"::ffff:203.0.113.25", true, true},
		{"::fffe:255.255.255.255", false, false},
		{"::1:0:0:0", false, false},
		{"64:ff9b::203.0.113.25", false, false}, // NAT64
		{"2001::1", false, false},               // Teredo
		{"2002:cb00:7119::1", false, false},     // 6to4
		{"fc00::", false, false},                // unique local: pools may hold it
		{"fdff:ffff::1", false, false},
		{"fe7f:ffff::1", false, false},
		{"fe80::", true, true}, // link-local
		{"febf:ffff::1", true, true},
		{"fec0::1", false, false}, // site-local, deprecated: an ordinary address
		{"feff:ffff::1", false, false},
		{"ff00::", true, true}, // multicast
		{"ff0e::1", true, true},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, true},
	} {
		t.Run(tc.address, func(t *testing.T) {
			t.Parallel()
			subscriber, server := "100.64.0.2", "203.0.113.25"
			if netip.MustParseAddr(tc.address).Is6() {
				subscriber, server = "2001:db8:a::2", "2001:db8:ffff::25"
			}
			for _, end := range []struct {
				from, to string
				martian  bool
				reason   filter.Reason
			}{
				{tc.address, server, tc.source, filter.ReasonMartianSource},
				{subscriber, tc.address, tc.destination, filter.ReasonMartianDestination},
			} {
				pkt := filtertest.ICMP(end.from, end.to).Bytes()
				got := policy.Decide(filter.Outbound, pkt, filter.ChecksumUnknown)
				if (got.Reason == end.reason) != end.martian {
					t.Errorf("%s to %s: %s %s, martian: %t", end.from, end.to, got.Action, got.Reason, end.martian)
				}
				if end.martian && (got.Action != filter.Drop || got.SourceValidated()) {
					t.Errorf("%s to %s: %s, validated: %t", end.from, end.to, got.Action, got.SourceValidated())
				}
			}
		})
	}
}
