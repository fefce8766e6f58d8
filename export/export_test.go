// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/export"
	"op25b/filter"
)

var update = flag.Bool("update", false, "write what is exported into testdata")

// spec is a policy with pools in pools, of every response, in both families.
func spec() filter.Spec {
	return filter.Spec{
		Ports: []uint16{25, 2525},
		Relays: []filter.Relay{
			{Name: "msa", Prefixes: prefixes("192.0.2.25/32", "2001:db8:25::25/128")},
			{Name: "farm", Prefixes: prefixes("198.51.100.0/28")},
		},
		Pools: []filter.Pool{
			{Name: "residential", Prefixes: prefixes("100.64.0.0/16", "2001:db8:a::/48")},
			{Name: "business", Prefixes: prefixes("100.64.16.0/24", "2001:db8:a:10::/64"), Static: true},
			{Name: "guests", Prefixes: prefixes("100.64.16.128/25", "2001:db8:b::/56"), Response: filter.RespondProhibited},
			{Name: "hotspots", Prefixes: prefixes("100.65.0.0/24", "100.65.2.9/32"), Response: filter.RespondDrop},
		},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func request(t testing.TB, spec filter.Spec) export.Request {
	t.Helper()
	policy, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return export.Request{
		File: "/etc/op25b/op25b.yaml", Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Subscribers: []string{"eth1", "ppp0"}, Ports: spec.Ports, Established: spec.JudgeEstablished, Policy: policy,
	}
}

func text(t testing.TB, target string, spec filter.Spec) string {
	t.Helper()
	d, err := export.New(target, request(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	return d.Text
}

// TestGolden holds every target against its file.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, target := range export.Targets() {
		path := filepath.Join("testdata", target+".golden")
		got := text(t, target, spec())
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

// TestComments wants each document to begin with comments: what, when, how, and all
// that it cannot do. Nothing in the file's name leaves them.
func TestComments(t *testing.T) {
	t.Parallel()
	signs := map[string]string{"nftables": "# ", "pf": "# ", "routeros": "# ", "cisco-acl": "! ", "vpp": "comment { "}
	for _, target := range export.Targets() {
		req := request(t, spec())
		req.File = "a\nevil }\nline"
		d, err := export.New(target, req)
		if err != nil {
			t.Fatal(err)
		}
		var head []string
		for line := range strings.Lines(d.Text) {
			if !strings.HasPrefix(line, signs[target]) {
				break
			}
			line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), signs[target]), " }")
			head = append(head, strings.TrimPrefix(line, "- "))
		}
		flat := strings.Join(strings.Fields(strings.Join(head, " ")), " ")
		for _, want := range append([]string{"a evil", "2026-11-24T12:00:00Z", "Load with", "Remove with"}, d.Cannot...) {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: %q is not in the comments:\n%s", target, want, flat)
			}
		}
		if strings.Count(d.Text, "evil") != 1 {
			t.Errorf("%s: the file's name left the comment", target)
		}
	}
}

// TestEstablished: with established connections judged, no target asks for flags.
func TestEstablished(t *testing.T) {
	t.Parallel()
	words := map[string]string{
		"nftables": "(syn | ack)", "pf": "flags S/SA\n", "routeros": "tcp-flags", "cisco-acl": " established\n", "vpp": "tcpflags",
	}
	for _, target := range export.Targets() {
		s := spec()
		if !strings.Contains(text(t, target, s), words[target]) {
			t.Errorf("%s does not ask for flags", target)
		}
		s.JudgeEstablished = true
		if strings.Contains(text(t, target, s), words[target]) {
			t.Errorf("%s asks for flags, and must not", target)
		}
	}
}

func TestUnknownTarget(t *testing.T) {
	t.Parallel()
	_, err := export.New("iptables", request(t, spec()))
	if !errors.Is(err, export.ErrUnknownTarget) || !strings.Contains(err.Error(), "routeros") {
		t.Errorf("got %v", err)
	}
}

// TestNftAccepts lets nft check its export: a usual policy, one without relays, one
// that refuses nothing, and one that refuses all addresses.
func TestNftAccepts(t *testing.T) {
	t.Parallel()
	nft, err := exec.LookPath("nft")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("nft and root are needed to check rules")
	}
	strict, empty := spec(), filter.Spec{Ports: []uint16{25}}
	strict.ValidateSource, strict.JudgeEstablished, strict.Relays = true, true, nil
	all := filter.Spec{Ports: []uint16{25}, ValidateSource: true}
	for i, s := range []filter.Spec{spec(), strict, empty, all} {
		cmd := exec.Command(nft, "-c", "-f", "-")
		cmd.Stdin = strings.NewReader(text(t, "nftables", s))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("policy %d: %v\n%s", i, err, out)
		}
	}
}

// TestLongestPrefix: static pools in dynamic ones, and dynamic ones in those, are
// resolved in every target.
func TestLongestPrefix(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"pf", "routeros", "vpp"} {
		got := text(t, target, spec())
		for _, prefix := range []string{"100.64.0.0/20", "100.64.16.128/25", "100.65.0.0/24", "2001:db8:b::/56", "198.51.100.0/28"} {
			if !strings.Contains(got, prefix) {
				t.Errorf("%s lacks %s", target, prefix)
			}
		}
		for _, prefix := range []string{"100.64.16.0/25", "100.64.16.0/24", "100.64.0.0/16", "2001:db8:a::/48"} {
			if strings.Contains(got, prefix) {
				t.Errorf("%s has %s, which is not refused as a whole", target, prefix)
			}
		}
	}
	got := text(t, "cisco-acl", spec())
	for _, entry := range []string{"deny tcp 100.64.0.0 0.0.15.255 any eq 25", "permit tcp any host 192.0.2.25", "deny tcp host 100.65.2.9 any fragments"} {
		if !slices.Contains(strings.Split(got, "\n"), " "+entry) {
			t.Errorf("cisco-acl lacks %q", entry)
		}
	}
}
