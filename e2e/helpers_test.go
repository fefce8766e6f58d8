// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"op25b/lab"
)

const (
	// patience is how long a test waits for what takes milliseconds on a machine
	// with nothing else to do.
	patience = 20 * time.Second
	// atOnce is the longest time in which an answer is still one to the first
	// packet: a client repeats an unanswered SYN after a second.
	atOnce = 900 * time.Millisecond
	// silence is how long a test waits before it believes that nobody answers. It
	// is longer than one repetition of a SYN.
	silence = 2500 * time.Millisecond
)

// lack skips the test, loudly; in CI it fails.
func lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI lacks %s", what)
	}
	t.Skipf("SKIPPED, NOTHING TESTED: needs %s", what)
}

// needRoot skips a test that builds namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lack(t, "root")
	}
}

// needTools skips a test that runs programs which this machine lacks.
func needTools(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lack(t, tool+" (make deps installs it)")
		}
	}
}

// newNetwork builds a network for the test and removes it after it.
func newNetwork(t testing.TB, opts lab.Options) *lab.Network {
	t.Helper()
	needRoot(t)
	n, err := lab.New(opts)
	if err != nil {
		t.Fatalf("build network: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("remove network: %v", err)
		}
	})
	return n
}

// startGateway runs op25b in the network until the end of the test or until it is
// stopped. When the test has failed by then, it prints the log and the gateway's
// kernel state.
func startGateway(t testing.TB, n *lab.Network, opts lab.ConfigOptions) *lab.Gateway {
	t.Helper()
	return startGatewayWith(t, n, n.GatewayConfig(opts))
}

// startGatewayWith is startGateway with a configuration file of the test's own.
func startGatewayWith(t testing.TB, n *lab.Network, config string) *lab.Gateway {
	t.Helper()
	g, err := n.StartGateway(t.Context(), binaryPath, config, nil)
	if err != nil {
		t.Fatalf("start gateway: %v\nstate of the gateway's kernel:\n%s", err, routingState(n.Gateway))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of gateway %d:\n%s", g.Pid(), g.Logs())
			t.Logf("state of the gateway's kernel:\n%s", routingState(n.Gateway))
		}
		select {
		case <-g.Done():
		default:
			stopConserved(t, g)
		}
	})
	return g
}

// output is what a program said and how it ended.
type output struct {
	stdout, stderr string
	code           int // its exit code; -1: killed
	took           time.Duration
}

// runIn runs a program to its end in the node, or on the machine itself when node
// is nil. Any exit code is fine; one that does not end is killed and fails the
// test.
func runIn(t testing.TB, node *lab.Node, name string, args ...string) output {
	t.Helper()
	return runCmd(t, node, exec.Command(name, args...))
}

// runCmd is runIn for a command with input, environment or directory.
func runCmd(t testing.TB, node *lab.Node, cmd *exec.Cmd) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = patience // children of Postfix's have it a while longer
	begun := time.Now()
	wait, err := launch(node, cmd)
	if err != nil {
		t.Fatalf("run %s: %v", cmd, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = wait()
	}()
	select {
	case <-ended:
	case <-time.After(3 * patience):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("%s does not end\n%s%s", cmd, &stdout, &stderr)
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("run %s: %v", cmd, err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(begun)}
}

// launch starts a command in the node, or on the machine itself, and returns what
// waits for its end.
func launch(node *lab.Node, cmd *exec.Cmd) (wait func() error, err error) {
	if node == nil {
		return cmd.Wait, cmd.Start()
	}
	p, err := node.Start(cmd)
	if err != nil {
		return nil, err
	}
	return p.Wait, nil
}

// mustRun is runIn for a program that must succeed; it returns what it wrote to
// its standard output.
func mustRun(t testing.TB, node *lab.Node, name string, args ...string) string {
	t.Helper()
	out := runIn(t, node, name, args...)
	if out.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), out.code, out.stdout, out.stderr)
	}
	return out.stdout
}

// op25b runs the program under test to its end, in the node or, with nil, on the
// machine itself.
func op25b(t testing.TB, node *lab.Node, args ...string) output {
	t.Helper()
	needRoot(t)
	return runIn(t, node, binaryPath, args...)
}

// program is a program that runs beside the test.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed at its end
	err   error         // valid once ended is closed

	mu   sync.Mutex
	said bytes.Buffer // both outputs
	more chan struct{}
}

// start runs a program beside the test, in the node or on the machine itself. It
// is killed at the end of the test unless it has ended before.
func start(t testing.TB, node *lab.Node, name string, args ...string) *program {
	t.Helper()
	return startCmd(t, node, exec.Command(name, args...))
}

// startCmd is start for a command with input, environment or directory.
func startCmd(t testing.TB, node *lab.Node, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{cmd: cmd, ended: make(chan struct{}), more: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p
	}
	cmd.WaitDelay = time.Second
	wait, err := launch(node, cmd)
	if err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	go func() {
		defer close(p.ended)
		p.err = wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd, p.output())
		}
	})
	return p
}

// Write keeps what the program says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.said.Write(b)
}

// output returns what the program has said so far.
func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// waitOutput waits until the program has said text.
func (p *program) waitOutput(t testing.TB, text string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		more, said := p.more, strings.Contains(p.said.String(), text)
		p.mu.Unlock()
		if said {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if !strings.Contains(p.output(), text) {
				t.Fatalf("%s ended (%v) before it said %q:\n%s", p.cmd, p.err, text, p.output())
			}
		case <-timeout:
			t.Fatalf("%s has not said %q:\n%s", p.cmd, text, p.output())
		}
	}
}

// signal sends a signal, waits for the end and returns the exit code.
func (p *program) signal(t testing.TB, sig os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %s: %v", p.cmd, err)
	}
	return p.wait(t)
}

// wait waits for the end and returns the exit code.
func (p *program) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s does not end:\n%s", p.cmd, p.output())
		return -1
	}
}

// What a client sees when it dials.
const (
	connected    = "connected"
	refused      = "connection refused"     // ECONNREFUSED
	unreachable  = "no route to host"       // EHOSTUNREACH
	noPermission = "permission denied"      // EACCES
	noAnswer     = "timeout"                // nothing came within the time
	noNetwork    = "network is unreachable" // ENETUNREACH
)

// attempt is the outcome of a dial.
type attempt struct {
	outcome string // one of those above, or the error
	took    time.Duration
}

// dial opens a TCP connection from the node, closes it again, and says what the
// client saw. It waits for silence at most.
func dial(t testing.TB, node *lab.Node, to netip.AddrPort) attempt {
	t.Helper()
	return dialFrom(t, node, netip.Addr{}, to)
}

// dialFrom is dial from one of the node's addresses; the zero value leaves the
// choice to the kernel.
func dialFrom(t testing.TB, node *lab.Node, from netip.Addr, to netip.AddrPort) attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	dialer := &net.Dialer{}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(at(from, 0))
	}
	begun := time.Now()
	err := node.Do(func() error {
		conn, err := dialer.DialContext(ctx, "tcp", to.String())
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return attempt{outcomeOf(err), time.Since(begun)}
}

func outcomeOf(err error) string {
	var netErr net.Error
	switch {
	case err == nil:
		return connected
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.EHOSTUNREACH):
		return unreachable
	case errors.Is(err, syscall.EACCES):
		return noPermission
	case errors.Is(err, syscall.ENETUNREACH):
		return noNetwork
	case errors.As(err, &netErr) && netErr.Timeout():
		return noAnswer
	default:
		return err.Error()
	}
}

// wantRefused dials and fails the test unless the connection is refused at once.
// It returns how long that took.
func wantRefused(t testing.TB, node *lab.Node, to netip.AddrPort) time.Duration {
	t.Helper()
	got := dial(t, node, to)
	if got.outcome != refused || got.took > atOnce {
		t.Errorf("%s to %s: %s after %s, want %s at once", node.Name(), to, got.outcome, got.took, refused)
	}
	return got.took
}

// wantConnected dials and fails the test unless the connection comes up.
func wantConnected(t testing.TB, node *lab.Node, to netip.AddrPort) {
	t.Helper()
	if got := dial(t, node, to); got.outcome != connected {
		t.Errorf("%s to %s: %s after %s, want %s", node.Name(), to, got.outcome, got.took, connected)
	}
}

// kill kills the gateway and waits until its interfaces are gone. The kernel takes
// them down in the background, and what is sent in the meantime is lost.
func kill(t testing.TB, n *lab.Network, g *lab.Gateway) {
	t.Helper()
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the interfaces of the killed gateway to go", func() bool {
		for _, name := range []string{"op25b-sub", "op25b-up"} {
			if _, err := n.Gateway.Netlink().LinkByName(name); err == nil {
				return false
			}
		}
		return true
	})
}

// eventually waits until ok says so, and fails the test when it does not within
// patience. The interval only bounds the load.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	const interval = 20 * time.Millisecond
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// at is short for an address with a port.
func at(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }

// What changes by itself: how long what was learned lives, who has tried often of late,
// and what netfilter has counted.
var (
	expiry   = regexp.MustCompile(`(expires|valid_lft|preferred_lft) \d+sec`)
	tried    = regexp.MustCompile(`\s*elements = \{[^}]*limit rate[^}]*\}`)
	counters = regexp.MustCompile(`counter packets \d+ bytes \d+`)
)

// steady leaves out what changes by itself.
func steady(state []byte) []byte {
	state = expiry.ReplaceAll(state, []byte("$1"))
	state = tried.ReplaceAll(state, nil)
	return counters.ReplaceAll(state, []byte("counter"))
}

// kernelState returns all that op25b may change in a node, or on the machine
// itself when node is nil, as the usual tools print it: links, addresses, rules,
// routes, netfilter and sysctls. Two states can be compared.
func kernelState(node *lab.Node) string {
	return toolsSay(node, "ip -d link") + routingState(node) + toolsSay(node, `sysctl -a -r ^net\.ipv[46]\.(conf\.|ip_forward)`)
}

// routingState is the part of it that tells what happens to packets.
func routingState(node *lab.Node) string {
	return toolsSay(node, "ip addr", "ip -4 rule", "ip -6 rule",
		"ip -4 route show table all", "ip -6 route show table all", "nft list ruleset")
}

// toolsSay runs commands and returns what they print, under their names.
func toolsSay(node *lab.Node, commands ...string) string {
	var b strings.Builder
	for _, command := range commands {
		b.WriteString("# " + command + "\n" + toolSays(node, command))
	}
	return b.String()
}

// toolSays runs a command until it prints the same twice in a row. What tools show of
// the kernel is put together from many answers, and other tests' namespaces come and go
// between them: the name of a veth's other namespace is looked up, a dump is cut short.
func toolSays(node *lab.Node, command string) string {
	const tries = 5
	said := sayOnce(node, command)
	for range tries {
		again := sayOnce(node, command)
		if again == said {
			break
		}
		said = again
	}
	return said
}

func sayOnce(node *lab.Node, command string) string {
	words := strings.Fields(command)
	cmd := exec.Command(words[0], words[1:]...)
	var out []byte
	var err error
	if node == nil {
		out, err = cmd.Output()
	} else {
		out, err = node.Output(cmd)
	}
	said := string(steady(out))
	if err != nil {
		said += err.Error() + "\n"
	}
	return said
}
