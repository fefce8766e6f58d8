// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// kea reads what Kea's memfile keeps: comma-separated values, the newest word on
// an address last. The columns have names in the first line, and there are more of
// them in newer versions:
//
//	address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
//	address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,...
//
// A row whose lifetime is 0 takes a lease back.
type kea struct {
	columns                                                                                  int
	address, hwaddr, clientID, duid, lifetime, expire, hostname, state, leaseType, prefixLen int
	fields                                                                                   []string
}

// States of a lease of Kea's in which somebody has it; the others are declined (1),
// expired (2) and released (3).
const (
	keaAssigned   = "0"
	keaRegistered = "4" // an address that its client chose (RFC 9686)
)

const (
	keaPrefix   = "2"       // lease_type of a delegated prefix
	keaInfinite = 1<<32 - 1 // lifetime in seconds that never ends
	mostColumns = 64
)

// errNoHeader is what a file of Kea's without names of columns is.
var errNoHeader = errors.New("no line with the names of Kea's columns, such as address,hwaddr,client_id,...: " +
	"is it Kea's lease file?")

func (k *kea) usable() error {
	if k.columns == 0 {
		return errNoHeader
	}
	return nil
}

func (k *kea) line(number int, text string, to notes) {
	if text == "" || strings.HasPrefix(text, "#") {
		return
	}
	k.fields = k.fields[:0]
	for field := range strings.SplitSeq(text, ",") {
		if len(k.fields) == mostColumns {
			to.bad(number, "too many columns", text, "")
			return
		}
		k.fields = append(k.fields, field)
	}
	switch {
	case k.fields[0] == "address":
		k.header(number, text, to)
	case k.columns == 0:
		to.bad(number, "a lease before the names of the columns", text, "let Kea write the file anew")
	case len(k.fields) < k.columns:
		to.bad(number, "fewer columns than the first line names", text, "")
	default:
		k.row(number, text, to)
	}
}

// header learns where the columns are. It may come again: Kea's cleanup and a
// restart with another version write files anew, and files are put together.
func (k *kea) header(number int, text string, to notes) {
	*k = kea{fields: k.fields}
	for name, at := range map[string]*int{
		"address": &k.address, "hwaddr": &k.hwaddr, "client_id": &k.clientID, "duid": &k.duid,
		"valid_lifetime": &k.lifetime, "expire": &k.expire, "hostname": &k.hostname,
		"state": &k.state, "lease_type": &k.leaseType, "prefix_len": &k.prefixLen,
	} {
		*at = indexOf(k.fields, name)
	}
	if k.lifetime < 0 || k.expire < 0 {
		to.bad(number, "no columns valid_lifetime and expire", text, "let Kea write the file anew")
		return
	}
	// Columns at the end may be missing in the rows of older versions.
	k.columns = 1 + max(k.address, k.lifetime, k.expire, k.hostname, k.duid, k.prefixLen)
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if strings.TrimSpace(n) == name {
			return i
		}
	}
	return -1
}

// field returns a column of the row, empty where there is none.
func (k *kea) field(column int) string {
	if column < 0 || column >= len(k.fields) {
		return ""
	}
	return k.fields[column]
}

func (k *kea) row(number int, text string, to notes) {
	prefix, ok := k.prefix()
	if !ok {
		to.bad(number, "not an address or prefix", text, "")
		return
	}
	lifetime, err := strconv.ParseUint(k.field(k.lifetime), 10, 32)
	if err != nil {
		to.bad(number, "not a lifetime in seconds", k.field(k.lifetime), "")
		return
	}
	expire, err := strconv.ParseInt(k.field(k.expire), 10, 63)
	if err != nil {
		to.bad(number, "not a time in seconds since 1970", k.field(k.expire), "")
		return
	}
	if state := k.field(k.state); lifetime == 0 || state != "" && state != keaAssigned && state != keaRegistered {
		to.gone(prefix)
		return
	}
	l := Lease{Prefix: prefix, Holder: k.holder(), Hostname: keaText(k.field(k.hostname))}
	l.Start = time.Unix(expire-int64(lifetime), 0)
	if lifetime != keaInfinite {
		l.End = time.Unix(expire, 0)
	}
	to.hold(l)
}

// prefix returns what the row is about.
func (k *kea) prefix() (netip.Prefix, bool) {
	addr, err := netip.ParseAddr(k.field(k.address))
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := addr.BitLen()
	if k.field(k.leaseType) == keaPrefix {
		if bits, err = strconv.Atoi(k.field(k.prefixLen)); err != nil {
			return netip.Prefix{}, false
		}
	}
	prefix, err := addr.Prefix(bits)
	return prefix, err == nil
}

// holder returns the client's MAC address in IPv4 and its DUID in IPv6, or else
// what there is.
func (k *kea) holder() string {
	for _, column := range []int{k.duid, k.hwaddr, k.clientID} {
		if holder := k.field(column); holder != "" {
			return holder
		}
	}
	return ""
}

// keaText undoes what Kea does to commas in a text: it writes &#x and two
// hexadecimal digits.
func keaText(s string) string {
	const mark = "&#x"
	if !strings.Contains(s, mark) {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		c, err := strconv.ParseUint(after[:min(2, len(after))], 16, 8)
		if err != nil || len(after) < 2 {
			b.WriteString(mark)
			s = after
			continue
		}
		b.WriteByte(byte(c))
		s = after[2:]
	}
}
