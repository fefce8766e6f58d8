// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The demo runs as users run it: on the machine itself, whose own network must be
// the same afterwards.

func TestDemo(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	if code := d.wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	story := d.output()
	t.Logf("it took %s", d.took())
	if d.took() > time.Minute {
		t.Errorf("it took %s, want less than a minute", d.took())
	}
	for _, want := range []string{
		"dynamic -> any mail server, port 25        refused at once",
		"dynamic -> mail provider, port 587, login  delivered",
		"dynamic -> the ISP's mail server, port 25  delivered",
		"static -> any mail server, port 25         delivered",
		"dynamic -> web server, port 80             page received",
		"dynamic -> UDP service, port 7             answer received",
	} {
		if got := strings.Count(story, want); got != 2 {
			t.Errorf("%q is %d times in the story, want once for each family", want, got)
		}
	}
	if want := "Everything was removed again.\n"; !strings.HasSuffix(story, want) {
		t.Errorf("the story does not end with %q", want)
	}
	d.wantNothingLeft(t)
}

func TestDemoJSON(t *testing.T) {
	t.Parallel()
	out := op25b(t, nil, "demo", "--json")
	if out.code != 0 || out.stderr != "" {
		t.Errorf("exit code %d, want 0; stderr %q, want nothing", out.code, out.stderr)
	}
	var report struct {
		SchemaVersion int `json:"schema_version"`
		Steps         []struct {
			Name, Family, Expect, Got string
			OK                        bool
			Milliseconds              float64
		}
		OK bool
	}
	decodeOne(t, out.stdout, &report)
	if report.SchemaVersion != 1 || !report.OK || len(report.Steps) != 12 {
		t.Errorf("schema_version %d, ok %t, %d steps; want 1, true, 12", report.SchemaVersion, report.OK, len(report.Steps))
	}
	for _, step := range report.Steps {
		if !step.OK || step.Got != step.Expect || step.Milliseconds <= 0 {
			t.Errorf("%+v, want ok, as expected, in some time", step)
		}
	}
}

// decodeOne reads the one JSON document that text must be, with no field that v
// does not have.
func decodeOne(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("read JSON document: %v\n%s", err, text)
	}
	if d.More() {
		t.Errorf("more than one JSON document:\n%s", text)
	}
}

// TestDemoInterrupted ends the demo in the middle, as Ctrl-C at a terminal does
// and as a service manager does.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		when   string // what it has said by then
		signal syscall.Signal
	}{
		{"while it builds the network", "Outbound port 25 blocking", syscall.SIGINT},
		{"before the first check", "IPv4\n", syscall.SIGINT},
		{"after the first check", "refused at once", syscall.SIGINT},
		{"before the first IPv6 check", "IPv6\n", syscall.SIGINT},
		{"by SIGTERM", "refused at once", syscall.SIGTERM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := startDemo(t)
			d.waitOutput(t, tt.when)
			code := d.interrupt(t, tt.signal)
			// It takes milliseconds, and may be over when the signal comes.
			whole := strings.Contains(d.output(), "All 12 checks went as expected")
			t.Logf("over before the signal: %t, exit code %d", whole, code)
			if want := 1; code != want && !whole {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if want := "demo interrupted"; !whole && !strings.Contains(d.output(), want) {
				t.Errorf("it does not say %q", want)
			}
			d.wantNothingLeft(t)
		})
	}
}

// TestDemoKeep types what the demo says one can type.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	needTools(t, "ip", "swaks", "curl", "tcpdump")
	d := startDemo(t, "--keep")
	d.waitOutput(t, "Ctrl-C ends the demo")
	commands := d.commands()
	if len(commands) != 8 {
		t.Errorf("%d commands, want 8: %q", len(commands), commands)
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			tryKept(t, command)
		})
	}
	if code := d.interrupt(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
	if want := "Everything was removed again.\n"; !strings.HasSuffix(d.output(), want) {
		t.Errorf("the story does not end with %q", want)
	}
	d.wantNothingLeft(t)
}

// commands returns the shell commands in what the demo said.
func (d *demo) commands() []string {
	var commands []string
	for line := range strings.Lines(strings.ReplaceAll(d.output(), "\\\n", " ")) {
		if command := strings.Join(strings.Fields(line), " "); strings.HasPrefix(command, "ip netns exec ") {
			commands = append(commands, command)
		}
	}
	return commands
}

// tryKept runs one command in the kept network and looks at what it says.
func tryKept(t *testing.T, command string) {
	t.Helper()
	want, code := "", 0
	switch {
	case strings.HasSuffix(command, " bash"):
		command, want = "echo 'ip addr' | "+command, "inet6 2001:db8:"
	case strings.Contains(command, "-dynamic curl"):
		want, code = "Connection refused", 7
	case strings.Contains(command, "-static curl"):
		want, code = "220 ", 0
	case strings.Contains(command, " swaks "):
		want = "250 2.0.0"
	case strings.Contains(command, " tcpdump "):
		command, want, code = "timeout -s INT 1 "+command, "listening on op25b-sub", 124
	default:
		t.Fatal("nobody expects this command")
	}
	out := runIn(t, nil, "sh", "-c", command)
	if said := out.stdout + out.stderr; out.code != code || !strings.Contains(said, want) {
		t.Errorf("exit code %d, want %d and %q:\n%s", out.code, code, want, said)
	}
}

// TestDemoAfterCrash kills a demo, and the next one removes what it left.
func TestDemoAfterCrash(t *testing.T) {
	t.Parallel()
	crashed := startDemo(t, "--keep")
	crashed.waitOutput(t, "Ctrl-C ends the demo")
	crashed.signal(t, syscall.SIGKILL)
	if len(leftBehind(crashed.cmd.Process.Pid)) == 0 {
		t.Fatal("a killed demo left nothing: there is nothing to test")
	}
	if out := op25b(t, nil, "demo"); out.code != 0 {
		t.Errorf("the next demo: exit code %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	crashed.wantNothingLeft(t)
}

// TestDemoNeedsRoot runs the demo as nobody.
func TestDemoNeedsRoot(t *testing.T) {
	t.Parallel()
	needTools(t, "setpriv")
	needRoot(t)
	out := runIn(t, nil, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binaryPath, "demo")
	if out.code != 5 || !strings.Contains(out.stderr, "root") {
		t.Errorf("exit code %d, want 5 and a word about root:\n%s", out.code, out.stderr)
	}
}

// demo is a running `op25b demo`, and the machine as it was before.
type demo struct {
	*program
	begun  time.Time
	before string
}

func startDemo(t *testing.T, flags ...string) *demo {
	t.Helper()
	needRoot(t)
	d := &demo{begun: time.Now(), before: kernelState(nil)}
	cmd := exec.Command(binaryPath, append([]string{"demo"}, flags...)...)
	// A process group of its own, as a shell gives it one.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.program = startCmd(t, nil, cmd)
	return d
}

func (d *demo) took() time.Duration { return time.Since(d.begun) }

// interrupt sends the signal to the whole process group, as a terminal does, and
// returns the exit code.
func (d *demo) interrupt(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := syscall.Kill(-d.cmd.Process.Pid, signal); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
	return d.wait(t)
}

// wantNothingLeft looks for namespaces, directories and processes of the demo,
// and holds the machine's network against what it was.
func (d *demo) wantNothingLeft(t *testing.T) {
	t.Helper()
	pid := d.cmd.Process.Pid
	if left := leftBehind(pid); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if left := processesAbout(t, fmt.Sprintf("op25b-%d-", pid)); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	if diff := cmp.Diff(d.before, kernelState(nil)); diff != "" {
		t.Errorf("the machine's own network has changed (-before +after):\n%s", diff)
	}
}

// processesAbout returns the command lines that name text.
func processesAbout(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if pid := strings.Split(file, "/")[2]; err == nil && pid != strconv.Itoa(os.Getpid()) && bytes.Contains(line, []byte(text)) {
			found = append(found, pid+": "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}
