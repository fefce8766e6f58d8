// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// compare looks into netip's values as people read them.
func compare() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b Time) bool {
			return a.Equal(b.Time) && a.text == b.text && a.Location().String() == b.Location().String()
		}),
		cmpopts.EquateEmpty(),
	}
}

func testdata(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata/%s: %v", pattern, err)
	}
	return files
}

func loadProblems(t *testing.T, path string) Problems {
	t.Helper()
	c, err := Load(path)
	if err == nil {
		t.Fatalf("accepted as %+v", c)
	}
	if c != nil {
		t.Errorf("a Config beside the error: %+v", c)
	}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T, not Problems: %v", err, err)
	}
	return problems
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no golden file, write it with -update: %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("message changed (-want +got):\n%s", diff)
	}
}

// Every bad-*.yaml holds one mistake, and its golden file the message.
func TestLoadBad(t *testing.T) {
	for _, path := range testdata(t, "bad-*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			problems := loadProblems(t, path)
			if len(problems) != 1 {
				t.Errorf("%d problems for one mistake", len(problems))
			}
			for _, p := range problems {
				if p.What == "" || p.Fix == "" {
					t.Errorf("says too little: %#v", p)
				}
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", problems.Error()+"\n")
		})
	}
	for _, path := range testdata(t, "*.txt") {
		if _, err := os.Stat(strings.TrimSuffix(path, ".txt") + ".yaml"); err != nil {
			t.Errorf("golden file without its configuration: %v", err)
		}
	}
}

// Mistakes of all kinds in one file come out together, in the file's order.
func TestLoadAllAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"many", "many-rollout"} {
		problems := loadProblems(t, "testdata/"+name+".yaml")
		golden(t, "testdata/"+name+".txt", problems.Error()+"\n")
	}
}

func TestLoadEmpty(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "empty.yaml")
	for _, content := range []string{"", "# nothing yet\n", "null\n", "{}\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range loadProblems(t, path) {
			got = append(got, p.Path)
		}
		if diff := cmp.Diff([]string{"interfaces.subscriber", "interfaces.upstream", "policy.pools"}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

func TestLoadGood(t *testing.T) {
	t.Parallel()
	base := func(change func(*Config)) Config {
		c := Default()
		c.Interfaces = Interfaces{Subscriber: []string{"eth1"}, Upstream: "eth0"}
		c.Policy.Pools = []Pool{{
			Name: "residential", Prefixes: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")},
			Assignment: AssignmentDynamic, Response: ResponseReset, Mode: ModeRefuse, Delegation: 56,
		}}
		change(&c)
		return c
	}
	tests := map[string]Config{
		"minimal.yaml":  base(func(*Config) {}),
		"headings.yaml": base(func(*Config) {}),
		"tunnels.yaml": base(func(c *Config) {
			c.Policy.InspectTunnels = []Encapsulation{EncapsulationIPIP, Encapsulation6in4, EncapsulationGRE}
		}),
		"lists.yaml": base(func(c *Config) {
			c.Policy.Relays = []Relay{{Name: "isp-msa", PrefixesFile: "lists/relays.txt", Prefixes: []netip.Prefix{
				netip.MustParsePrefix("192.0.2.25/32"), netip.MustParsePrefix("2001:db8:25::25/128"),
			}}}
			c.Policy.Pools[0].PrefixesFile = "lists/residential.txt"
			c.Policy.Pools[0].Prefixes = append(c.Policy.Pools[0].Prefixes,
				netip.MustParsePrefix("100.128.0.0/10"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:a::/48"))
		}),
		"rollout.yaml": base(rolloutExample(t)),
		"good.yaml": base(func(c *Config) {
			c.Tunnel.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
			c.Policy.Relays = []Relay{{Name: "isp-msa", Prefixes: []netip.Prefix{
				netip.MustParsePrefix("192.0.2.25/32"), netip.MustParsePrefix("2001:db8:25::25/128"),
			}}}
			c.Policy.Pools[0].Prefixes = append(c.Policy.Pools[0].Prefixes, netip.MustParsePrefix("2001:db8:a::/48"))
			c.Policy.Pools = append(c.Policy.Pools, Pool{
				Name: "business", Prefixes: []netip.Prefix{netip.MustParsePrefix("100.65.0.0/24")}, Assignment: AssignmentStatic,
			})
		}),
		"other.yaml": {
			Interfaces: Interfaces{Subscriber: []string{"eth1", "eth2.100"}, Upstream: "bond0"},
			Tunnel: Tunnel{
				Subscriber: "sub0", Upstream: "up0", MTU: 9000, Queues: 4, Offload: FeatureOn, IOUring: FeatureAuto, BusyPoll: 100,
				Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")},
			},
			Forwarding: Forwarding{
				Capture: CaptureSMTP, ReturnPath: ReturnPathRouter, Hop: HopTransparent,
				SourceValidation: SourceValidationOff, OnExit: OnExitBlackhole, Table: 2500, Priority: 100,
				Answers: Answers{PerSubscriber: 50},
			},
			Policy: Policy{
				Ports: []uint16{25, 2525}, Established: EstablishedReset, InboundSourcePort: InboundSourcePortBlock,
				Pools: []Pool{
					{
						Name:       "mobile",
						Prefixes:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
						Assignment: AssignmentDynamic, Response: ResponseDrop, Mode: ModeRefuse, Delegation: 56,
					},
					{
						Name: "fixed wireless", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
						Assignment: AssignmentDynamic, Response: ResponseProhibited, Mode: ModeRefuse, Delegation: 56,
					},
					{
						Name: "unanswered", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
						Assignment: AssignmentDynamic, Response: ResponseReset, Mode: ModeRefuse, Delegation: 56,
					},
				},
			},
			Leases:   []LeaseSource{{Name: "dhcp", Kind: LeaseDnsmasq, File: "/var/lib/misc/dnsmasq.leases"}},
			Journal:  Journal{Path: "/var/lib/op25b/journal.db", Retention: Days(365), Destinations: JournalDestinationsTruncated},
			Attempts: Attempts{Subscribers: 4096},
			Texts:    Texts{Directory: "/etc/op25b/texts", Notice: Default().Texts.Notice},
			Console:  Console{Access: AccessRead},
			Control:  Control{Socket: "/run/other.sock"},
			Log:      Log{Level: LogLevelDebug, Format: LogFormatConsole},
		},
	}
	for file, want := range tests {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got, err := Load(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got, compare()); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		is         error
		hint       string
	}{
		{"absent", filepath.Join(dir, "absent.yaml"), fs.ErrNotExist, "name an existing file with -c FILE"},
		{"directory", dir, syscall.EISDIR, "name a file inside it with -c FILE"},
		{"huge", huge, syscall.EFBIG, "a configuration has at most 16 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(tt.path)
			var pathErr *fs.PathError
			var problems Problems
			if c != nil || !errors.As(err, &pathErr) || !errors.Is(err, tt.is) || errors.As(err, &problems) {
				t.Fatalf("Load = %v, %v", c, err)
			}
			if pathErr.Path != tt.path || !strings.HasSuffix(err.Error(), tt.hint) {
				t.Errorf("message %q lacks path %q or hint %q", err, tt.path, tt.hint)
			}
		})
	}
}

func TestHintPermission(t *testing.T) {
	t.Parallel()
	// Root reads everything, so the real thing cannot be had here.
	if got := hint(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}); !strings.Contains(got, "run as root") {
		t.Errorf("hint = %q", got)
	}
}
