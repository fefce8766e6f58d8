// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"net/netip"
	"testing"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		privacy    Privacy
		addr, want string
	}{
		{Full, "203.0.113.25", "203.0.113.25/32"},
		{Full, "::ffff:203.0.113.25", "203.0.113.25/32"},
		{Full, "2001:db8:1:2::25", "2001:db8:1:2::25/128"},
		{Full, "fe80::1%eth0", "fe80::1/128"},
		{Truncated, "203.0.113.25", "203.0.113.0/24"},
		{Truncated, "::ffff:203.0.113.25", "203.0.113.0/24"},
		{Truncated, "2001:db8:1:2::25", "2001:db8:1::/48"},
		{Truncated, "fe80::1%eth0", "fe80::/48"},
		{None, "203.0.113.25", ""},
		{None, "2001:db8::25", ""},
		{"", "203.0.113.25", ""},
		{"ful", "203.0.113.25", ""},
	} {
		got := test.privacy.Redact(netip.MustParseAddr(test.addr))
		if got.IsValid() != (test.want != "") || got.IsValid() && got.String() != test.want {
			t.Errorf("%s %s: %s, not %q", test.privacy, test.addr, got, test.want)
		}
	}
	for _, p := range []Privacy{Full, Truncated, None} {
		if got := p.Redact(netip.Addr{}); got.IsValid() {
			t.Error(p, got)
		}
	}
}
