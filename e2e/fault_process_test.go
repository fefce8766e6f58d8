// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// TestFaultProcess does to the process what administrators and kernels do.
func TestFaultProcess(t *testing.T) {
	t.Parallel()
	needTools(t, "prlimit")
	w := openWard(t, lab.ConfigOptions{})
	w.suffer(t,
		fault{name: "stopped for a second", inflict: func(t testing.TB, w *ward) {
			t.Helper()
			w.signal(t, unix.SIGSTOP)
			time.Sleep(time.Second)
			w.signal(t, unix.SIGCONT)
		}},
		fault{name: "200 times SIGHUP", inflict: func(t testing.TB, w *ward) {
			t.Helper()
			for range 200 {
				w.signal(t, unix.SIGHUP)
			}
		}},
		// What it opens now and then it cannot open any more. Nobody can ask it, and
		// packets need nothing new.
		fault{
			name: "no more descriptors", inflict: limitDescriptors("1"),
			meanwhile: func(t testing.TB, w *ward) {
				t.Helper()
				w.signal(t, unix.SIGHUP)
				out := op25b(t, w.network.Gateway, "status", "-c", w.path)
				if out.code == 0 || out.stderr == "" {
					t.Errorf("status: exit %d, %s%s", out.code, out.stdout, out.stderr)
				}
				for _, f := range w.network.Families() {
					wantConnected(t, w.network.Static, at(f.Addrs().MX, lab.PortSMTP))
					wantRefused(t, w.network.Dynamic, at(f.Addrs().MX, lab.PortSMTP))
				}
			},
			mend: func(t testing.TB, w *ward) {
				t.Helper()
				limitDescriptors("4096")(t, w)
				breakIt(t, w.network, "ip rule del pref 2500 iif dyn0") // has it look at the machine
				eventually(t, "it can be asked again", func() bool { _, err := w.ask(t); return err == nil })
				w.reload(t)
			},
		},
	)
	w.close(t)
}

func (w *ward) signal(t testing.TB, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(w.pid, sig); err != nil {
		t.Fatal(err)
	}
}

// limitDescriptors sets how many the gateway may have open. Those above it stay open.
func limitDescriptors(limit string) treatment {
	return func(t testing.TB, w *ward) {
		t.Helper()
		mustRun(t, nil, "prlimit", "--pid", strconv.Itoa(w.pid), "--nofile="+limit+":4096")
	}
}

// TestFaultConfiguration has the file be none when the gateway is to read it again.
func TestFaultConfiguration(t *testing.T) {
	t.Parallel()
	w := openWard(t, lab.ConfigOptions{Capture: "smtp"})
	good, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	refusedReload := func(name, commands string) fault {
		return fault{
			name: name, says: "the last reload was refused",
			inflict: func(t testing.TB, w *ward) {
				t.Helper()
				mustRun(t, nil, "sh", "-e", "-c", "f="+w.path+"; rm -rf $f; "+commands)
				out := op25b(t, w.network.Gateway, "reload", "--socket", w.socket())
				if out.code != 2 || !strings.Contains(out.stderr, w.path) {
					t.Errorf("reload: exit %d, %s%s", out.code, out.stdout, out.stderr)
				}
			},
			mend: func(t testing.TB, w *ward) {
				t.Helper()
				if err := os.RemoveAll(w.path); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(w.path, good, 0o600); err != nil {
					t.Fatal(err)
				}
				w.reload(t)
			},
		}
	}
	w.suffer(t,
		refusedReload("configuration deleted", ":"),
		refusedReload("configuration is a directory", "mkdir $f"),
		refusedReload("configuration leads nowhere", "ln -s op25b.yaml $f"), // no permission is none for root
		refusedReload("configuration is empty", ": > $f"),
		refusedReload("configuration is cut off", "echo 'interfaces: {subscriber: [dyn0' > $f"),
		refusedReload("configuration is garbage", "head -c 100000 /dev/urandom > $f"),
		refusedReload("configuration has no end", "ln -s /dev/zero $f"),
	)
	w.close(t)
}

func (w *ward) socket() string { return filepath.Join(w.network.Dir(), "op25b.sock") }

// TestFaultSocketDeleted has the control socket's file go: the gateway goes on, SIGHUP
// still reaches it, and the socket comes back by itself.
func TestFaultSocketDeleted(t *testing.T) {
	t.Parallel()
	w := openWard(t, lab.ConfigOptions{})
	w.suffer(t, fault{
		name: "control socket deleted",
		inflict: func(t testing.TB, w *ward) {
			t.Helper()
			if err := os.Remove(w.socket()); err != nil {
				t.Fatal(err)
			}
		},
		meanwhile: func(t testing.TB, w *ward) {
			t.Helper()
			out := op25b(t, w.network.Gateway, "status", "--socket", w.socket())
			if out.code != 4 || !strings.Contains(out.stderr, w.socket()) {
				t.Errorf("status: exit %d, %s", out.code, out.stderr)
			}
			w.signal(t, unix.SIGHUP)
			w.current.waitOutput(t, `"reloaded"`)
		},
		mend: func(t testing.TB, w *ward) {
			t.Helper()
			eventually(t, "the socket", func() bool { return op25b(t, w.network.Gateway, "status", "--socket", w.socket()).code == 0 })
		},
	})
	w.close(t)
}

// TestFaultAtStart starts gateways where something is missing that packets can do
// without.
func TestFaultAtStart(t *testing.T) {
	t.Parallel()
	needTools(t, "unshare", "mount")
	for _, c := range []struct {
		name, before string // shell commands before it is started
		redirect     string
		says         string // in the log
		mute         bool   // it has no log
	}{
		{name: "reader of the log gone", before: "mkfifo $DIR/log; head -n 1 $DIR/log >/dev/null &", redirect: "2>$DIR/log", mute: true},
		{name: "no room for the socket", before: "mount -t tmpfs -o nr_inodes=1 none $DIR/run || exit 77", says: "this gateway cannot be asked"},
		{name: "disk of the log is full", redirect: "2>/dev/full", mute: true},
		{name: "no output at all", redirect: ">&- 2>&- <&-", mute: true},
		{name: "little memory", before: "export GOMEMLIMIT=8MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, lab.Options{})
			startServer(t, n)
			run := filepath.Join(n.Dir(), "run")
			path := filepath.Join(n.Dir(), "op25b.yaml")
			config := n.GatewayConfig(lab.ConfigOptions{Set: map[string]string{"control.socket": filepath.Join(run, "op25b.sock")}})
			if err := os.Mkdir(run, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("DIR=%s; %s\nexec %s run -c %s %s", n.Dir(), c.before, binaryPath, path, c.redirect)
			g := start(t, n.Gateway, "unshare", "--mount", "sh", "-e", "-c", script)
			if !c.mute {
				g.waitOutput(t, `"ready"`)
			}
			steered := func() bool { return strings.Contains(mustRun(t, n.Gateway, "ip", "rule"), "iif dyn0 ") }
			eventually(t, "the gateway's rule", steered) // the kernel's guard refuses before
			wantPolicy(t, n)
			if err := g.cmd.Process.Signal(unix.SIGHUP); err != nil { // which is logged
				t.Fatal(err)
			}
			breakIt(t, n, "ip rule del pref 2500 iif dyn0") // which is logged
			eventually(t, "the rule is back", steered)
			if c.says != "" {
				g.waitOutput(t, c.says)
			}
			if code := g.signal(t, unix.SIGTERM); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}

// TestFaultFewDescriptors starts a gateway with any small number of descriptors: it
// runs, or it says what is missing and leaves the machine as it was.
func TestFaultFewDescriptors(t *testing.T) {
	t.Parallel()
	needTools(t, "prlimit")
	n := newNetwork(t, lab.Options{})
	startServer(t, n)
	path := filepath.Join(n.Dir(), "op25b.yaml")
	if err := os.WriteFile(path, []byte(n.GatewayConfig(lab.ConfigOptions{OnExit: "forward"})), 0o600); err != nil {
		t.Fatal(err)
	}
	before := routingState(n.Gateway)
	const leastForGo = 10 // below that Go's runtime itself does not start
	for limit := leastForGo; ; limit += 3 {
		g := startCmd(t, n.Gateway, exec.Command("prlimit", fmt.Sprintf("--nofile=%d:%d", limit, limit), binaryPath, "run", "-c", path))
		ready := !g.endsBefore(t, `"ready"`)
		if ready {
			wantPolicy(t, n)
			g.signal(t, unix.SIGTERM)
		}
		code := g.cmd.ProcessState.ExitCode()
		if ready && code == 0 {
			t.Logf("%d descriptors are enough", limit)
			return
		}
		if said := g.output(); code != 1 || !strings.Contains(said, "too many open files") {
			t.Errorf("with %d descriptors: exit %d, %s", limit, code, said)
		}
		op25b(t, n.Gateway, "cleanup", "-c", path)
		eventually(t, fmt.Sprintf("after %d descriptors the machine is as before", limit), func() bool {
			return routingState(n.Gateway) == before
		})
	}
}

// endsBefore waits until the program ends, or says text.
func (p *program) endsBefore(t testing.TB, text string) bool {
	t.Helper()
	ended := false
	eventually(t, "its end, or "+text, func() bool {
		select {
		case <-p.ended:
			ended = true
		default:
		}
		return ended || strings.Contains(p.output(), text)
	})
	return ended
}
