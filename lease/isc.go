// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// isc reads what ISC dhcpd keeps (dhcpd.leases(5)): declarations, the newest about
// an address last.
//
//	lease 192.0.2.10 {
//	  starts 2 2026/11/24 08:00:00;
//	  ends 2 2026/11/24 20:00:00;
//	  binding state active;
//	  hardware ethernet 52:54:00:12:34:56;
//	  client-hostname "laptop";
//	}
//	ia-pd "\001\000\000\000\000\001..." {
//	  cltt 2 2026/11/24 08:00:00;
//	  iaprefix 2001:db8:1::/56 {
//	    binding state active;
//	    ends 2 2026/11/24 20:00:00;
//	  }
//	}
//
// Other declarations are passed over. Times are in UTC. The grammar is free of
// lines; dhcpd still begins its declarations, and nothing else, at the beginning of
// a line, and so one that was cut off does not take the next one with it.
type isc struct {
	depth int // braces that are open
	size  int // bytes since the declaration began
	line1 int // where it began
	words []word
	// broken: something of the declaration made no sense, and it will not count.
	broken bool

	kind  declaration
	outer iscLease // of lease or of ia-...
	inner iscLease // of iaaddr or iaprefix
}

type declaration uint8

const (
	otherDeclaration declaration = iota
	leaseDeclaration
	iaDeclaration
)

// iscLease is what has been read of a lease.
type iscLease struct {
	prefix       netip.Prefix
	state        string
	holder, uid  string
	hostname     string
	starts, ends time.Time
	ended        bool // says "abandoned" or "deleted", as old versions do
}

const (
	// mostDeclaration is the longest declaration, in bytes.
	mostDeclaration = 1 << 20
	// mostWords is the longest statement, in words.
	mostWords = 256
)

func (*isc) usable() error { return nil }

func (p *isc) line(number int, text string, to notes) {
	if p.depth > 0 && beginsDeclaration(text) {
		to.bad(p.line1, "a declaration that does not end", "", "let dhcpd write the file anew")
		p.reset()
	}
	if p.depth == 0 && len(p.words) == 0 {
		p.line1, p.size = number, 0
	}
	if p.size += len(text); p.size > mostDeclaration {
		to.bad(p.line1, "a declaration that is too long", "", "let dhcpd write the file anew")
		p.reset()
		return
	}
	for rest := text; ; {
		var w word
		var ok bool
		if w, rest, ok = nextWord(rest); !ok {
			return
		}
		if w.kind == wordOpen {
			to.bad(number, "a string that does not end", text, "")
			p.broken = true
		}
		p.take(number, w, to)
	}
}

func beginsDeclaration(line string) bool {
	return strings.HasPrefix(line, "lease ") || strings.HasPrefix(line, "ia-") || strings.HasPrefix(line, "ia_")
}

func (p *isc) reset() { *p = isc{words: p.words[:0]} }

// take takes the next word: a statement ends with a semicolon, a block begins and
// ends with a brace.
func (p *isc) take(number int, w word, to notes) {
	switch {
	case w.is(';'):
		p.statement(number, to)
		p.words = p.words[:0]
	case w.is('{'):
		p.open(number, to)
		p.depth++
		p.words = p.words[:0]
	case w.is('}'):
		if p.depth == 0 {
			to.bad(number, "a brace that closes nothing", "", "")
			p.reset()
			return
		}
		p.depth--
		p.close(to)
		p.words = p.words[:0]
	case len(p.words) < mostWords:
		p.words = append(p.words, w)
	}
}

// open begins a block.
func (p *isc) open(number int, to notes) {
	switch {
	case p.depth == 0:
		p.begin(number, to)
	case p.depth == 1 && p.kind == iaDeclaration && (p.first("iaaddr") || p.first("iaprefix")):
		p.inner = iscLease{holder: p.outer.holder, starts: p.outer.starts}
		if p.inner.prefix = parsePrefix(p.word(1)); !p.inner.prefix.IsValid() {
			p.wrong(number, "not an address or prefix", p.word(1), to)
		}
	}
}

// begin begins a declaration.
func (p *isc) begin(number int, to notes) {
	p.kind, p.outer, p.inner = otherDeclaration, iscLease{}, iscLease{}
	switch {
	case p.first("lease") && len(p.words) == 2:
		p.kind = leaseDeclaration
		if p.outer.prefix = parsePrefix(p.word(1)); !p.outer.prefix.IsValid() {
			p.wrong(number, "not an address", p.word(1), to)
		}
	case len(p.words) == 2 && beginsDeclaration(p.word(0)):
		p.kind = iaDeclaration
		const iaid = 4 // octets of the association's number, before the DUID
		if octets, ok := p.words[1].octets(); ok && len(octets) > iaid {
			p.outer.holder = colons(octets[iaid:])
		} else {
			p.wrong(number, "not a number of an association and a DUID", p.word(1), to)
		}
	}
}

// close ends a block; the depth is that outside it.
func (p *isc) close(to notes) {
	switch {
	case p.depth == 1 && p.inner.prefix.IsValid():
		if !p.broken {
			p.inner.tell(to)
		}
		p.inner = iscLease{}
	case p.depth == 0:
		if p.kind == leaseDeclaration && !p.broken {
			p.outer.tell(to)
		}
		p.broken, p.kind = false, otherDeclaration
	}
}

// tell says what a lease that is complete means.
func (l *iscLease) tell(to notes) {
	if l.state != "" && l.state != "active" || l.ended {
		to.gone(l.prefix)
		return
	}
	holder := l.holder
	if holder == "" {
		holder = l.uid
	}
	to.hold(Lease{Prefix: l.prefix, Holder: holder, Hostname: l.hostname, Start: l.starts, End: l.ends})
}

// statement takes a statement that is complete.
func (p *isc) statement(number int, to notes) {
	into := &p.outer
	switch {
	case p.kind == leaseDeclaration && p.depth == 1:
	case p.kind == iaDeclaration && p.depth == 2 && p.inner.prefix.IsValid():
		into = &p.inner
	case p.kind == iaDeclaration && p.depth == 1 && p.first("cltt"):
		p.date(number, &p.outer.starts, to)
		return
	default:
		return
	}
	switch p.word(0) {
	case "starts":
		p.date(number, &into.starts, to)
	case "ends":
		p.date(number, &into.ends, to)
	case "binding":
		into.state = strings.Clone(p.word(2))
	case "hardware":
		into.holder = p.word(2)
	case "uid":
		if octets, ok := p.secondOctets(); ok {
			into.uid = colons(octets)
		}
	case "client-hostname":
		if len(p.words) > 1 {
			into.hostname = p.words[1].plain()
		}
	case "abandoned", "deleted":
		into.ended = true
	}
}

func (p *isc) secondOctets() ([]byte, bool) {
	if len(p.words) < 2 {
		return nil, false
	}
	return p.words[1].octets()
}

// date reads the time in a statement.
func (p *isc) date(number int, into *time.Time, to notes) {
	var ok bool
	switch {
	case p.word(1) == "never":
		ok = true
	case p.word(1) == "epoch":
		var s int64
		s, err := strconv.ParseInt(p.word(2), 10, 63)
		*into, ok = time.Unix(s, 0), err == nil
	default:
		*into, ok = parseDate(p.word(2), p.word(3))
	}
	if !ok {
		p.wrong(number, "not a time", p.word(1)+" "+p.word(2)+" "+p.word(3), to)
	}
}

// parseDate reads 2026/11/24 and 08:00:00.
func parseDate(day, clock string) (time.Time, bool) {
	var n [6]int
	ok := numbers(day, '/', n[:3]) && numbers(clock, ':', n[3:])
	if !ok || n[0] < 1970 || n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return time.Time{}, false
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC), true
}

// numbers reads as many short numbers as there is room for.
func numbers(text string, separator byte, into []int) bool {
	i, digits := 0, 0
	for j := range len(text) {
		switch c := text[j]; {
		case c == separator && digits > 0 && i < len(into)-1:
			i, digits = i+1, 0
		case '0' <= c && c <= '9' && digits < 5:
			into[i], digits = 10*into[i]+int(c-'0'), digits+1
		default:
			return false
		}
	}
	return i == len(into)-1 && digits > 0
}

// wrong says that the declaration cannot be used.
func (p *isc) wrong(number int, what, text string, to notes) {
	p.broken = true
	to.bad(number, what, text, "")
}

// word returns a word of the statement, empty where there is none.
func (p *isc) word(i int) string {
	if i >= len(p.words) {
		return ""
	}
	return p.words[i].text
}

func (p *isc) first(text string) bool { return p.word(0) == text }

// parsePrefix reads an address, or a prefix; it is not valid when it is neither.
func parsePrefix(text string) netip.Prefix {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return netip.Prefix{}
		}
		return prefix
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}
