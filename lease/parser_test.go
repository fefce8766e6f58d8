// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listener is notes that remember.
type listener struct{ said []string }

func (n *listener) hold(l Lease) {
	n.said = append(n.said, strings.TrimSpace(fmt.Sprintf("%s %q %q %s..%s", l.Prefix, l.Holder, l.Hostname, at(l.Start), at(l.End))))
}
func (n *listener) gone(p netip.Prefix) { n.said = append(n.said, p.String()+" gone") }
func (n *listener) bad(number int, what, text, _ string) {
	n.said = append(n.said, Problem{File: "file", Line: number, What: what, Text: text}.String())
}

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04:05")
}

// parse feeds a text to a parser.
func parse(t testing.TB, p parser, text string) []string {
	t.Helper()
	var n listener
	in := newLines(strings.NewReader(text), 0, 0)
	if err := parseLines(t.Context(), in, p, &n); err != nil {
		n.said = append(n.said, err.Error())
	}
	return n.said
}

func TestDnsmasqLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"1767225600 52:54:00:12:34:56 192.0.2.10 laptop 01:52:54:00:12:34:56": `192.0.2.10/32 "52:54:00:12:34:56" "laptop" -..00:00:00`,
		"1767225600 52:54:00:12:34:56 192.0.2.10 * *":                         `192.0.2.10/32 "52:54:00:12:34:56" "" -..00:00:00`,
		"0 52:54:00:12:34:56 192.0.2.10 * *":                                  `192.0.2.10/32 "52:54:00:12:34:56" "" -..-`,
		"3600 52:54:00:12:34:56 192.0.2.10 * *":                               `192.0.2.10/32 "52:54:00:12:34:56" "" -..-`, // a length
		"1767225600 06-52:54:00:12:34:56 192.0.2.10 * *":                      `192.0.2.10/32 "06-52:54:00:12:34:56" "" -..00:00:00`,
		"1767225600 20- 192.0.2.10 * ff:01":                                   `192.0.2.10/32 "20-" "" -..00:00:00`,
		"1767225600 305419896 2001:db8::10 box 00:01:00:01":                   `2001:db8::10/128 "00:01:00:01" "box" -..00:00:00`,
		"1767225600 T305419896 2001:db8::10 * 00:01:00:01":                    `2001:db8::10/128 "00:01:00:01" "" -..00:00:00`,
		"duid 00:01:00:01:2b:aa":                                              "",
		"":                                                                    "",
		"1767225600 52:54:00:12:34:56 192.0.2.10":                             "five fields",
		"1767225600 52:54:00:12:34:56 192.0.2.10 a b c":                       "five fields",
		"1767225600  192.0.2.10 a b":                                          "five fields",
		"soon 52:54:00:12:34:56 192.0.2.10 * *":                               "not a time",
		"-1 52:54:00:12:34:56 192.0.2.10 * *":                                 "not a time",
		"1767225600 52:54:00:12:34:56 192.0.2.300 * *":                        "not an address",
		"1767225600 52:54:00:12:34:56 fe80::1%eth0 * *":                       "not an address",
		"1767225600 laptop 192.0.2.10 * *":                                    "not a MAC address",
	} {
		got := strings.Join(parse(t, &dnsmasq{}, line+"\n"), "\n")
		if strings.Contains(want, "/") && got != want || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s:\n got %s\nwant %s", line, got, want)
		}
	}
}

func TestKeaLines(t *testing.T) {
	t.Parallel()
	const (
		header4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"
		header6 = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source\n"
	)
	for _, test := range []struct {
		text string
		want []string
	}{
		{header4 + "192.0.2.10,52:54:00:12:34:56,01:52,3600,1767229200,1,0,0,laptop,0,,0\n",
			[]string{`192.0.2.10/32 "52:54:00:12:34:56" "laptop" 00:00:00..01:00:00`}},
		{header4 + "192.0.2.10,,01:52,3600,1767229200,1,0,0,a&#x2cb&#x,0,,0\n",
			[]string{`192.0.2.10/32 "01:52" "a,b&#x" 00:00:00..01:00:00`}},
		{header4 + "192.0.2.10,aa:bb,,4294967295,6062192895,1,0,0,,0,,0\n",
			[]string{`192.0.2.10/32 "aa:bb" "" 00:00:00..-`}},
		{header4 + "192.0.2.10,,,0,1767229200,1,0,0,,0,,0\n192.0.2.11,,,3600,1767229200,1,0,0,,1,,0\n" +
			"192.0.2.12,,,3600,1767229200,1,0,0,,2,,0\n192.0.2.13,,,3600,1767229200,1,0,0,,3,,0\n",
			[]string{"192.0.2.10/32 gone", "192.0.2.11/32 gone", "192.0.2.12/32 gone", "192.0.2.13/32 gone"}},
		// Older and other orders of columns, a row of an older version.
		{"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname\n192.0.2.10,aa:bb,,60,1767225660,1,0,0,x\n",
			[]string{`192.0.2.10/32 "aa:bb" "x" 00:00:00..00:01:00`}},
		{"address,expire,valid_lifetime,state\n192.0.2.10,1767225660,60\n", []string{`192.0.2.10/32 "" "" 00:00:00..00:01:00`}},
		{header6 + "2001:db8:1::,00:01:02,3600,1767229200,1,1800,2,305419896,56,0,0,,52:54:00:12:34:56,0,,1,2\n" +
			"2001:db8::10,00:01:02,3600,1767229200,1,1800,0,305419896,128,0,0,box,,4,,,\n",
			[]string{`2001:db8:1::/56 "00:01:02" "" 00:00:00..01:00:00`, `2001:db8::10/128 "00:01:02" "box" 00:00:00..01:00:00`}},
		{"192.0.2.10,aa:bb,,60,1767225660,1,0,0,x\n", []string{`file:1: a lease before the names of the columns: "192.0.2.10,aa:bb,,60,1767225660,1,0,0,x"`}},
		{header4 + "192.0.2.10,aa\n", []string{`file:2: fewer columns than the first line names: "192.0.2.10,aa"`}},
		{header4 + "192.0.2.10,aa,,x,1,1,0,0,,0,,0\n", []string{`file:2: not a lifetime in seconds: "x"`}},
		{header4 + "192.0.2.10,aa,,1,x,1,0,0,,0,,0\n", []string{`file:2: not a time in seconds since 1970: "x"`}},
		{header6 + "2001:db8:1::,00,1,1,1,1,2,1,129,0,0,,,0,,,\n", []string{`file:2: not an address or prefix: "2001:db8:1::,00,1,1,1,1,2,1,129,0,0,,,0,,,"`}},
		{header4 + strings.Repeat(",", 100) + "\n", []string{`file:2: too many columns: "` + strings.Repeat(",", 60) + `…"`}},
	} {
		if diff := cmp.Diff(test.want, parse(t, &kea{}, test.text)); diff != "" {
			t.Errorf("%s(-want +got):\n%s", test.text, diff)
		}
	}
	if err := (&kea{}).usable(); err == nil {
		t.Error("a file without a header is usable")
	}
}

func TestISCLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want []string
	}{
		{`# a comment; { with marks
authoring-byte-order little-endian;
lease 192.0.2.10 {
  starts 2 2026/11/24 08:00:00;
  ends 2 2026/11/24 20:00:01; # with a comment
  cltt 2 2026/11/24 08:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 52:54:00:12:34:56;
  uid "\001RT\000\0224V";
  set vendor-class-identifier = "udhcp } 1.35";
  on expiry {
    binding state free;
  }
  client-hostname "lap\"top";
}
`, []string{`192.0.2.10/32 "52:54:00:12:34:56" "lap\"top" 08:00:00..20:00:01`}},
		{"lease 192.0.2.10 {\n  starts epoch 1767225600; # Thu\n  ends never;\n  binding state active;\n  uid 01:aB:c;\n}\n",
			[]string{`192.0.2.10/32 "01:ab:0c" "" 00:00:00..-`}},
		{"lease 192.0.2.10 { ends 2 2026/11/24 20:00:00; uid \"\\001a\"; }", nil}, // not a line yet
		{"lease 192.0.2.10 { ends 2 2026/11/24 20:00:00; uid \"\\001a\"; }\n", []string{`192.0.2.10/32 "01:61" "" -..20:00:00`}},
		{"lease 192.0.2.10 {\n  binding state free;\n}\nlease 192.0.2.11 {\n  binding state abandoned;\n}\nlease 192.0.2.12 {\n  abandoned;\n}\n",
			[]string{"192.0.2.10/32 gone", "192.0.2.11/32 gone", "192.0.2.12/32 gone"}},
		{`ia-pd "\170V4\022\000\001\000\001" {
  cltt 2 2026/11/24 08:00:00;
  iaprefix 2001:db8:1::/56 {
    binding state active;
    preferred-life 27000;
    max-life 43200;
    ends 2 2026/11/24 20:00:00;
  }
  iaprefix 2001:db8:2::/56 {
    binding state expired;
  }
}
ia-na 78:56:34:12:00:03 {
  iaaddr 2001:db8::10 {
    binding state active;
  }
}
`, []string{`2001:db8:1::/56 "00:01:00:01" "" 08:00:00..20:00:00`, "2001:db8:2::/56 gone", `2001:db8::10/128 "00:03" "" -..-`}},
		// Passed over.
		{"failover peer \"x\" state {\n  my state normal at 2 2026/11/24 20:00:00;\n}\nserver-duid \"\\000\\001\";\nhost a { dynamic; }\n", nil},
		// Cut off, and what follows.
		{"lease 192.0.2.10 {\n  starts 2 2026/\nlease 192.0.2.11 {\n  binding state free;\n}\n",
			[]string{"file:1: a declaration that does not end", "192.0.2.11/32 gone"}},
		{"}\nlease 192.0.2.11 {\n  binding state free;\n}\n", []string{"file:1: a brace that closes nothing", "192.0.2.11/32 gone"}},
		{"lease 192.0.2.999 {\n  binding state active;\n}\n", []string{`file:1: not an address: "192.0.2.999"`}},
		{"lease 192.0.2.9 {\n  ends 2 2026/13/24 08:00:00;\n}\n", []string{`file:2: not a time: "2 2026/13/24 08:00:00"`}},
		{"lease 192.0.2.9 {\n  uid \"abc;\n}\n", []string{`file:2: a string that does not end: "  uid \"abc;"`}},
		{"ia-na \"\\001\" {\n  iaaddr 2001:db8::10 {\n  }\n}\n", []string{`file:1: not a number of an association and a DUID: "\\001"`}},
		{"ia-na \"12345\" {\n  iaaddr nonsense {\n  }\n}\n", []string{`file:2: not an address or prefix: "nonsense"`}},
	} {
		if diff := cmp.Diff(test.want, parse(t, &isc{}, test.text)); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", test.text, diff)
		}
	}
}

// A declaration without an end does not take the file with it.
func TestISCEndless(t *testing.T) {
	t.Parallel()
	text := "class \"x\" {\n" + strings.Repeat("  match if thing;\n", mostDeclaration/10) + "lease 192.0.2.1 {\n  binding state free;\n}\n"
	got := parse(t, &isc{}, text)
	if len(got) < 2 || !strings.Contains(got[0], "too long") || got[len(got)-1] != "192.0.2.1/32 gone" {
		t.Errorf("%q", got)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*readSize)
	in := newLines(strings.NewReader("a\r\n\n"+long+"\nb\ncut"), 0, 0)
	var got []string
	for {
		line, tooLong, ok := in.next()
		if !ok {
			break
		}
		if tooLong {
			line = "too long"
		}
		got = append(got, fmt.Sprintf("%d %s", in.number, line))
	}
	if want := []string{"1 a", "2 ", "3 too long", "4 b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := int64(3 + 1 + len(long) + 1 + 2); in.offset != want || in.failed() != nil {
		t.Errorf("offset %d, want %d; %v", in.offset, want, in.failed())
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"plain":           "plain",
		"müller":          "müller",
		"a\x1b[2Jb\nc":    "a?[2Jb?c",
		"\xff\xfe":        "?",
		"right\u202eleft": "right?left",
	} {
		if got := clean(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if n := len(clean(strings.Repeat("ä", longestName))); n > longestName {
		t.Errorf("%d bytes", n)
	}
}

// The files that real daemons wrote.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	for file, p := range map[string]parser{
		"dnsmasq.leases": &dnsmasq{}, "dhcpd.leases": &isc{}, "dhcpd6.leases": &isc{},
		"kea-leases4.csv": &kea{}, "kea-leases6.csv": &kea{},
	} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(parse(t, p, string(text)), "\n") + "\n"
		golden := "testdata/" + file + ".golden"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}
