// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
)

func TestSubscriberKey(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"192.0.2.1/32":               "c0000201",
		"192.0.2.0/24":               "c000020018",
		"0.0.0.0/0":                  "0000000000",
		"2001:db8::/32":              "20010db8000020",
		"2001:db8:1::/48":            "20010db8000130",
		"2001:db8:1:ff00::/56":       "20010db80001ff38",
		"2001:db8:1:2::/64":          "20010db80001000240",
		"2001:db8:1:2::25/128":       "20010db800010002000000000000002580",
		"::/0":                       "00000000000000",
		"2001:db8:1:ff00:8000::/65":  "20010db80001ff008041",
		"2001:db8:1:ff00:8000::1/65": "20010db80001ff008041",
	} {
		p := netip.MustParsePrefix(prefix)
		key := subscriberKey(plainPrefix(p))
		if got := hex.EncodeToString(key); got != want {
			t.Errorf("%s: %s, not %s", prefix, got, want)
		}
		if got := subscriberOf(key); got != p.Masked() {
			t.Errorf("%s: %s", prefix, got)
		}
	}
	for _, key := range []string{
		"", "c0", "c00002", "c000020020", "c000020119", "c0000200ff", "200100000000", "20010db8000081", "20010db8000140", "20010db800010030",
		"000000000000000000000000ffffffffffff80", "00000000000000000000ffff0102030480", "2001000000000000000000000000000000000000",
	} {
		b, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := subscriberOf(b); got.IsValid() {
			t.Error(key, got)
		}
	}
}

// TestSubscriberRange compares all with all.
func TestSubscriberRange(t *testing.T) {
	t.Parallel()
	var prefixes []netip.Prefix
	for _, addr := range []string{"0.0.0.0", "192.0.2.1", "192.0.2.255", "192.0.3.0", "255.255.255.255", "::", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2ff:ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		a := netip.MustParseAddr(addr)
		for bits := range a.BitLen() + 1 {
			prefixes = append(prefixes, netip.PrefixFrom(a, bits).Masked())
		}
	}
	between := func(p, in netip.Prefix) bool {
		least, most := subscriberRange(in)
		key := subscriberKey(p)
		return bytes.Compare(least, key) <= 0 && bytes.Compare(key, most) <= 0
	}
	for _, in := range prefixes {
		for _, p := range prefixes {
			want := p.Addr().BitLen() == in.Addr().BitLen() && p.Bits() >= in.Bits() && in.Contains(p.Addr())
			if got := within(p, in); got != want {
				t.Errorf("%s in %s: %v", p, in, got)
			}
			if want && !between(p, in) {
				least, most := subscriberRange(in)
				t.Errorf("%s in %s: %x is not between %x and %x", p, in, subscriberKey(p), least, most)
			}
		}
	}
	for _, p := range prefixes {
		if !between(p, netip.Prefix{}) || !within(p, netip.Prefix{}) {
			t.Error(p)
		}
	}
	// An address is between hardly anything else.
	if i := slices.IndexFunc(prefixes, func(p netip.Prefix) bool {
		return between(p, netip.MustParsePrefix("192.0.2.1/32")) && p != netip.MustParsePrefix("192.0.2.1/32")
	}); i >= 0 {
		t.Error(prefixes[i])
	}
}
