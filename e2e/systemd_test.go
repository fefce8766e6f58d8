// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"op25b/lab"
)

// boot makes a machine of the gateway node and has systemd run it: namespaces of
// its own but for the network, the files of this machine below ones that are
// forgotten, and what `make install` puts on them. Kernel settings outside the
// network namespace stay out of reach, and no unit of this machine is started.
//
// $1 is a directory to mount on, $2 a cgroup, $3 the program, $4 the configuration.
const boot = `set -eu
root=$1 program=$3 config=$4
mount -t tmpfs none "$root"
mkdir "$root/upper" "$root/work" "$root/machine"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/machine"
make -s -C .. install PROGRAM="$program" DESTDIR="$root/machine"
cd "$root/machine"

mount -t proc none proc
mount --bind -o ro proc/sys "$PWD/proc/sys"
mount -t sysfs none sys
mount -t cgroup2 none sys/fs/cgroup
for dir in run tmp dev; do mount -t tmpfs -o mode=755 none $dir; done
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9; do
	number=${node#*:}
	mknod -m 666 "dev/${node%%:*}" c "${number%:*}" "${number#*:}"
done
mkdir dev/net old
mknod -m 666 dev/net/tun c 10 200

systemd-sysusers --root="$PWD" op25b.conf
group=$(grep ^op25b: etc/group | cut -d: -f3)
install -d -o root -g "$group" -m 750 etc/op25b
install -o root -g "$group" -m 640 "$config" etc/op25b/op25b.yaml
mkdir -p etc/systemd/system/op25b.service.d
printf '[Unit]\nDescription=nothing\n' >etc/systemd/system/lab.target
printf '[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:/run/op25b.log\n' >etc/systemd/system/op25b.service.d/lab.conf

pivot_root . old
umount -l /old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=lab.target --log-target=console
`

// machine is a booted one.
type machine struct {
	pid int // of its first process
}

// bootMachine boots systemd in the network's gateway node until the end of the test.
func bootMachine(t *testing.T, n *lab.Network, config string) *machine {
	t.Helper()
	needTools(t, "unshare", "nsenter", "mount", "mknod", "pivot_root", "systemd-sysusers", "systemctl", "make", "findmnt")
	cgroup := newCgroup(t)
	script := `echo $$ >"$2/cgroup.procs" && exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup sh -c "$0" sh "$@"`
	p := start(t, n.Gateway, "sh", "-c", script, boot, t.TempDir(), cgroup, binaryPath, writeConfig(t, config))
	m := &machine{}
	eventually(t, "systemd to be there", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("systemd ended: %v\n%s", p.err, p.output())
		default:
		}
		// unshare has one child.
		children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", p.cmd.Process.Pid))
		if _, scanErr := fmt.Sscan(string(children), &m.pid); err != nil || scanErr != nil {
			return false
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.pid))
		return err == nil && string(bytes.TrimSpace(name)) == "systemd" && m.run(t, "systemctl", "show", "lab.target").code == 0
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", m.log(t))
		}
	})
	return m
}

// newCgroup makes a cgroup that goes with the test, as do the processes in it.
func newCgroup(t *testing.T) string {
	t.Helper()
	hierarchy, _, _ := strings.Cut(runIn(t, nil, "findmnt", "-n", "-t", "cgroup2", "-o", "TARGET").stdout, "\n")
	dir := filepath.Join(hierarchy, fmt.Sprintf("op25b-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); hierarchy == "" || err != nil {
		lack(t, fmt.Sprintf("a cgroup2 hierarchy that it may write to (%v)", err))
	}
	t.Cleanup(func() {
		eventually(t, "the cgroups to be empty", func() bool {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
			return exec.Command("find", dir, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+").Run() == nil
		})
	})
	return dir
}

// run runs a program on the machine.
func (m *machine) run(t *testing.T, words ...string) output {
	t.Helper()
	return runIn(t, nil, "nsenter", append([]string{"--all", fmt.Sprintf("--target=%d", m.pid), "--"}, words...)...)
}

// must is run for a program that must succeed; it returns what it said.
func (m *machine) must(t *testing.T, words ...string) string {
	t.Helper()
	out := m.run(t, words...)
	if out.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(words, " "), out.code, out.stdout, out.stderr)
	}
	return strings.TrimSpace(out.stdout)
}

// property returns a property of the gateway's unit.
func (m *machine) property(t *testing.T, name string) string {
	t.Helper()
	return m.must(t, "systemctl", "show", "op25b", "--value", "--property="+name)
}

func (m *machine) log(t *testing.T) string {
	t.Helper()
	return m.run(t, "cat", "/run/op25b.log").stdout
}

// watchdog is the unit's WatchdogSec.
const watchdog = 5 * time.Second

// TestSystemd runs the unit as it will be run: by systemd, which confines, hears
// that the gateway is ready, starts it again and stops it.
func TestSystemd(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	m := bootMachine(t, n, n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"control.socket": "/run/op25b/op25b.sock"}}))
	m.must(t, "systemctl", "start", "op25b") // Type=notify: returns once packets flow
	user, group := m.must(t, "id", "-u", "op25b"), m.must(t, "id", "-g", "op25b")
	first := m.property(t, "MainPID")
	wantConfined(t, m.must(t, "cat", "/proc/"+first+"/status"), readUnit(t), user, group, group)
	wantBothFamilies(t, n)
	wantPolicy(t, n)
	if kept := m.property(t, "NFileDescriptorStore"); kept == "0" {
		t.Error("systemd keeps none of the queues")
	}
	m.must(t, "systemctl", "reload", "op25b")

	m.must(t, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "op25b")
	eventually(t, "systemd to start it again", func() bool {
		return m.property(t, "MainPID") != first && m.property(t, "ActiveState") == "active"
	})
	if said := m.must(t, "op25b", "status", "--json"); !strings.Contains(said, `"adopted": true`) {
		t.Errorf("it has not got its interfaces back: %s", said)
	}
	wantPolicy(t, n)

	// The program's file may be another by now: it starts that one and hands over.
	second := m.property(t, "MainPID")
	m.must(t, "systemctl", "kill", "--kill-whom=main", "--signal=USR2", "op25b")
	eventually(t, "a successor", func() bool { return m.property(t, "MainPID") != second })
	third := m.property(t, "MainPID")
	wantPolicy(t, n)
	time.Sleep(watchdog + time.Second) // both of them tell systemd that they are well
	if pid, restarts := m.property(t, "MainPID"), m.property(t, "NRestarts"); pid != third || restarts != "1" {
		t.Errorf("process %s became %s, and systemd restarted it %s times, want once", third, pid, restarts)
	}
	wantPolicy(t, n)

	m.must(t, "systemctl", "stop", "op25b")
	if result := m.property(t, "Result"); result != "success" {
		t.Errorf("stop: %s, want success", result)
	}
	if _, err := n.Gateway.Netlink().LinkByName("op25b-sub"); err == nil {
		t.Error("op25b-sub is still there after a clean stop")
	}
}
