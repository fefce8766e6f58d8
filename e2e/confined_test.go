// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
	"op25b/lab"
)

// stranger is a user and group id that no account has.
const stranger = 64025

// stage is what the unit does to the files, in a mount namespace of its own:
// everything read-only but the runtime directory ($1), one device, no processes of
// others. The device has the mode that udev gives it. $2 is the umask.
//
// It is written out and not computed from the unit: TestUnit says that systemd
// knows the keys, and this says that the gateway can live with what they do.
const stage = `set -e
mount -t proc -o hidepid=invisible proc /proc
mount --bind -o ro /proc/sys /proc/sys
mount --bind -o ro /sys /sys
mount -t tmpfs -o mode=755 none /dev/net
mknod -m 666 /dev/net/tun c 10 200
mount --bind "$1" "$1"
mount -o remount,bind,ro /
umask "$2"
shift 2
exec "$@"`

// confinement starts a gateway as the unit would have systemd start it.
type confinement struct {
	unit    serviceUnit
	dir     string // where all below lies
	runtime string // RuntimeDirectory=
	config  string
	calls   string // the file with the allowed system calls
	confine string // tools/confine
	manager *serviceManager
}

func newConfinement(t *testing.T, calls func([]string) []string) *confinement {
	t.Helper()
	needRoot(t)
	needTools(t, "systemd-analyze", "setpriv", "prlimit", "unshare", "mount", "mknod")
	dir := t.TempDir()
	c := &confinement{
		unit: readUnit(t), dir: dir, runtime: filepath.Join(dir, "run"), config: filepath.Join(dir, "op25b.yaml"),
		calls: filepath.Join(dir, "calls"), confine: filepath.Join(dir, "confine"),
	}
	build := exec.Command("go", "build", "-C", "../tools", "-trimpath", "-o", c.confine, "./confine")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	compile(t, build)
	c.write(t, c.calls, strings.Join(calls(c.unit.calls(t)), "\n"), 0o644)
	if err := os.Mkdir(c.runtime, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(c.runtime, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	c.manager = newServiceManager(t, filepath.Join(dir, "notify"))
	openToAll(t, c.config)
	return c
}

// write writes a file that belongs to root and to the gateway's group, as the
// configuration does.
func (c *confinement) write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 0, stranger); err != nil {
		t.Fatal(err)
	}
}

// start starts a gateway with the configuration. What each tool does to itself
// stays with the process, which keeps its id from one program to the next.
func (c *confinement) start(t *testing.T, n *lab.Network, config string) *program {
	t.Helper()
	c.write(t, c.config, config, 0o640)
	command := []string{"unshare", "--mount", "sh", "-c", stage, "sh", c.runtime, c.unit.one(t, "UMask")}
	command = append(command, "prlimit", "--nofile="+c.unit.one(t, "LimitNOFILE"), "--core="+c.unit.one(t, "LimitCORE"), "--")
	command = append(command, "setpriv", fmt.Sprintf("--reuid=%d", stranger), fmt.Sprintf("--regid=%d", stranger), "--clear-groups",
		"--inh-caps="+capabilities(c.unit.one(t, "AmbientCapabilities")),
		"--ambient-caps="+capabilities(c.unit.one(t, "AmbientCapabilities")),
		"--bounding-set="+capabilities(c.unit.one(t, "CapabilityBoundingSet")))
	if c.unit.one(t, "NoNewPrivileges") == "yes" {
		command = append(command, "--no-new-privs")
	}
	families := strings.Join(strings.Fields(c.unit.one(t, "RestrictAddressFamilies")), ",")
	command = append(command, "--", c.confine, "-calls", c.calls, "-families", families)
	command = append(command, c.execStart(t)...)

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+c.manager.path, "WATCHDOG_USEC=5000000")
	cmd.Env = append(cmd.Env, c.unit["Environment"]...)
	return startCmd(t, n.Gateway, cmd)
}

// execStart is the unit's command, with the program and the file of the test.
func (c *confinement) execStart(t *testing.T) []string {
	t.Helper()
	words := strings.Fields(c.unit.one(t, "ExecStart"))
	if words[0] != "/usr/bin/op25b" || !slices.Contains(words, "/etc/op25b/op25b.yaml") {
		t.Fatalf("ExecStart=%s: this test does not know what to start", strings.Join(words, " "))
	}
	words[0] = binaryPath
	words[slices.Index(words, "/etc/op25b/op25b.yaml")] = c.config
	return words
}

// capabilities says to setpriv what systemd calls CAP_NET_ADMIN.
func capabilities(names string) string {
	set := "-all"
	for name := range strings.FieldsSeq(names) {
		set += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	return set
}

// serviceManager hears what the gateway tells systemd (sd_notify(3)).
type serviceManager struct {
	path string
	conn *net.UnixConn
}

func newServiceManager(t *testing.T, path string) *serviceManager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	return &serviceManager{path, conn}
}

// waitFor waits for a message that has the assignment.
func (m *serviceManager) waitFor(t *testing.T, assignment string) {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	for {
		size, err := m.conn.Read(message)
		if err != nil {
			t.Fatalf("wait for %s: %v", assignment, err)
		}
		if slices.Contains(strings.Split(string(message[:size]), "\n"), assignment) {
			return
		}
	}
}

// TestConfined runs a gateway with no more than the unit leaves it, where no
// systemd is. A system call that is missing from the unit's filter ends it, also
// one without which it would only be slower.
func TestConfined(t *testing.T) {
	t.Parallel()
	all := func(calls []string) []string { return calls }
	c := newConfinement(t, all)
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	g := c.start(t, n, n.GatewayConfig(c.options()))
	c.manager.waitFor(t, "FDSTORE=1")
	c.manager.waitFor(t, "READY=1")
	c.manager.waitFor(t, "WATCHDOG=1")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(stranger)
	wantConfined(t, string(status), c.unit, id, id, "")
	wantBothFamilies(t, n)
	wantPolicy(t, n)

	// What is denied by rights and limits, without a signal. The gateway goes on
	// without some things, and says so.
	for _, denied := range []error{syscall.EPERM, syscall.EACCES, syscall.EROFS, syscall.ENOMEM} {
		if strings.Contains(g.output(), denied.Error()) {
			t.Errorf("a confined gateway says %q", denied)
		}
	}

	options := c.options()
	options.Set["policy.ports"] = fmt.Sprintf("[%d, %d]", lab.PortSMTP, lab.PortEcho)
	c.write(t, c.config, n.GatewayConfig(options), 0o640)
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	c.manager.waitFor(t, "READY=1")
	g.waitOutput(t, `"msg":"reloaded"`)
	for _, f := range n.Families() {
		wantRefused(t, n.Dynamic, at(f.Addrs().Internet, lab.PortEcho))
	}

	if s, err := control.Dial(filepath.Join(c.runtime, "op25b.sock")).Status(t.Context()); err != nil || s.Journal == nil || s.Journal.Error != "" {
		t.Errorf("a confined gateway keeps no journal: %v, %+v", err, s.Journal)
	}
	if code := g.signal(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
	c.manager.waitFor(t, "STOPPING=1")
	if _, err := n.Gateway.Netlink().LinkByName("op25b-sub"); err == nil {
		t.Error("op25b-sub is still there after a clean stop")
	}
}

// options is the configuration of a confined gateway: its socket and its journal lie
// where it may write.
func (c *confinement) options() lab.ConfigOptions {
	return lab.ConfigOptions{Set: map[string]string{
		"control.socket": filepath.Join(c.runtime, "op25b.sock"), "journal.path": filepath.Join(c.runtime, "journal.db"),
	}}
}

// TestConfinedTooMuch takes a system call away that the gateway only prefers to
// have, to see that TestConfined would notice.
func TestConfinedTooMuch(t *testing.T) {
	t.Parallel()
	const preferred = "io_uring_setup"
	c := newConfinement(t, func(calls []string) []string {
		return slices.DeleteFunc(calls, func(call string) bool { return call == preferred })
	})
	n := newNetwork(t, lab.Options{})
	g := c.start(t, n, n.GatewayConfig(c.options()))
	g.waitOutput(t, "SIGSYS: bad system call")
	if code := g.wait(t); code == 0 {
		t.Error("the gateway ended well")
	}
}

// wantConfined reads in /proc/PID/status how the kernel has a gateway confined.
func wantConfined(t *testing.T, status string, unit serviceUnit, user, group, groups string) {
	t.Helper()
	const netAdmin = "0000000000001000" // bit 12 (linux/capability.h)
	// Real, effective, saved and that of files.
	four := func(id string) string { return strings.TrimSpace(strings.Repeat(id+" ", 4)) }
	want := map[string]string{
		"Name":   "op25b",
		"Umask":  unit.one(t, "UMask"),
		"Uid":    four(user),
		"Gid":    four(group),
		"Groups": groups, "NoNewPrivs": "1", "Seccomp": "2",
		"CapInh": netAdmin, "CapPrm": netAdmin, "CapEff": netAdmin, "CapBnd": netAdmin, "CapAmb": netAdmin,
	}
	got := map[string]string{}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		if _, asked := want[key]; asked {
			got[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/proc/PID/status (-want +got):\n%s", diff)
	}
}

// wantBothFamilies wants subscribers' packets of each family to enter the gateway.
// The guard would refuse IPv6 too, where a gateway cannot see that there is any.
func wantBothFamilies(t *testing.T, n *lab.Network) {
	t.Helper()
	for _, f := range n.Families() {
		rules := mustRun(t, n.Gateway, "ip", fmt.Sprintf("-%d", f), "rule")
		if !strings.Contains(rules, "iif "+lab.LinkDynamic+" lookup 25") {
			t.Errorf("%s does not enter the gateway:\n%s", f, rules)
		}
	}
}
