// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// author writes files as different people do. Each remark has a number of its own.
type author struct {
	*rand.Rand

	text    strings.Builder
	remarks int
	own     map[string][]string // remarks by the entry that they are inside of
}

func (a *author) yes() bool { return a.IntN(2) == 0 }

func (a *author) blanks(least int) string { return strings.Repeat(" ", least+a.IntN(3)) }

// remark returns a comment, or nothing.
func (a *author) remark(of string) string {
	if a.IntN(3) > 0 {
		return ""
	}
	a.remarks++
	remark := numbered(a.remarks)
	if of != "" {
		a.own[of] = append(a.own[of], remark)
	}
	return remark
}

func numbered(i int) string { return fmt.Sprintf("# %d: it's, \"[{", i) }

// remarkLines writes some lines of comments and blanks.
func (a *author) remarkLines(of string, indent int) {
	for range a.IntN(3) {
		if remark := a.remark(of); remark != "" {
			fmt.Fprintf(&a.text, "%*s%s\n", indent, "", remark)
		} else if of == "" {
			a.text.WriteString("\n")
		}
	}
}

// fields returns one entry's keys in some order, each value in some quotes.
func (a *author) fields(i int, braces bool) []string {
	style := func(s string) string {
		switch a.IntN(4) {
		case 0:
			return `"` + s + `"`
		case 1:
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		return s
	}
	reasons := []string{"moves", "it's long", "日本 a#b", "why - a: b", "a, b [c] {d}"}
	reason := reasons[a.IntN(len(reasons))]
	if strings.ContainsAny(reason, ":,") {
		reason = `"` + reason + `"`
	} else {
		reason = style(reason)
	}
	prefix := fmt.Sprintf("192.0.2.%d", i)
	if i%3 == 0 {
		prefix = fmt.Sprintf(`"2001:db8:%d::/48"`, i)
	}
	times := []string{"2027-03-31 00:00 Asia/Tokyo", "2027-03-31T00:00:00+09:00"}
	fields := []string{"prefix: " + prefix, "reason: " + reason, "until: " + style(times[a.IntN(len(times))]), "ticket: " + style("CS-1")}[:3+a.IntN(2)]
	if !braces && a.IntN(3) == 0 {
		fields[1] = "reason:" + []string{" >-<# a word<", " >2<# a word<", " |-<", " |<"}[a.IntN(4)]
	}
	a.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return fields
}

func (a *author) inBraces(i int) string {
	inside := ""
	if a.yes() {
		inside = " "
	}
	return "{" + inside + strings.Join(a.fields(i, true), ","+a.blanks(1)) + inside + "}"
}

func (a *author) dashes(n int) {
	root := a.IntN(2)
	indent, gap := root+a.IntN(4), a.blanks(1)
	fmt.Fprintf(&a.text, "%*sexemptions:%s\n", root, "", pad(a.remark("")))
	for i := range n {
		of := fmt.Sprint(i)
		a.remarkLines("", indent)
		fmt.Fprintf(&a.text, "%*s-", indent, "")
		if a.IntN(3) == 0 {
			fmt.Fprintf(&a.text, "%s%s%s\n", gap, a.inBraces(i), pad(a.remark(of)))
			continue
		}
		inner, before := indent+1+len(gap), gap
		if a.IntN(4) == 0 {
			fmt.Fprintf(&a.text, "%s\n", pad(a.remark(of)))
			before = strings.Repeat(" ", inner)
		}
		fields := a.fields(i, false)
		for j, field := range fields {
			if j > 0 {
				before = strings.Repeat(" ", inner)
			}
			block := strings.Contains(field, "<")
			field = strings.ReplaceAll(field, "<", "\n"+strings.Repeat(" ", inner+2))
			if block {
				field += "# of the text"
			}
			fmt.Fprintf(&a.text, "%s%s", before, field)
			if !block {
				a.text.WriteString(pad(a.remark(of)))
			}
			a.text.WriteString("\n")
			if !block || j == len(fields)-1 {
				a.remarkLines(of, inner)
			}
		}
	}
}

func (a *author) brackets(n int) {
	a.text.WriteString("exemptions: [")
	onLines := a.yes()
	for i := range n {
		if onLines {
			fmt.Fprintf(&a.text, "%s\n", pad(a.remark(entryBefore(i))))
			a.remarkLines("", 2)
			a.text.WriteString(a.blanks(2))
		}
		a.text.WriteString(a.inBraces(i))
		if i < n-1 || a.yes() {
			a.text.WriteString(a.blanks(0) + ",")
		}
		if !onLines {
			a.text.WriteString(a.blanks(0))
		}
	}
	if onLines && a.yes() {
		fmt.Fprintf(&a.text, "%s\n", pad(a.remark(entryBefore(n))))
		a.remarkLines("", 2)
	}
	fmt.Fprintf(&a.text, "]%s\n", pad(a.remark("")))
}

// entryBefore names the entry whose line a remark may end.
func entryBefore(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprint(i - 1)
}

func pad(remark string) string {
	if remark == "" {
		return ""
	}
	return "  " + remark
}

// write returns a file with n exemptions.
func (a *author) write(n int) []byte {
	a.remarkLines("", 0)
	if a.IntN(3) == 0 {
		a.brackets(n)
	} else {
		a.dashes(n)
	}
	a.remarkLines("", 0)
	text := a.text.String()
	if a.IntN(4) == 0 {
		text = strings.TrimRight(text, "\n")
	}
	if a.IntN(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

// lost returns the remarks that a text lacks, but for those inside of one entry.
func (a *author) lost(text []byte, entry string) []string {
	var lost []string
	for i := range a.remarks {
		remark := numbered(i + 1)
		if !bytes.Contains(text, []byte(remark)) && !slices.Contains(a.own[entry], remark) {
			lost = append(lost, remark)
		}
	}
	return lost
}

// checkStyle edits a file of somebody in every way. No edit is refused, each does
// what it should, and only remarks inside of what is removed are gone.
func checkStyle(t *testing.T, seed uint64) {
	t.Helper()
	a := &author{Rand: rand.New(rand.NewPCG(seed, 0)), own: map[string][]string{}}
	n := a.IntN(4)
	data := a.write(n)
	old := parse("style.yaml", data, map[netip.Prefix]Exemption{})
	if len(old.problems) > 0 || len(old.entries) != n {
		t.Fatalf("seed %d: %v: %d of %d entries of:\n%s", seed, old.problems, len(old.entries), n, data)
	}
	check := func(name string, e edit, removed string) {
		text, err := e.of("style.yaml", data)
		if err != nil {
			t.Fatalf("seed %d: %s: %v, of:\n%s", seed, name, err, data)
		}
		if lost := a.lost(text, removed); len(lost) > 0 {
			t.Errorf("seed %d: %s lost %q:\n%s\nof:\n%s", seed, name, lost, text, data)
		}
		if bytes.Contains(data, []byte("\r\n")) && bytes.Count(text, []byte("\n")) != bytes.Count(text, []byte("\r\n")) {
			t.Errorf("seed %d: %s mixed line ends: %q", seed, name, text)
		}
	}
	check("add", adding(newcomer()), "")
	for i, e := range old.exemptions() {
		check("remove", removing(e.Prefix, new(Exemption)), fmt.Sprint(i))
		check("expire", expiring(e.Prefix, e.Until.Add(-time.Hour), new(Exemption)), "")
	}
}

func TestStyles(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		checkStyle(t, seed)
		if t.Failed() {
			return
		}
	}
}
