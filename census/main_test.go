// SPDX-License-Identifier: Apache-2.0

package census

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon  = time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)
	alice = netip.MustParsePrefix("100.64.0.1/32")
	bob   = netip.MustParsePrefix("2001:db8:0:100::/56")
	mx1   = netip.MustParseAddr("192.0.2.1")
	mx2   = netip.MustParseAddr("2001:db8:ffff::25")
)

// after returns a time after noon.
func after(d time.Duration) time.Time { return noon.Add(d) }

// try is an attempt of a subscriber to port 25 that is refused.
func try(at time.Time, from netip.Prefix, to netip.Addr) Attempt {
	return Attempt{Time: at, Pool: "home", Subscriber: from, Source: from.Addr(), Destination: to, Port: 25}
}

// server returns the i-th of many addresses.
func server(i int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x0b00_0000+uint32(i))
	return netip.AddrFrom4(a)
}

// customer returns the i-th of many subscribers.
func customer(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x6440_0000+uint32(i))
	return netip.PrefixFrom(netip.AddrFrom4(a), 32)
}

// handed is what a book has handed on.
type handed struct {
	hours   []time.Time
	records map[time.Time][]Record
}

// newBook returns a book and what it hands on.
func newBook(o Options) (*Book, *handed) {
	h := &handed{records: map[time.Time][]Record{}}
	o.OnHour = func(hour time.Time, records []Record) {
		h.hours = append(h.hours, hour)
		h.records[hour] = append(h.records[hour], records...)
	}
	return NewBook(o), h
}

// of returns the current record of a subscriber.
func of(t *testing.T, b *Book, p netip.Prefix) Record {
	t.Helper()
	r, ok := b.Subscriber(p)
	if !ok {
		t.Fatalf("no record of %s", p)
	}
	return r
}

// host is the prefix of one address.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// equal compares addresses as values.
func equal() cmp.Option {
	return cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateComparable(netip.Addr{})}
}
