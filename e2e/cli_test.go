// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
	"op25b/lab"
)

// The configurations of package config: a good one, and one with mistakes of
// every kind beside the messages about them.
const (
	goodConfig = "../config/testdata/good.yaml"
	manyConfig = "testdata/many.yaml" // as the messages name it, from manyDir
	manyDir    = "../config"
)

// wantExit fails the test unless the program ended with the code.
func wantExit(t *testing.T, out output, code int) {
	t.Helper()
	if out.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", out.code, code, out.stdout, out.stderr)
	}
}

// wantWords fails the test unless text holds them all; where lines break does not
// matter.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, w := range words {
		if !strings.Contains(flat, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// writeConfig writes a configuration to a file of the test and returns its path.
func writeConfig(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkReport is the JSON document of check.
type checkReport struct {
	SchemaVersion int `json:"schema_version"`
	File          string
	OK            bool
	Problems      []checkProblem
	Live          []finding
}

type checkProblem struct {
	File      string
	Line      int
	Path      string
	What, Fix string
}

type finding struct{ Check, Level, What, Effect, Fix string }

func TestCheck(t *testing.T) {
	t.Parallel()
	t.Run("good", func(t *testing.T) {
		out := op25b(t, nil, "check", "-c", goodConfig)
		wantExit(t, out, 0)
		wantWords(t, out.stdout, goodConfig+": ok", "ports [25]", "2 dynamic prefixes", "1 static prefix", "1 relay")
		if out.stderr != "" {
			t.Errorf("stderr: %q, want nothing", out.stderr)
		}
	})
	t.Run("good, as JSON", func(t *testing.T) {
		out := op25b(t, nil, "check", "--json", "-c", goodConfig)
		wantExit(t, out, 0)
		var got checkReport
		decodeOne(t, out.stdout, &got)
		if diff := cmp.Diff(checkReport{SchemaVersion: 1, File: goodConfig, OK: true, Problems: []checkProblem{}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("bad", func(t *testing.T) {
		out := inDir(t, manyDir, "check", "-c", manyConfig)
		wantExit(t, out, 2)
		if diff := cmp.Diff(manyProblems(t), out.stdout); diff != "" {
			t.Errorf("stdout (-want +got):\n%s", diff)
		}
	})
	t.Run("bad, as JSON", func(t *testing.T) {
		out := inDir(t, manyDir, "check", "--json", "-c", manyConfig)
		wantExit(t, out, 2)
		var got checkReport
		decodeOne(t, out.stdout, &got)
		var lines strings.Builder
		for _, p := range got.Problems {
			fmt.Fprintf(&lines, "%s:%d: %s: %s: %s\n", p.File, p.Line, p.Path, p.What, p.Fix)
		}
		if diff := cmp.Diff(manyProblems(t), lines.String()); diff != "" || got.OK {
			t.Errorf("ok %t, want false; problems (-want +got):\n%s", got.OK, diff)
		}
	})
	t.Run("missing", func(t *testing.T) {
		out := op25b(t, nil, "check", "-c", "/nonexistent/op25b.yaml")
		wantExit(t, out, 2)
		wantWords(t, out.stderr, "/nonexistent/op25b.yaml", "no such file")
	})
	t.Run("named by OP25B_CONFIG", func(t *testing.T) {
		needRoot(t)
		cmd := exec.Command(binaryPath, "check")
		cmd.Env = append(os.Environ(), "OP25B_CONFIG="+goodConfig)
		wantWords(t, runCmd(t, nil, cmd).stdout, goodConfig+": ok")
	})
}

// inDir runs op25b in a directory.
func inDir(t *testing.T, dir string, args ...string) output {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(binaryPath, args...)
	cmd.Dir = dir
	return runCmd(t, nil, cmd)
}

// manyProblems is what must be said about manyConfig.
func manyProblems(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(manyDir, strings.TrimSuffix(manyConfig, ".yaml")+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestCheckLive looks at gateways that are ready, not quite, and not at all.
func TestCheckLive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		network lab.Options
		config  lab.ConfigOptions
		prepare func(t *testing.T, n *lab.Network)
		code    int
		check   string // the finding that matters
		level   string
		what    string
		fix     string
	}{
		{name: "ready", code: 0, check: "name op25b-sub", level: "ok", what: "free"},
		{
			name: "no forwarding", network: lab.Options{NoForwarding: true},
			code: 3, check: "ipv4 forwarding", level: "warn", what: "off on", fix: "sysctl -w net.ipv4.ip_forward=1",
		},
		{
			name: "link down", prepare: ipInGateway("link", "set", lab.LinkStatic, "down"),
			code: 3, check: "interface stat0", level: "warn", what: "down", fix: "ip link set dev stat0 up",
		},
		{
			name: "another rule comes first", prepare: ipInGateway("rule", "add", "pref", "100", "from", "100.64.0.0/10", "lookup", "main"),
			code: 3, check: "policy rules", level: "warn", what: "comes first", fix: "forwarding.priority below 100",
		},
		{
			name: "interface absent", config: lab.ConfigOptions{Set: map[string]string{"interfaces.upstream": "wan9"}},
			code: 1, check: "interface wan9", level: "fail", what: "find interface wan9", fix: "this machine has lo, dyn0, stat0, up0",
		},
		{
			name: "name taken", prepare: ipInGateway("link", "add", "op25b-sub", "type", "bridge"),
			code: 1, check: "name op25b-sub", level: "fail", what: "no TUN", fix: "tunnel.subscriber",
		},
		{
			name: "name taken by a TUN that nobody has open", prepare: ipInGateway("tuntap", "add", "dev", "op25b-up", "mode", "tun"),
			code: 1, check: "name op25b-up", level: "fail", fix: "op25b-up",
		},
		{
			name: "running", prepare: func(t *testing.T, n *lab.Network) {
				t.Helper()
				startGateway(t, n, lab.ConfigOptions{})
			},
			code: 0, check: "name op25b-sub", level: "ok", what: "a gateway is running",
		},
		{
			name: "datagrams arrive one by one", prepare: ethtoolInGateway("gro", "on", "rx-udp-gro-forwarding", "off"),
			code: 0, check: "super-packets dyn0", level: "advice", what: "rx-udp-gro-forwarding is off",
			fix: "ethtool -K dyn0 rx-udp-gro-forwarding on",
		},
		{
			name: "all arrive in super-packets", prepare: ethtoolInGateway("gro", "on", "rx-udp-gro-forwarding", "on"),
			code: 0, check: "super-packets dyn0", level: "ok", what: "put together",
		},
		{
			name: "super-packets are chains", prepare: ethtoolInGateway("gro", "on", "rx-udp-gro-forwarding", "on", "rx-gro-list", "on"),
			code: 0, check: "super-packets dyn0", level: "advice", what: "rx-gro-list is on", fix: "ethtool -K dyn0 rx-gro-list off",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, tt.network)
			if tt.prepare != nil {
				tt.prepare(t, n)
			}
			before := kernelState(n.Gateway)
			path := writeConfig(t, n.GatewayConfig(tt.config))

			out := op25b(t, n.Gateway, "check", "--live", "--json", "-c", path)
			wantExit(t, out, tt.code)
			var report checkReport
			decodeOne(t, out.stdout, &report)
			if report.OK != (tt.code == 0) {
				t.Errorf("ok %t with exit code %d", report.OK, tt.code)
			}
			wantFinding(t, report.Live, finding{Check: tt.check, Level: tt.level, What: tt.what, Fix: tt.fix})

			text := op25b(t, n.Gateway, "check", "--live", "-c", path)
			wantExit(t, text, tt.code)
			wantWords(t, text.stdout, tt.level+" "+tt.check+":", tt.what, tt.fix)
			if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
				t.Errorf("check has changed the machine (-before +after):\n%s", diff)
			}
		})
	}
}

// TestCheckLiveNoAdvice gives none where it would not matter.
func TestCheckLiveNoAdvice(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	for name, tt := range map[string]struct {
		features []string
		config   lab.ConfigOptions
	}{
		"a veth as it is":  {[]string{"gro", "off"}, lab.ConfigOptions{}},
		"offload off":      {[]string{"gro", "on"}, lab.ConfigOptions{Offload: "off"}},
		"only mail enters": {[]string{"gro", "on"}, lab.ConfigOptions{Capture: "smtp"}},
	} {
		ethtoolInGateway(tt.features...)(t, n)
		out := op25b(t, n.Gateway, "check", "--live", "-c", writeConfig(t, n.GatewayConfig(tt.config)))
		wantExit(t, out, 0)
		if strings.Contains(out.stdout, "super-packets") {
			t.Errorf("%s: advice about super-packets:\n%s", name, out.stdout)
		}
	}
}

// ethtoolInGateway returns what sets features of the dynamic subscribers' interface.
func ethtoolInGateway(features ...string) func(*testing.T, *lab.Network) {
	return func(t *testing.T, n *lab.Network) {
		t.Helper()
		needTools(t, "ethtool")
		setFeatures(t, n.Gateway, lab.LinkDynamic, strings.Join(features, " "))
	}
}

// ipInGateway returns what runs ip in the gateway.
func ipInGateway(args ...string) func(*testing.T, *lab.Network) {
	return func(t *testing.T, n *lab.Network) {
		t.Helper()
		mustRun(t, n.Gateway, "ip", args...)
	}
}

// wantFinding looks for a finding by its check; its words are parts of what must
// be said. All that is not ok must have an effect and a fix.
func wantFinding(t *testing.T, findings []finding, want finding) {
	t.Helper()
	found := false
	for _, f := range findings {
		if f.Level != "ok" && (f.Effect == "" || f.Fix == "") {
			t.Errorf("%+v lacks an effect or a fix", f)
		}
		if f.Check == want.Check {
			found = true
			if f.Level != want.Level || !strings.Contains(f.What, want.What) || !strings.Contains(f.Fix, want.Fix) {
				t.Errorf("%+v, want %+v", f, want)
			}
		}
	}
	if !found {
		t.Errorf("no finding %q in %+v", want.Check, findings)
	}
}

// explanation is the JSON document of explain.
type explanation struct {
	SchemaVersion int `json:"schema_version"`
	Source        string
	Destination   string
	Action        string
	Reason        string
	Pool          string
	PoolPrefix    string `json:"pool_prefix"`
	Assignment    string
	Relay         string
	RelayPrefix   string `json:"relay_prefix"`
	Text          string
	Customer      string
	CustomerTexts map[string]string `json:"customer_texts"`
	At            time.Time
	Subscriber    string
	Place         float64
	Policy        control.PolicyOrigin
	Holders       []control.Holder
}

func TestExplain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want []string
		not  string
	}{
		{
			name: "dynamic to 25", args: []string{"100.64.0.2", "203.0.113.25"},
			want: []string{
				"100.64.0.2 -> 203.0.113.25:25: reset (blocked_port)", "The connection is refused.", `dynamic pool "residential" (100.64.0.0/10)`,
				"Tell the customer:", "587", "465", "SMTP AUTH", "static address",
			},
		},
		{
			name: "dynamic to 587", args: []string{"100.64.0.2", "203.0.113.25:587"},
			want: []string{"forward (other_port)", "goes through", "policy.ports does not hold 587"}, not: "Tell the customer",
		},
		{
			name: "dynamic to a relay", args: []string{"100.64.0.2", "192.0.2.25:25"},
			want: []string{"forward (relay)", `relay "isp-msa" (192.0.2.25/32)`}, not: "Tell the customer",
		},
		{
			name: "static", args: []string{"100.65.0.2", "203.0.113.25"},
			want: []string{"forward (static)", `static pool "business" (100.65.0.0/24)`, "exempt"}, not: "Tell the customer",
		},
		{
			name: "unlisted", args: []string{"10.0.0.1", "203.0.113.25"},
			want: []string{"drop (spoofed_source)", "in no pool", "forwarding.source_validation is strict", "policy.pools"},
		},
		{
			name: "the gateway", args: []string{"100.64.0.2", "192.0.2.1"},
			want: []string{"local (router)", "tunnel.addresses"},
		},
		{
			name: "dynamic to 25, IPv6", args: []string{"2001:db8:a::7", "2001:db8:cafe::25"},
			want: []string{"[2001:db8:cafe::25]:25: reset (blocked_port)", "(2001:db8:a::/48)", "587", "465", "SMTP AUTH"},
		},
		{
			name: "IPv6 with a port", args: []string{"2001:db8:a::7", "[2001:db8:cafe::25]:465"},
			want: []string{"forward (other_port)", "does not hold 465"},
		},
		{
			name: "IPv4 in IPv6", args: []string{"::ffff:100.64.0.2", "::ffff:203.0.113.25"},
			want: []string{"100.64.0.2 -> 203.0.113.25:25: reset"},
		},
		{
			name: "a destination that nobody forwards to", args: []string{"100.64.0.2", "224.0.0.1"},
			want: []string{"drop (martian_destination)"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := op25b(t, nil, append([]string{"explain", "-c", goodConfig}, tt.args...)...)
			wantExit(t, out, 0)
			wantWords(t, out.stdout, tt.want...)
			if tt.not != "" && strings.Contains(out.stdout, tt.not) {
				t.Errorf("%q is in:\n%s", tt.not, out.stdout)
			}
			var doc explanation
			decodeOne(t, op25b(t, nil, append([]string{"explain", "--json", "-c", goodConfig}, tt.args...)...).stdout, &doc)
			wantWords(t, out.stdout, doc.Text, doc.Customer, doc.Action+" ("+doc.Reason+")")
		})
	}
}

// TestUsage gives command lines that make no sense.
func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"explain", "-c", goodConfig}, "accepts 2 arg(s), received 0"},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2"}, "accepts 2 arg(s), received 1"},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2", "203.0.113.25", "25"}, "accepts 2 arg(s), received 3"},
		{[]string{"explain", "-c", goodConfig, "somebody", "203.0.113.25"}, `SRC "somebody" is no IP address`},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2", "mail.example"}, `DST "mail.example" is no IP address`},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2", "203.0.113.25:smtp"}, "is no IP address"},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2", "203.0.113.25:65536"}, "is no IP address"},
		{[]string{"explain", "-c", goodConfig, "100.64.0.2", "2001:db8::25"}, "different families"},
		{[]string{"run", "fast"}, `"fast"`},
		{[]string{"check", "--fast"}, "unknown flag: --fast"},
		{[]string{"check", "-c"}, "flag needs an argument"},
		{[]string{"demo", "everything"}, `"everything"`},
		{[]string{"routes", "--port", "25"}, "unknown flag: --port"},
		{[]string{"cleanup", "all"}, `"all"`},
		{[]string{"version", "-x"}, "unknown shorthand flag"},
		{[]string{"strat"}, `unknown command "strat"`},
		{[]string{"--version"}, "unknown flag: --version"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			out := op25b(t, nil, tt.args...)
			wantExit(t, out, 2)
			wantWords(t, out.stderr, tt.want, "op25b --help")
			if out.stdout != "" {
				t.Errorf("stdout: %q, want nothing", out.stdout)
			}
		})
	}
}

// TestHelp asks every command for help.
func TestHelp(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"":        {"refuses direct connections to port 25", "op25b demo", "Exit codes:", "run", "check", "explain", "routes", "cleanup", "version"},
		"run":     {"Run the gateway", "SIGHUP", "ready", "--config"},
		"check":   {"--live", "--json", "--config", "Exit codes:"},
		"explain": {"SRC DST[:PORT]", "Examples:", "--json", "--config"},
		"demo":    {"--keep", "--json", "needs root"},
		"routes":  {"Nothing is changed.", "--json", "--config"},
		"cleanup": {"refuses to while a gateway is running", "--json", "--config"},
		"version": {"gVisor", "--json"},
	}
	for command, want := range tests {
		t.Run("op25b "+command, func(t *testing.T) {
			out := op25b(t, nil, append(strings.Fields(command), "--help")...)
			wantExit(t, out, 0)
			wantWords(t, out.stdout, append(want, "Usage:", strings.TrimSpace("op25b "+command))...)
			if out.stderr != "" {
				t.Errorf("stderr: %q, want nothing", out.stderr)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	const gVisor = "v0.0.0-20260905035102-160fafc42237" // what DESIGN pins
	var v struct {
		SchemaVersion int `json:"schema_version"`
		Version       string
		Revision      string
		Modified      bool
		Go            string
		GVisor        string
	}
	decodeOne(t, op25b(t, nil, "version", "--json").stdout, &v)
	if v.SchemaVersion != 1 || v.Version == "" || v.GVisor != gVisor {
		t.Errorf("%+v, want schema_version 1, a version, and gVisor %s", v, gVisor)
	}
	if os.Getenv("OP25B_BINARY") == "" && v.Go != runtime.Version() {
		t.Errorf("go %q, want %q", v.Go, runtime.Version())
	}
	// A program that was built outside a repository, or with -buildvcs=false, knows
	// no revision.
	if head := runIn(t, nil, "git", "rev-parse", "HEAD"); head.code == 0 && os.Getenv("OP25B_BINARY") == "" {
		if want := strings.TrimSpace(head.stdout); v.Revision != want {
			t.Errorf("revision %q, want %q", v.Revision, want)
		}
	}
	text := op25b(t, nil, "version")
	wantExit(t, text, 0)
	wantWords(t, text.stdout, "op25b "+v.Version, "revision "+v.Revision, "go "+v.Go, "gvisor "+gVisor)
}

// TestExplainIsTrue dials what explain was asked about, through a gateway with
// the same configuration.
func TestExplainIsTrue(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startMail(t, n)
	for _, port := range []string{":26", ":2525"} {
		if _, err := n.Internet.Listen("tcp", port); err != nil {
			t.Fatal(err)
		}
	}
	// More subscribers behind the dynamic link: one in a pool that is answered with
	// ICMP, one in a pool that is not answered, one that is exempt in the midst of a
	// dynamic pool, and one in no pool.
	v4, v6 := lab.IPv4.Addrs(), lab.IPv6.Addrs()
	more := []string{
		"100.64.0.3", "100.64.0.4", "100.64.0.5", "10.99.0.2",
		"2001:db8:a:1::3", "2001:db8:a:1::4", "2001:db8:a:1::5", "2001:db8:99::2",
	}
	for _, a := range more {
		addSubscriber(t, n, netip.MustParseAddr(a))
	}
	options := lab.ConfigOptions{Set: map[string]string{
		"tunnel.addresses": `[192.0.2.1, "2001:db8:25::1"]`,
		"policy.ports":     "[25, 2525]",
		"policy.pools": `
    - {name: residential, prefixes: [100.64.0.0/10, "2001:db8:a::/48"], assignment: dynamic}
    - {name: told, prefixes: [100.64.0.3/32, "2001:db8:a:1::3/128"], assignment: dynamic, response: prohibited}
    - {name: ignored, prefixes: [100.64.0.4/32, "2001:db8:a:1::4/128"], assignment: dynamic, response: drop}
    - {name: exempt, prefixes: [100.64.0.5/32, "2001:db8:a:1::5/128"], assignment: static}
    - {name: business, prefixes: [100.65.0.0/24, "2001:db8:a:ffff::/64"], assignment: static}`,
	}}
	g := startGateway(t, n, options)
	row := func(src string, dst netip.Addr, port uint16, action, reason string) explainRow {
		return explainRow{netip.MustParseAddr(src), at(dst, port), action, reason}
	}
	router4, router6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:25::1")

	t.Run("source validation strict", func(t *testing.T) {
		wantTrue(t, n, g.ConfigPath(), []explainRow{
			row("100.64.0.2", v4.MX, 25, "reset", "blocked_port"),
			row("100.64.0.2", v4.MX, 2525, "reset", "blocked_port"),
			row("100.64.0.2", v4.MX, 26, "forward", "other_port"),
			row("100.64.0.2", v4.MX, 465, "forward", "other_port"),
			row("100.64.0.2", v4.MX, 587, "forward", "other_port"),
			row("100.64.0.2", v4.MSA, 25, "forward", "relay"),
			row("100.64.0.2", v4.MSA, 2525, "forward", "relay"),
			row("100.64.0.2", v4.MSA, 587, "forward", "relay"),
			row("100.64.0.2", router4, 25, "local", "router"),
			row("100.64.0.2", router4, 587, "local", "router"),
			row("100.64.0.3", v4.MX, 25, "prohibited", "blocked_port"),
			row("100.64.0.4", v4.MX, 25, "drop", "blocked_port"),
			row("100.64.0.4", v4.MX, 587, "forward", "other_port"),
			row("100.64.0.5", v4.MX, 25, "forward", "static"),
			row("100.65.0.2", v4.MX, 25, "forward", "static"),
			row("100.65.0.2", v4.MX, 2525, "forward", "static"),
			row("10.99.0.2", v4.MX, 25, "drop", "spoofed_source"),
			row("10.99.0.2", v4.MX, 587, "drop", "spoofed_source"),
			row("2001:db8:a:1::2", v6.MX, 25, "reset", "blocked_port"),
			row("2001:db8:a:1::2", v6.MX, 2525, "reset", "blocked_port"),
			row("2001:db8:a:1::2", v6.MX, 587, "forward", "other_port"),
			row("2001:db8:a:1::2", v6.MSA, 25, "forward", "relay"),
			row("2001:db8:a:1::2", router6, 25, "local", "router"),
			row("2001:db8:a:1::3", v6.MX, 25, "prohibited", "blocked_port"),
			row("2001:db8:a:1::4", v6.MX, 25, "drop", "blocked_port"),
			row("2001:db8:a:1::5", v6.MX, 25, "forward", "static"),
			row("2001:db8:a:ffff::2", v6.MX, 25, "forward", "static"),
			row("2001:db8:99::2", v6.MX, 587, "drop", "spoofed_source"),
		})
	})
	t.Run("source validation off", func(t *testing.T) {
		options.SourceValidation = "off"
		reload(t, g, n.GatewayConfig(options))
		wantTrue(t, n, g.ConfigPath(), []explainRow{
			row("10.99.0.2", v4.MX, 25, "forward", "unlisted"),
			row("10.99.0.2", v4.MX, 587, "forward", "unlisted"),
			row("2001:db8:99::2", v6.MX, 25, "forward", "unlisted"),
			row("100.64.0.2", v4.MX, 25, "reset", "blocked_port"),
			row("2001:db8:a:1::2", v6.MX, 25, "reset", "blocked_port"),
		})
	})
}

// addSubscriber gives the dynamic subscriber one more address, and the routers
// the way to it.
func addSubscriber(t *testing.T, n *lab.Network, a netip.Addr) {
	t.Helper()
	host := fmt.Sprintf("%s/%d", a, a.BitLen())
	upstream := lab.IPv4.Addrs().GatewayUpstream
	add := []string{"addr", "add", host, "dev", lab.LinkHost}
	if a.Is6() {
		upstream = lab.IPv6.Addrs().GatewayUpstream
		add = append(add, "nodad")
	}
	mustRun(t, n.Dynamic, "ip", add...)
	mustRun(t, n.Gateway, "ip", "route", "add", host, "dev", lab.LinkDynamic)
	mustRun(t, n.Transit, "ip", "route", "add", host, "via", upstream.String())
}

// explainRow is a connection and what explain must say about it.
type explainRow struct {
	src            netip.Addr
	dst            netip.AddrPort
	action, reason string
}

// wantTrue asks explain about each row, and then tries. The connections are tried
// at the same time: some take as long as a silence.
func wantTrue(t *testing.T, n *lab.Network, config string, rows []explainRow) {
	t.Helper()
	tried := make([]attempt, len(rows))
	var trying sync.WaitGroup
	for i, r := range rows {
		from := n.Dynamic
		if r.src == lab.IPv4.Addrs().Static || r.src == lab.IPv6.Addrs().Static {
			from = n.Static
		}
		trying.Go(func() { tried[i] = dialFrom(t, from, r.src, r.dst) })
	}
	trying.Wait()
	for i, r := range rows {
		var said explanation
		decodeOne(t, op25b(t, nil, "explain", "--json", "-c", config, r.src.String(), r.dst.String()).stdout, &said)
		if said.Action != r.action || said.Reason != r.reason {
			t.Errorf("%s to %s: explain says %s (%s), want %s (%s)", r.src, r.dst, said.Action, said.Reason, r.action, r.reason)
		}
		if want := seenBy(said.Action, r.src); tried[i].outcome != want {
			t.Errorf("%s to %s: explain says %s, which is %q, and the client sees %q", r.src, r.dst, said.Action, want, tried[i].outcome)
		}
	}
}

// seenBy is what a Linux client with the address sees of an action.
func seenBy(action string, client netip.Addr) string {
	switch action {
	case "forward":
		return connected
	case "reset", "local": // nothing listens on the gateway
		return refused
	case "prohibited":
		if client.Is6() {
			return noPermission
		}
		return unreachable
	default:
		return noAnswer
	}
}

// TestRoutes types what routes prints, in a gateway without op25b, and compares
// the kernel with that of a gateway where op25b runs.
func TestRoutes(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "nft", "sysctl")
	tests := []struct {
		name    string
		config  lab.ConfigOptions
		network lab.Options
	}{
		{name: "default"},
		{name: "return path router", config: lab.ConfigOptions{ReturnPath: "router"}},
		{name: "capture smtp", config: lab.ConfigOptions{Capture: "smtp", ReturnPath: "router", Set: map[string]string{"policy.ports": "[25, 2525]"}}},
		{name: "blackhole", config: lab.ConfigOptions{OnExit: "blackhole"}},
		{name: "forward", config: lab.ConfigOptions{OnExit: "forward"}},
		{name: "small MTU, no forwarding", network: lab.Options{UpstreamMTU: 1400, NoForwarding: true}},
		{name: "no IPv6", network: lab.Options{IPv6: lab.IPv6Off}},
		{name: "other names and numbers", config: lab.ConfigOptions{Set: map[string]string{
			"tunnel.subscriber": "below", "tunnel.upstream": "above", "forwarding.table": "1000", "forwarding.priority": "77",
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			running, byHand := newNetwork(t, tt.network), newNetwork(t, tt.network)
			startGateway(t, running, tt.config)
			path := writeConfig(t, running.GatewayConfig(tt.config))

			before := kernelState(byHand.Gateway)
			var doc struct {
				SchemaVersion int `json:"schema_version"`
				Commands      []string
			}
			decodeOne(t, op25b(t, byHand.Gateway, "routes", "--json", "-c", path).stdout, &doc)
			text := op25b(t, byHand.Gateway, "routes", "-c", path)
			wantExit(t, text, 0)
			if want := strings.Join(doc.Commands, "\n") + "\n"; text.stdout != want || text.stderr != "" {
				t.Errorf("stdout and --json differ, or stderr is not empty:\n%s\n%s\n%s", text.stdout, want, text.stderr)
			}
			if diff := cmp.Diff(before, kernelState(byHand.Gateway)); diff != "" {
				t.Errorf("routes has changed the machine (-before +after):\n%s", diff)
			}
			for _, command := range doc.Commands {
				if out := runIn(t, byHand.Gateway, "sh", "-c", command); out.code != 0 {
					t.Errorf("exit code %d: %s\n%s", out.code, command, out.stderr)
				}
			}
			if diff := cmp.Diff(setUp(t, running.Gateway), setUp(t, byHand.Gateway)); diff != "" {
				t.Errorf("the kernel where op25b runs, and the one set up by hand (-run +routes):\n%s", diff)
			}
		})
	}
}

// setUp returns what run and the commands of routes set up, without what must
// differ: a TUN that no process has open has no carrier, and the table whose
// owner is a process says so.
func setUp(t *testing.T, node *lab.Node) []string {
	t.Helper()
	commands := `ip -4 rule
ip -6 rule
ip -4 route show table 25
ip -4 route show table 26
ip -6 route show table 25
ip -6 route show table 26
ip -4 route show table 1000
ip -6 route show table 1000
nft list ruleset
ip addr show to 192.0.0.8 | grep inet
ip -d -o link | grep -w tun | grep -oE ' [a-z0-9-]+: |mtu [0-9]+|addrgenmode [a-z0-9]+|multi_queue|vnet_hdr|POINTOPOINT,[A-Z,]*UP'
sysctl -a -r '^net\.ipv4\.conf\..*\.(forwarding|rp_filter|send_redirects|accept_local)$'
sysctl -a -r '^net\.ipv6\.conf\..*\.(forwarding|disable_ipv6|addr_gen_mode)$'`
	var lines []string
	for command := range strings.Lines(commands) {
		lines = append(lines, "# "+command)
		for line := range strings.Lines(runIn(t, node, "sh", "-c", command).stdout) {
			line = ownerOfTable.ReplaceAllString(line, "$1 {")
			line = strings.ReplaceAll(line, " linkdown", "")
			line = strings.ReplaceAll(line, "NO-CARRIER,", "")
			if line = strings.TrimRight(line, " \n"); line != "" && line != "\tflags owner" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// ownerOfTable matches the name of a table that belongs to a process, and what
// nft adds to it.
var ownerOfTable = regexp.MustCompile(`(table inet op25b_\w+)_\d+ \{.*`)

// TestCleanup cleans up after nothing, after a crash, and not under a running
// gateway.
func TestCleanup(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	untouched := kernelState(n.Gateway)
	cleanup := func(t *testing.T, args ...string) output {
		t.Helper()
		return op25b(t, n.Gateway, append([]string{"cleanup"}, args...)...)
	}
	cleanupJSON := func(t *testing.T) []string {
		t.Helper()
		var doc struct {
			SchemaVersion int `json:"schema_version"`
			Removed       []string
		}
		out := cleanup(t, "--json")
		wantExit(t, out, 0)
		decodeOne(t, out.stdout, &doc)
		return doc.Removed
	}

	t.Run("nothing to do", func(t *testing.T) {
		out := cleanup(t)
		wantExit(t, out, 0)
		if out.stdout != "" || !strings.Contains(out.stderr, "nothing to remove") {
			t.Errorf("stdout %q, want nothing; stderr %q, want %q", out.stdout, out.stderr, "nothing to remove")
		}
		if removed := cleanupJSON(t); removed == nil || len(removed) > 0 {
			t.Errorf("removed %#v, want an empty list", removed)
		}
	})
	t.Run("a gateway is running", func(t *testing.T) {
		// The other gateway, in a namespace of its own, is none of our business.
		startGateway(t, newNetwork(t, lab.Options{}), lab.ConfigOptions{})
		g := startGateway(t, n, lab.ConfigOptions{})
		before := kernelState(n.Gateway)
		out := cleanup(t)
		wantExit(t, out, 1)
		wantWords(t, out.stderr, "a gateway is running", fmt.Sprintf("process %d ", g.Pid()), fmt.Sprintf("kill %d", g.Pid()))
		// Under other names, yet with the same table, it is the same gateway.
		renamed := lab.ConfigOptions{Set: map[string]string{"tunnel.subscriber": "other-sub", "tunnel.upstream": "other-up"}}
		out = cleanup(t, "-c", writeConfig(t, n.GatewayConfig(renamed)))
		wantExit(t, out, 1)
		wantWords(t, out.stderr, "a gateway is running", "op25b-sub")
		if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
			t.Errorf("cleanup under a running gateway has changed the machine (-before +after):\n%s", diff)
		}
	})
	for _, mode := range []lab.ConfigOptions{{}, {ReturnPath: "router"}, {Capture: "smtp"}, {OnExit: "blackhole"}, {OnExit: "forward"}} {
		t.Run(fmt.Sprintf("after kill -9, %+v", mode), func(t *testing.T) {
			cleanup(t)
			g := startGateway(t, n, mode)
			if err := g.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = g.Wait()
			if kernelState(n.Gateway) == untouched {
				t.Error("the crash left nothing: there is nothing to test")
			}
			removed := cleanupJSON(t)
			wantWords(t, strings.Join(removed, "\n"), "ip -4 rule pref 2500", "ip -6 rule pref 2500")
			if mode.OnExit == "" {
				wantWords(t, strings.Join(removed, "\n"), "nft table inet op25b")
			}
			if diff := cmp.Diff(untouched, kernelState(n.Gateway)); diff != "" {
				t.Errorf("cleanup has left something (-before +after):\n%s", diff)
			}
			if again := cleanupJSON(t); len(again) > 0 {
				t.Errorf("the second cleanup removed %q", again)
			}
		})
	}
	t.Run("a TUN that nobody has open", func(t *testing.T) {
		// As `op25b routes` makes them by hand. There is no process to stop.
		mustRun(t, n.Gateway, "ip", "tuntap", "add", "dev", "op25b-sub", "mode", "tun", "multi_queue", "vnet_hdr")
		defer mustRun(t, n.Gateway, "ip", "link", "del", "op25b-sub")
		out := cleanup(t)
		wantExit(t, out, 1)
		wantWords(t, out.stderr, "op25b-sub")
		if strings.Contains(out.stderr, "kill 0") || strings.Contains(out.stderr, "process 0") {
			t.Errorf("it names a process that does not exist: %s", out.stderr)
		}
	})
	t.Run("after a clean stop the guard is left", func(t *testing.T) {
		g := startGateway(t, n, lab.ConfigOptions{})
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"nft table inet op25b"}, cleanupJSON(t)); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(untouched, kernelState(n.Gateway)); diff != "" {
			t.Errorf("stop and cleanup have left something (-before +after):\n%s", diff)
		}
	})
}
