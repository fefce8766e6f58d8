// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// judge is notes that look at what comes out of hostile input.
type judge struct {
	t     *testing.T
	lines int
	to    Reading
}

func (j *judge) hold(l Lease) {
	if l.Prefix != l.Prefix.Masked() && !l.Prefix.Masked().IsValid() {
		j.t.Errorf("holds %v", l.Prefix)
	}
	j.to.Hold(l)
}
func (j *judge) gone(p netip.Prefix) { j.to.Gone(p) }
func (j *judge) bad(number int, what, text, fix string) {
	p := Problem{File: "f", Line: number, What: what, Text: text, Fix: fix}
	if number < 1 || number > j.lines || what == "" {
		j.t.Errorf("%d of %d lines: %q", number, j.lines, what)
	}
	if s := p.String(); strings.ContainsAny(s, "\n\x1b") || len(s) > 1000 {
		j.t.Errorf("%q", s)
	}
	j.to.Bad(p)
}

// fuzzParser feeds files. Whatever they hold: no panic, each problem names its
// line, the same file read in two parts says the same, and what is kept can be
// shown.
func fuzzParser(f *testing.F, newParser func() parser, seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		text, err := os.ReadFile("testdata/" + seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), 100)
		f.Add(string(text[:len(text)/2]), 10)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole := parse(t, newParser(), text)
		parts := &listener{}
		p, from := newParser(), strings.NewReader(text)
		if len(text) > 0 {
			first := newLines(strings.NewReader(text[:max(0, cut)%len(text)]), 0, 0)
			if err := parseLines(t.Context(), first, p, parts); err != nil {
				t.Fatal(err)
			}
			if _, err := from.Seek(first.offset, 0); err != nil {
				t.Fatal(err)
			}
			if err := parseLines(t.Context(), newLines(from, first.offset, first.number), p, parts); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := strings.Join(parts.said, "\n"), strings.Join(whole, "\n"); got != want {
			t.Errorf("in two parts:\n%s\nat once:\n%s", got, want)
		}
		b := NewBook(Options{Now: func() time.Time { return dawn }, OnChange: func(e Event) {
			if !e.Prefix.IsValid() || e.Prefix != e.Prefix.Masked() || !utf8.ValidString(e.Holder+e.Hostname) || strings.ContainsAny(e.Holder+e.Hostname, "\n\x1b\x00") {
				t.Errorf("%+v", e)
			}
		}})
		r := b.Read("f")
		j := &judge{t: t, lines: strings.Count(text, "\n"), to: r}
		if err := parseLines(t.Context(), newLines(strings.NewReader(text), 0, 0), newParser(), j); err != nil {
			t.Fatal(err)
		}
		r.Commit(dawn)
	})
}

func FuzzDnsmasq(f *testing.F) {
	fuzzParser(f, func() parser { return &dnsmasq{} }, "dnsmasq.leases")
}

func FuzzISC(f *testing.F) {
	fuzzParser(f, func() parser { return &isc{} }, "dhcpd.leases", "dhcpd6.leases")
}

func FuzzKea(f *testing.F) {
	fuzzParser(f, func() parser { return &kea{} }, "kea-leases4.csv", "kea-leases6.csv")
}

// FuzzRADIUS feeds datagrams from an access server on the list, with the right
// authenticator put in: no panic, and an answer to each that makes sense.
func FuzzRADIUS(f *testing.F) {
	b := newBRAS(f)
	f.Add(b.request(start, session1, user("alice"), address("100.64.0.1"), framed("2001:db8:1::/64"), delegated("2001:db8:2::/56")))
	f.Add(b.request(stop, session1))
	f.Add([]byte{4, 1, 0, 20})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		b := newBRAS(t)
		if request, ok := wholeRequest(datagram); ok {
			sign(request)
		}
		answer := b.source.receive(datagram, nas, b)
		if problems := len(b.Health()) > 0 && len(b.Health()[0].Problems) > 0; answer == nil && !problems {
			t.Error("neither answered nor counted")
		}
		b.after(2 * aDay)
		b.source.tidy(b)
		if n := b.Len(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
	})
}
