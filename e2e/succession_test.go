// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/control"
	"op25b/lab"
)

// successionRate is in datagrams a second and direction.
const successionRate = 10_000

// TestSuccession has one gateway follow another, with reloads in between, under a
// stream of numbered datagrams: none is lost, none comes twice, and port 25 is
// never open.
//
// Settings: OP25B_SUCCESSIONS (4), OP25B_RELOADS in all (40).
func TestSuccession(t *testing.T) {
	successions, reloads := benchSetting(t, "OP25B_SUCCESSIONS", 4), benchSetting(t, "OP25B_RELOADS", 40)
	for _, returnPath := range []string{"kernel", "router"} {
		t.Run(returnPath, func(t *testing.T) {
			n := newNetwork(t, lab.Options{})
			config := n.GatewayConfig(lab.ConfigOptions{ReturnPath: returnPath})
			g := newLineage(t, n, config)
			before := g.resources(t)
			door := startDoorman(t, n)
			stream := sendSequence(t, n, successionRate)
			for i := range successions {
				for range reloads / successions {
					g.reload(t)
				}
				if i == 1 { // the first successor, once it is about its business
					before = g.resources(t)
				}
				g.succeed(t)
			}
			stream.wantWhole(t)
			door.end(t)
			t.Logf("dropped in front of the gateway: %.0f", droppedAtTUN(t, n))
			g.wantNoMore(t, resources{before.descriptors, before.threads + 4})
			g.stopConserved(t)
		})
	}
}

// TestSuccessionFails has successors that cannot be: the gateway goes on.
func TestSuccessionFails(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{}))
	with := func(key, value string) string {
		return n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{key: value}})
	}
	stream := sendSequence(t, n, 1000)
	for _, bad := range []struct{ name, config, says string }{
		{"broken file", "interfaces: [", "op25b.yaml"},
		{"other interface names", with("tunnel.subscriber", "op25b-sub2"), "it has no interface op25b-sub2"},
		{"no such interface", with("interfaces.upstream", "nothere"), "nothere"},
	} {
		path := filepath.Join(t.TempDir(), "op25b.yaml")
		if err := os.WriteFile(path, []byte(bad.config), 0o600); err != nil {
			t.Fatal(err)
		}
		out := op25b(t, n.Gateway, "run", "--takeover", "-c", path)
		if out.code == 0 || !strings.Contains(out.stderr, bad.says) {
			t.Errorf("%s: exit %d, %s", bad.name, out.code, out.stderr)
		}
		wantPolicy(t, n)
	}
	if s := g.status(t); s.State != control.StateOK || s.Policy.Generation != 1 || s.PID != g.pid {
		t.Errorf("%+v", s)
	}
	stream.wantWhole(t)
	g.stopConserved(t)
}

// TestSuccessionOfAnotherPolicy has the successor block one more port. The kernel's
// guard is the successor's, too.
func TestSuccessionOfAnotherPolicy(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{}))
	echo := at(lab.IPv4.Addrs().Internet, lab.PortEcho)
	wantConnected(t, n.Dynamic, echo)
	ports := fmt.Sprintf("[%d, %d]", lab.PortSMTP, lab.PortEcho)
	config := n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"policy.ports": ports, "forwarding.priority": "2600"}})
	if err := os.WriteFile(g.path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.succeed(t)
	wantRefused(t, n.Dynamic, echo)
	if rules := mustRun(t, n.Gateway, "ip", "rule"); strings.Contains(rules, "2500:") || !strings.Contains(rules, "2600:") {
		t.Errorf("rules are not the successor's:\n%s", rules)
	}
	g.current.signal(t, unix.SIGKILL)
	eventually(t, "the kernel to take over", func() bool { return dial(t, n.Dynamic, echo).outcome == refused })
	wantRefused(t, n.Dynamic, at(lab.IPv4.Addrs().MX, lab.PortSMTP))
	wantConnected(t, n.Static, echo)
}

// TestTakeoverWithoutGateway names the socket and what to type.
func TestTakeoverWithoutGateway(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	path := filepath.Join(t.TempDir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(n.GatewayConfig(lab.ConfigOptions{})), 0o600); err != nil {
		t.Fatal(err)
	}
	out := op25b(t, n.Gateway, "run", "--takeover", "-c", path)
	if out.code != 4 || !strings.Contains(out.stderr, "op25b.sock") {
		t.Errorf("exit %d: %s", out.code, out.stderr)
	}
}

// TestUpgradeBySignal has the gateway start its own successor.
func TestUpgradeBySignal(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{}))
	first := g.status(t)
	stream := sendSequence(t, n, 1000)
	if err := unix.Kill(g.pid, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	var next control.Status
	eventually(t, "a successor", func() bool {
		s, err := g.ask(t)
		next = s
		return err == nil && s.PID != first.PID
	})
	if code := g.current.wait(t); code != 0 {
		t.Errorf("the first one ended with %d", code)
	}
	if next.Policy.Generation != first.Policy.Generation+1 || !next.Interfaces[0].Adopted {
		t.Errorf("%+v", next)
	}
	wantPolicy(t, n)
	stream.wantWhole(t)
	if err := unix.Kill(next.PID, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// It is a child of whoever started the first one: of the service manager, or of us.
	var ended unix.WaitStatus
	if _, err := unix.Wait4(next.PID, &ended, 0, nil); err != nil || ended.ExitStatus() != 0 {
		t.Errorf("the successor ended with %d: %v", ended.ExitStatus(), err)
	}
	if rules := mustRun(t, n.Gateway, "ip", "rule"); strings.Contains(rules, "2500:") {
		t.Errorf("it did not undo what the first one had set up:\n%s", rules)
	}
}

// lineage is a gateway and those that follow it, with one configuration.
type lineage struct {
	network *lab.Network
	path    string
	client  *control.Client
	current *program
	pid     int
}

func newLineage(t testing.TB, n *lab.Network, config string) *lineage {
	t.Helper()
	l := prepareLineage(t, n, config)
	l.run(t)
	return l
}

// prepareLineage writes the configuration.
func prepareLineage(t testing.TB, n *lab.Network, config string) *lineage {
	t.Helper()
	path := filepath.Join(n.Dir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return &lineage{network: n, path: path, client: control.Dial(filepath.Join(n.Dir(), "op25b.sock"))}
}

// run starts a gateway and waits until packets flow through it.
func (l *lineage) run(t testing.TB, more ...string) {
	t.Helper()
	l.current = start(t, l.network.Gateway, binaryPath, append([]string{"run", "-c", l.path}, more...)...)
	l.pid = l.current.cmd.Process.Pid
	l.current.waitOutput(t, `"ready"`)
}

// succeed has a new process take over, and waits for the old one's end.
func (l *lineage) succeed(t testing.TB) {
	t.Helper()
	old := l.current
	l.run(t, "--takeover")
	if code := old.wait(t); code != 0 {
		t.Fatalf("the predecessor ended with %d:\n%s", code, old.output())
	}
}

func (l *lineage) reload(t testing.TB) control.ReloadResult {
	t.Helper()
	result, err := l.client.Reload(t.Context(), control.ReloadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (l *lineage) ask(t testing.TB) (control.Status, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), silence) // it may have been stopped
	defer cancel()
	return l.client.Status(ctx)
}

func (l *lineage) status(t testing.TB) control.Status {
	t.Helper()
	s, err := l.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantNoMore waits until the gateway has no more than that: it looks at the machine and
// answers questions now and then, and has a descriptor more for a moment.
func (l *lineage) wantNoMore(t testing.TB, most resources) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		now := l.resources(t)
		if now.descriptors <= most.descriptors && now.threads <= most.threads {
			return
		}
		if time.Now().After(deadline) {
			files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", l.pid))
			for i, f := range files {
				target, _ := os.Readlink(f)
				files[i] += " " + target
			}
			t.Fatalf("%+v, want no more than %+v:\n%s", now, most, strings.Join(files, "\n"))
		}
	}
}

// resources are what a process may leak.
type resources struct{ descriptors, threads int }

func (l *lineage) resources(t testing.TB) resources {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", l.pid))
	if err != nil {
		t.Fatal(err)
	}
	return resources{descriptors(t, l.pid), len(entries)}
}
