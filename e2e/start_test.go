// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/lab"
)

// TestBadStart starts gateways that cannot run. Each says why and what to do,
// ends with the right code, and leaves the machine as it was.
func TestBadStart(t *testing.T) {
	t.Parallel()
	needTools(t, "unshare", "mount", "setpriv", "mknod")
	const (
		// A mount namespace of its own, where /dev/net is empty.
		withoutDevice = `mount -t tmpfs none /dev/net && exec "$@"`
		// The same, with a device that is root's alone, for somebody who has
		// CAP_NET_ADMIN but is not root.
		othersDevice = `mount -t tmpfs none /dev/net && mknod -m 600 /dev/net/tun c 10 200 && chown root:root /dev/net/tun &&
			exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin "$@"`
		// A device node without a driver behind it.
		deadDevice = `mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 252 && exec "$@"`
	)
	absent := func(key, value string) lab.ConfigOptions {
		return lab.ConfigOptions{Set: map[string]string{key: value}}
	}
	tests := []struct {
		name    string
		config  lab.ConfigOptions
		prepare func(t *testing.T, n *lab.Network)
		wrap    []string // what starts op25b
		code    int
		says    []string
		not     string
	}{
		{
			name: "no device", wrap: []string{"unshare", "-m", "sh", "-c", withoutDevice, "sh"},
			code: 1, says: []string{"open /dev/net/tun: no such file or directory", "modprobe tun", "--device /dev/net/tun"},
		},
		{
			name: "a device without a driver", wrap: []string{"unshare", "-m", "sh", "-c", deadDevice, "sh"},
			code: 1, says: []string{"open /dev/net/tun:", "modprobe tun"},
		},
		{
			name: "no permission for the device", wrap: []string{"unshare", "-m", "sh", "-c", othersDevice, "sh"},
			code: 5, says: []string{"open /dev/net/tun: permission denied", "run as root", "DeviceAllow=/dev/net/tun rw"},
		},
		{
			name: "no CAP_NET_ADMIN", wrap: []string{"setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"},
			code: 5, says: []string{"op25b-sub", "operation not permitted", "run as root", "CAP_NET_ADMIN"},
		},
		{
			name: "neither root nor capabilities", wrap: []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"},
			code: 5, says: []string{"run as root", "CAP_NET_ADMIN"},
		},
		{
			name: "upstream interface absent", config: absent("interfaces.upstream", "wan9"),
			code: 1, says: []string{"find interface wan9", "this machine has lo, dyn0, stat0, up0"},
		},
		{
			name: "subscriber interface absent", config: absent("interfaces.subscriber", "[dyn0, lan9]"),
			code: 1, says: []string{"find interface lan9", "this machine has lo, dyn0, stat0, up0"},
		},
		{
			name: "a veth has the name", prepare: ipInGateway("link", "add", "op25b-sub", "type", "veth", "peer", "name", "other"),
			code: 1, says: []string{"op25b-sub", "an interface named op25b-sub exists already", "tunnel.subscriber"}, not: "process",
		},
		{
			name: "a bridge has the other name", prepare: ipInGateway("link", "add", "op25b-up", "type", "bridge"),
			code: 1, says: []string{"op25b-up", "an interface named op25b-up exists already", "tunnel.upstream"}, not: "process",
		},
		{
			name: "a TUN that nobody has open has the name", prepare: ipInGateway("tuntap", "add", "dev", "op25b-sub", "mode", "tun"),
			code: 1, says: []string{"op25b-sub", "tunnel.subscriber"}, not: "process",
		},
		{
			name: "a bridge has the name, and another namespace a gateway", prepare: func(t *testing.T, n *lab.Network) {
				t.Helper()
				startGateway(t, newNetwork(t, lab.Options{}), lab.ConfigOptions{})
				mustRun(t, n.Gateway, "ip", "link", "add", "op25b-sub", "type", "bridge")
			},
			code: 1, says: []string{"an interface named op25b-sub exists already"}, not: "process",
		},
		{
			name: "a file with mistakes", config: lab.ConfigOptions{Capture: "some", ReturnPath: "rooter", Hop: "jump"},
			code: 2, says: []string{
				`forwarding.capture: unknown value "some"`, `forwarding.return_path: unknown value "rooter"`, `forwarding.hop: unknown value "jump"`,
			},
		},
		{
			name: "an offload that the operator insists on and cannot have", config: lab.ConfigOptions{Offload: "on", Set: map[string]string{"tunnel.mtu": "1000"}},
			code: 2, says: []string{"tunnel.mtu: 1000 bytes are out of range"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			if tt.prepare != nil {
				tt.prepare(t, n)
			}
			path := writeConfig(t, n.GatewayConfig(tt.config))
			openToAll(t, path)
			wantBadStart(t, n, append(tt.wrap, binaryPath, "run", "-c", path), tt.code, tt.says, tt.not)
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		n := newNetwork(t, lab.Options{})
		wantBadStart(t, n, []string{binaryPath, "run", "-c", "/nonexistent/op25b.yaml"}, 2, []string{"/nonexistent/op25b.yaml", "no such file"}, "")
	})
	t.Run("a file with mistakes of every kind", func(t *testing.T) {
		t.Parallel()
		out := inDir(t, manyDir, "run", "-c", manyConfig)
		wantExit(t, out, 2)
		if want := "op25b: " + manyProblems(t); out.stderr != want || out.stdout != "" {
			t.Errorf("stderr (-want +got):\n%s\nstdout: %q", cmp.Diff(want, out.stderr), out.stdout)
		}
	})
}

// openToAll lets nobody read a file of the test: testing's directories are the
// owner's alone.
func openToAll(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); strings.Contains(dir, "Test"); dir = filepath.Dir(dir) {
		mustRun(t, nil, "chmod", "711", dir)
	}
}

// wantBadStart runs a command in the gateway that must fail.
func wantBadStart(t *testing.T, n *lab.Network, command []string, code int, says []string, not string) {
	t.Helper()
	before := kernelState(n.Gateway)
	out := runIn(t, n.Gateway, command[0], command[1:]...)
	wantExit(t, out, code)
	wantWords(t, out.stderr, says...)
	if not != "" && strings.Contains(lastLine(out.stderr), not) {
		t.Errorf("%q is in: %s", not, lastLine(out.stderr))
	}
	if out.stdout != "" {
		t.Errorf("stdout: %q, want nothing", out.stdout)
	}
	if diff := cmp.Diff(before, kernelState(n.Gateway)); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// TestSecondGateway starts a second gateway where one runs.
func TestSecondGateway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		second lab.ConfigOptions
		says   func(first *lab.Gateway) []string
	}{
		{name: "with the same configuration", says: func(first *lab.Gateway) []string {
			return []string{fmt.Sprintf("process %d has the interface op25b-sub", first.Pid()), "stop it"}
		}},
		{
			name:   "with other names for the tunnels, and the same table",
			second: lab.ConfigOptions{Set: map[string]string{"tunnel.subscriber": "second-sub", "tunnel.upstream": "second-up"}},
			says:   func(*lab.Gateway) []string { return []string{"a gateway runs here already", "op25b-sub"} },
		},
		{
			name: "with other names for the tunnels, and another table",
			second: lab.ConfigOptions{Set: map[string]string{
				"tunnel.subscriber": "second-sub", "tunnel.upstream": "second-up", "forwarding.table": "125",
			}},
			says: func(*lab.Gateway) []string { return []string{"a gateway runs here already", "op25b-sub"} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Somebody else's gateway, which must not be taken for this one.
			startGateway(t, newNetwork(t, lab.Options{}), lab.ConfigOptions{})
			n := newNetwork(t, lab.Options{})
			startMail(t, n)
			first := startGateway(t, n, lab.ConfigOptions{})
			path := writeConfig(t, n.GatewayConfig(tt.second))
			wantBadStart(t, n, []string{"timeout", "5", binaryPath, "run", "-c", path}, 1, tt.says(first), "")
			for _, f := range n.Families() {
				wantRefused(t, n.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
				wantConnected(t, n.Static, at(f.Addrs().MX, lab.PortSMTP))
			}
			if n := countLog(t, first, "something on this machine removed or changed what op25b set up; put back"); n > 0 {
				t.Error("the second gateway has taken away what the first had set up")
			}
		})
	}
}

// TestReload changes the policy of a running gateway.
func TestReload(t *testing.T) {
	t.Parallel()
	for _, capture := range []string{"all", "smtp"} {
		t.Run("capture "+capture, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startMail(t, n)
			r := &reloading{Network: n, base: lab.ConfigOptions{Capture: capture}}
			r.gateway = startGateway(t, n, r.base)
			r.want(t, refused)

			// A prefix moves from dynamic to static, and back.
			if line := reload(t, r.gateway, r.config(staticForDynamic)); line["generation"] == nil || line["pools"] != 3.0 {
				t.Errorf("the gateway says %v, want a generation and 3 pools", line)
			}
			r.want(t, connected)
			r.wantGuard(t, false)
			reload(t, r.gateway, r.config(""))
			r.want(t, refused)
			r.wantGuard(t, true)

			r.wantKept(t)
		})
	}
}

// reloading is a gateway whose configuration changes.
type reloading struct {
	*lab.Network
	base    lab.ConfigOptions
	gateway *lab.Gateway
}

// staticForDynamic is a pool that holds the dynamic subscriber.
const staticForDynamic = `
    - {name: moved, prefixes: [100.64.0.2/32, "2001:db8:a:1::/64"], assignment: static}`

// config returns the configuration with one more pool.
func (r *reloading) config(pool string) string {
	return strings.Replace(r.GatewayConfig(r.base), "\n    - {name: business", pool+"\n    - {name: business", 1)
}

// want dials port 25 from the dynamic subscriber, and checks that nobody else's
// lot has changed.
func (r *reloading) want(t *testing.T, outcome string) {
	t.Helper()
	for _, f := range r.Families() {
		wantOutcome(t, r.Dynamic, at(f.Addrs().MX, lab.PortSMTP), outcome)
		wantConnected(t, r.Dynamic, at(f.Addrs().MX, lab.PortSubmission))
		wantConnected(t, r.Dynamic, at(f.Addrs().MSA, lab.PortSMTP))
		wantConnected(t, r.Static, at(f.Addrs().MX, lab.PortSMTP))
	}
}

// wantGuard asks nft whether the kernel's guard refuses the dynamic subscriber.
func (r *reloading) wantGuard(t *testing.T, refuses bool) {
	t.Helper()
	for set, addr := range map[string]netip.Addr{"sources4": lab.IPv4.Addrs().Dynamic, "sources6": lab.IPv6.Addrs().Dynamic} {
		out := runIn(t, r.Gateway, "nft", "get", "element", "inet", "op25b", set, "{ "+addr.String()+" }")
		if got := out.code == 0; got != refuses {
			t.Errorf("%s is in the guard's %s: %t, want %t\n%s", addr, set, got, refuses, out.stderr)
		}
	}
}

// wantKept reloads configurations that must not come into force: the old policy
// stays, and each problem is in the log.
func (r *reloading) wantKept(t *testing.T) {
	t.Helper()
	const kept = "reload refused: the old policy stays in force"
	good := r.config(staticForDynamic) // would open port 25
	type refusal struct {
		name   string
		config string
		says   []string
	}
	tests := []refusal{
		{
			"mistakes", strings.NewReplacer("assignment: dynamic", "assignment: dynamc", "[25]", "[25, 70000]").Replace(good),
			[]string{`unknown value "dynamc"`, "70000 is not a port"},
		},
		{"no YAML", good + "\n\t{", []string{"op25b.yaml"}},
		{"another interface", strings.Replace(good, "upstream: up0", "upstream: up1", 1), []string{"interfaces.upstream cannot change"}},
		{
			"another interface and another table",
			strings.Replace(good, "subscriber: [dyn0, stat0]", "subscriber: [dyn0]", 1) + "tunnel: {mtu: 1400}\n",
			[]string{"interfaces.subscriber, tunnel.mtu cannot change"},
		},
		{"no dynamic pool", strings.ReplaceAll(good, "assignment: dynamic", "assignment: static"), []string{"no dynamic"}},
	}
	if r.base.Capture == "smtp" { // there the ports are routing rules as well
		tests = append(tests, refusal{"another port", strings.Replace(good, "[25]", "[25, 2525]", 1), []string{"policy.ports cannot change"}})
	}
	before := kernelState(r.Gateway)
	for _, tt := range tests {
		line := reloadUntil(t, r.gateway, tt.config, kept)
		said := fmt.Sprint(line["problems"], line["error"])
		for _, want := range tt.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not in %q", tt.name, want, said)
			}
		}
		if line["level"] != "error" || line["generation"] == nil {
			t.Errorf("%s: the gateway says %v, want an error with the generation in force", tt.name, line)
		}
		r.want(t, refused)
	}
	if diff := cmp.Diff(before, kernelState(r.Gateway)); diff != "" {
		t.Errorf("reloads that were refused have changed the kernel (-before +after):\n%s", diff)
	}
}

// reload puts a configuration in force and returns what the gateway says of it.
func reload(t *testing.T, g *lab.Gateway, config string) lab.LogLine {
	t.Helper()
	return reloadUntil(t, g, config, "reloaded")
}

// reloadUntil hands the gateway a new configuration, sends SIGHUP and waits for
// its word on it. A message is logged once a second at most, so SIGHUP is sent
// again when the first was too soon after another: reading the same file twice
// changes nothing.
func reloadUntil(t *testing.T, g *lab.Gateway, config, message string) lab.LogLine {
	t.Helper()
	const again = 1200 * time.Millisecond
	if err := g.WriteConfig(config); err != nil {
		t.Fatal(err)
	}
	seen := countLog(t, g, message)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err := g.Reload(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), again)
		line, err := g.WaitLog(ctx, message, seen+1)
		cancel()
		if err == nil {
			return line
		}
	}
	t.Fatalf("the gateway does not say %q", message)
	return nil
}

// logLines returns what the gateway has logged so far.
func logLines(t *testing.T, log string) []lab.LogLine {
	t.Helper()
	var lines []lab.LogLine
	for text := range strings.Lines(log) {
		var line lab.LogLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("read log line %q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

func countLog(t *testing.T, g *lab.Gateway, message string) int {
	t.Helper()
	n := 0
	for _, line := range logLines(t, g.Logs()) {
		if line.Message() == message {
			n++
		}
	}
	return n
}

// TestLog reads the log of a whole life, in which a thousand connections are
// refused.
func TestLog(t *testing.T) {
	t.Parallel()
	const attempts = 1000
	n := newNetwork(t, lab.Options{})
	g := startGateway(t, n, lab.ConfigOptions{})
	mx := at(lab.IPv4.Addrs().MX, lab.PortSMTP)
	begun := time.Now()
	refusals := 0
	for range attempts {
		if dial(t, n.Dynamic, mx).outcome == refused {
			refusals++
		}
	}
	took := time.Since(begun)
	// Above a rate, a subscriber's SYN gets its answer only when it is repeated.
	t.Logf("%d of %d connections were refused in %s, %s each", refusals, attempts, took, took/attempts)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}

	lines := logLines(t, g.Logs())
	messages := map[string]int{}
	for _, line := range lines {
		messages[line.Message()]++
		when, _ := line["ts"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z07:00", when); err != nil {
			t.Errorf("time %q: %v", when, err)
		}
		if level, _ := line["level"].(string); !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
			t.Errorf("level %q in %v", level, line)
		}
	}
	if few := 10; len(lines) > few {
		t.Errorf("%d lines, want %d at most:\n%s", len(lines), few, g.Logs())
	}
	for _, once := range []string{"starting", "ready", "stopped"} {
		if messages[once] != 1 {
			t.Errorf("%d lines %q, want one", messages[once], once)
		}
	}
	ready, _ := g.WaitLog(t.Context(), "ready", 1)
	want := lab.LogLine{
		"subscriber": []any{"dyn0", "stat0"}, "upstream": "up0", "capture": "all", "return_path": "kernel",
		"mtu": 1500.0, "generation": 1.0, "level": "info", "msg": "ready",
	}
	for key, value := range want {
		if diff := cmp.Diff(value, ready[key]); diff != "" {
			t.Errorf("ready: %s (-want +got):\n%s", key, diff)
		}
	}
	if queues, ok := ready["queues"].(float64); !ok || queues < 1 {
		t.Errorf("ready: queues %v, want a number", ready["queues"])
	}
	stopped, _ := g.WaitLog(t.Context(), "stopped", 1)
	if got := countOf(stopped, "packets", "outbound", "answered_reset"); got != attempts || refusals != attempts {
		t.Errorf("%d of %d connections were refused, %v counted: %v", refusals, attempts, got, stopped)
	}
	if remains, _ := stopped["remains"].(string); !strings.Contains(remains, "refuses the blocked ports") || !strings.Contains(remains, "op25b cleanup") {
		t.Errorf("stopped: remains %q, want what is left and how to lift it", remains)
	}
}

// countOf reads a number from the depths of a log line; 0 when it is not there.
func countOf(line lab.LogLine, path ...string) float64 {
	var value any = map[string]any(line)
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	count, _ := value.(float64)
	return count
}

// TestLogSumsUp waits for the line that sums up refusals: there is one for many.
func TestLogSumsUp(t *testing.T) {
	t.Parallel()
	const attempts = 50
	n := newNetwork(t, lab.Options{})
	g := startGateway(t, n, lab.ConfigOptions{})
	for range attempts {
		wantRefused(t, n.Dynamic, at(lab.IPv6.Addrs().MX, lab.PortSMTP))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	line, err := g.WaitLog(ctx, "connections to blocked ports were refused", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := line["packets_total"]; got != float64(attempts) || line["packets"] != got {
		t.Errorf("%v, want %d packets and the same in total", line, attempts)
	}
}

// TestSilentTunnels looks at what a gateway counts to which nobody speaks: the
// kernel must not send anything of its own into the tunnels.
func TestSilentTunnels(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	g := startGateway(t, n, lab.ConfigOptions{ReturnPath: "router"})
	// Multicast listener reports are repeated within seconds (RFC 9777, section 9.11).
	time.Sleep(silence)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped, err := g.WaitLog(t.Context(), "stopped", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, direction := range []string{"outbound", "inbound"} {
		if frames := countOf(stopped, "packets", direction, "frames"); frames != 0 {
			t.Errorf("%v %s frames, want none: %v", frames, direction, stopped)
		}
	}
}

// TestConsoleLog runs a gateway whose log is for people.
func TestConsoleLog(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	path := writeConfig(t, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"log.format": "console"}}))
	var stdout bytes.Buffer
	cmd := exec.Command(binaryPath, "run", "-c", path)
	cmd.Stdout = &stdout
	g := startCmd(t, n.Gateway, cmd)
	g.waitOutput(t, "INFO\tready\t")
	if code := g.signal(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	for line := range strings.Lines(g.output()) {
		if fields := strings.Split(line, "\t"); len(fields) < 3 || json.Valid([]byte(line)) {
			t.Errorf("line %q, want time, level and message in columns", line)
		}
	}
	wantWords(t, g.output(), "INFO starting", "INFO ready", "INFO stopped", `"upstream": "up0"`)
	if stdout.Len() > 0 {
		t.Errorf("stdout: %q, want nothing", &stdout)
	}
}
