// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

// FuzzRule writes any rule the way netlink has it: it is recognised as itself, and
// as no other.
func FuzzRule(f *testing.F) {
	f.Add(false, 2500, 25, "sub0", 6, uint16(25), uint16(0), uint32(0), byte(0))
	f.Add(true, 2501, 26, "up0", 0, uint16(0), uint16(25), uint32(mark), byte(3))
	f.Add(true, 2500, 25, "eth0.100", 6, uint16(65535), uint16(1), uint32(0), byte(6))
	f.Fuzz(func(t *testing.T, six bool, priority, table int, iif string, proto int, dport, sport uint16, mark uint32, which byte) {
		r := rule{family: unix.AF_INET, priority: priority, table: table, iif: iif, proto: proto, dport: dport, sport: sport, mark: mark}
		if six {
			r.family = unix.AF_INET6
		}
		n := *r.netlink()
		if !r.is(n) {
			t.Errorf("%+v is not recognised as %+v", n, r)
		}
		if n.Protocol != Protocol {
			t.Errorf("%+v is not marked as ours", n)
		}
		other := r
		switch which % 7 {
		case 0:
			other.priority++
		case 1:
			other.table++
		case 2:
			other.iif += "x"
		case 3:
			other.proto++
		case 4:
			other.dport++
		case 5:
			other.sport++
		case 6:
			other.mark++
		}
		if other.is(n) {
			t.Errorf("%+v is taken for %+v", n, other)
		}
	})
}

// FuzzPlan makes any plan. It has a rule for each subscriber, port and family, all
// different, all of one of its two priorities, each with a route to follow, and
// what it prints for people has every one of them on a line of its own.
func FuzzPlan(f *testing.F) {
	f.Add(uint16(0), byte(1), []byte{}, 25, 2500)
	f.Add(uint16(0xff), byte(3), []byte{0, 25, 9, 221}, 100, 1)
	f.Add(uint16(0x5a), byte(0), []byte{0, 25, 0, 25}, 1, 32765)
	f.Fuzz(func(t *testing.T, bits uint16, subscribers byte, ports []byte, table, priority int) {
		has := func(bit int) bool { return bits>>bit&1 != 0 }
		p := Plan{
			Upstream: "up0", SubscriberPort: "op25b-sub", UpstreamPort: "op25b-up", MTU: 1500, Table: table, Priority: priority,
			ReturnPath: has(0), IPv4: has(1), IPv6: has(2), OnExit: OnExit(bits >> 3 & 3 % 3),
		}
		for i := range subscribers % 8 {
			p.Subscribers = append(p.Subscribers, fmt.Sprintf("sub%d", i))
		}
		for ; len(ports) >= 2 && len(p.Capture) < 16; ports = ports[2:] {
			if port := uint16(ports[0])<<8 | uint16(ports[1]); port != 0 && !slices.Contains(p.Capture, port) {
				p.Capture = append(p.Capture, port)
			}
		}
		p.Guard.Ports = p.Capture
		each := 1
		if len(p.Capture) > 0 {
			each = len(p.Capture) + 1 // and what is marked
		}
		if p.OnExit != OnExitBlackhole {
			each = 1 // by the mark alone
		}
		want := len(p.Subscribers) * each
		if p.ReturnPath {
			want += each
		}
		want *= len(p.families())
		rules, routes := p.rules(), p.routes()
		seen := map[rule]bool{}
		for _, r := range rules {
			if seen[r] {
				t.Errorf("twice: %+v", r)
			}
			seen[r] = true
			if r.priority != priority && r.priority != priority+1 {
				t.Errorf("priority %d: %+v", r.priority, r)
			}
			if !slices.ContainsFunc(routes, func(o route) bool { return o.family == r.family && o.table == r.table && o.dev != "" }) {
				t.Errorf("no route for %+v", r)
			}
		}
		if len(rules) != want {
			t.Errorf("%d rules, want %d: %+v", len(rules), want, p)
		}
		commands := strings.Join(p.Commands(), "\n") + "\n"
		for _, r := range rules {
			if strings.Count(commands, r.command()+"\n") != 1 {
				t.Errorf("%q is not printed once", r.command())
			}
		}
		for _, r := range routes {
			if strings.Count(commands, r.command()+"\n") != 1 {
				t.Errorf("%q is not printed once", r.command())
			}
		}
	})
}

// FuzzGuardSets writes any set of prefixes the way netfilter has intervals, and
// reads it back.
func FuzzGuardSets(f *testing.F) {
	for _, list := range [][]string{
		{"100.64.0.0/10"}, {"0.0.0.0/0", "::/0"}, {"255.255.255.255/32"}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
		{"100.64.0.0/16", "100.66.0.0/16", "2001:db8::/32"},
	} {
		var seed []byte
		for _, s := range list {
			p := netip.MustParsePrefix(s)
			seed = append(append(seed, byte(p.Addr().BitLen()/8), byte(p.Bits())), p.Addr().AsSlice()...)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b netipx.IPSetBuilder
		for len(data) >= 2 {
			size, bits := 4, int(data[1])
			if data[0] != 4 {
				size = 16
			}
			if data = data[2:]; len(data) < size {
				break
			}
			a, _ := netip.AddrFromSlice(data[:size])
			if p := netip.PrefixFrom(a, bits); p.IsValid() && !a.Is4In6() {
				b.AddPrefix(p.Masked())
			}
			data = data[size:]
		}
		want, err := b.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		p := Plan{Guard: Guard{Ports: []uint16{25}, Sources: want.Ranges()}}
		var back netipx.IPSetBuilder
		for _, s := range p.guardSets() {
			if !strings.HasPrefix(s.name, "sources") {
				continue
			}
			elements := slices.Concat(slices.Collect(copies(s.elements()))...)
			if len(elements) != s.size() {
				t.Errorf("%s has %d elements, and says %d", s.name, len(elements), s.size())
			}
			for i := 0; i < len(elements); i++ {
				from, _ := netip.AddrFromSlice(elements[i].Key)
				if elements[i].IntervalEnd {
					t.Fatalf("%s ends an interval that has not begun", from)
				}
				to := netipx.PrefixLastIP(netip.PrefixFrom(from, 0))
				if i+1 < len(elements) && elements[i+1].IntervalEnd {
					i++
					end, _ := netip.AddrFromSlice(elements[i].Key)
					to = end.Prev()
				}
				back.AddRange(netipx.IPRangeFrom(from, to))
			}
		}
		got, err := back.IPSet()
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want) {
			t.Errorf("got %v, want %v", got.Ranges(), want.Ranges())
		}
	})
}

// copies makes slices of their own of those that are used again.
func copies[T any](seq iter.Seq[[]T]) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for some := range seq {
			if !yield(slices.Clone(some)) {
				return
			}
		}
	}
}
