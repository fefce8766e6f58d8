// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// dnsmasq reads what dnsmasq keeps in dhcp-leasefile:
//
//	1767225600 52:54:00:12:34:56 192.0.2.10 laptop 01:52:54:00:12:34:56
//	duid 00:01:00:01:2b:...                      the server's own
//	1767225600 305419896 2001:db8::10 laptop 00:01:00:01:...
//
// which is when it ends (0: never), the MAC address or, in IPv6, the number of the
// association (with a T in front for a temporary address), the address, the host
// name and the client's identifier or DUID; * for none. There is one line for each
// address, and only for those that are held.
type dnsmasq struct{}

// earliest is the earliest second that is a time. Builds for machines without a
// clock write how long a lease lasts instead (HAVE_BROKEN_RTC), and then nobody
// knows when it ends.
const earliest = 1_000_000_000

func (*dnsmasq) usable() error { return nil }

func (*dnsmasq) line(number int, text string, to notes) {
	const fix = "write: expiry MAC-or-IAID address host-name client-id"
	if text == "" || strings.HasPrefix(text, "duid ") {
		return
	}
	var fields [5]string
	if !split(text, ' ', fields[:]) {
		to.bad(number, "not the five fields of a lease", text, fix)
		return
	}
	expiry, err := strconv.ParseUint(fields[0], 10, 63)
	if err != nil {
		to.bad(number, "not a time in seconds since 1970", fields[0], fix)
		return
	}
	addr, err := netip.ParseAddr(fields[2])
	if err != nil || addr.Zone() != "" {
		to.bad(number, "not an address", fields[2], fix)
		return
	}
	l := Lease{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Holder: fields[1], Hostname: fields[3]}
	if addr.Is6() {
		l.Holder = fields[4]
	}
	if addr.Is4() && !isMAC(l.Holder) {
		to.bad(number, "not a MAC address", l.Holder, fix)
		return
	}
	l.Holder, l.Hostname = unlessStar(l.Holder), unlessStar(l.Hostname)
	if expiry >= earliest {
		l.End = time.Unix(int64(expiry), 0)
	}
	to.hold(l)
}

// split cuts a text at a separator into exactly as many fields as there are, none
// of them empty.
func split(text string, separator byte, fields []string) bool {
	for i := range fields {
		field, rest, more := strings.Cut(text, string(separator))
		if field == "" || more != (i < len(fields)-1) {
			return false
		}
		fields[i], text = field, rest
	}
	return true
}

func unlessStar(field string) string {
	if field == "*" {
		return ""
	}
	return field
}

// isMAC reports whether a text is octets in hexadecimal with colons between them.
// dnsmasq puts the type of other hardware than Ethernet and a hyphen in front, and
// writes no octets where there are none.
func isMAC(s string) bool {
	if len(s) > 2 && s[2] == '-' {
		if s = s[3:]; s == "" {
			return true
		}
	}
	return isHex(s)
}

// isHex reports whether a text is one octet in hexadecimal or several with colons
// between them.
func isHex(s string) bool {
	if len(s)%3 != 2 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; i%3 == 2 != (c == ':') || i%3 != 2 && !isDigit(c) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
