// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for something that has to come.
const patience = 90 * time.Second

// options are those that tests vary.
type options struct{ Watchdog, RestartDelay, StartTime, StopTime time.Duration }

// event is a line of output: the supervisor's log or what the program says.
type event struct {
	Msg   string // the supervisor
	Say   string `json:",omitempty"` // the program
	Raw   string // anything else
	PID   int
	From  int
	UID   int
	End   string
	In    string
	Name  string
	Error string
}

func (e event) is(what string) bool { return e.Msg == what || e.Say == what || e.Raw == what }

// trial is a supervisor at work and what was seen of it.
type trial struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	events chan event
	seen   []event
}

// supervise starts a supervisor with a program that plays a role.
func supervise(t *testing.T, role string, o options) *trial {
	t.Helper()
	if o.RestartDelay == 0 {
		o.RestartDelay = 10 * time.Millisecond
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &trial{t: t, dir: t.TempDir(), events: make(chan event, 1000)}
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), envRole+"=supervisor", envProgram+"="+role, envOptions+"="+string(text), envDir+"="+s.dir)
	s.cmd.Env = append(s.cmd.Env, "GORACE=atexit_sleep_ms=0") // the race detector would hold each exit up for a second
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go s.read(r)
	t.Cleanup(func() {
		// The supervisor first: it would start others. Its program outlives it.
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.killPrograms()
		for range s.events { // until the last process has let go of the pipe
		}
		r.Close()
		if t.Failed() {
			for _, e := range s.seen {
				t.Logf("%+v", e)
			}
		}
	})
	return s
}

// read turns lines into events until every process that could write has ended.
func (s *trial) read(r *os.File) {
	defer close(s.events)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		e := event{}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Raw: lines.Text()}
		}
		select {
		case s.events <- e:
		default: // nobody looks any more
		}
	}
}

// killPrograms ends what the supervisor has left, its processes by their
// directory in the environment.
func (s *trial) killPrograms() {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if slices.Contains(strings.Split(string(env), "\x00"), envDir+"="+s.dir) {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(pidfd)
	}
}

// until returns the next event that is what it says.
func (s *trial) until(what string) event {
	s.t.Helper()
	return s.find(what, func(e event) bool { return e.is(what) })
}

// find returns the next event that is right.
func (s *trial) find(what string, right func(event) bool) event {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				s.t.Fatalf("everything has ended, without %q", what)
			}
			s.seen = append(s.seen, e)
			if right(e) {
				return e
			}
		case <-timeout:
			s.t.Fatalf("%q does not come", what)
		}
	}
}

// ended waits for the end of the supervisor and returns its exit code.
func (s *trial) ended() int {
	s.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

// never fails if something has been seen.
func (s *trial) never(what string) {
	s.t.Helper()
	if slices.ContainsFunc(s.seen, func(e event) bool { return e.is(what) }) {
		s.t.Errorf("%q was seen", what)
	}
}

func (s *trial) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends a program, which has said its number.
func (s *trial) kill(e event) {
	s.t.Helper()
	if err := syscall.Kill(e.PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// gone waits until a process has been reaped.
func (s *trial) gone(pid int) {
	s.t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("process %d does not end", pid)
		}
	}
}

const (
	serving  = "serving, LISTEN_FDS="
	again    = "the program ended: starting it again"
	hangs    = "the program hangs: aborting it"
	killing  = "the program does not end: killing it"
	takeover = "another process takes over"
	ignored  = "datagrams were ignored"
)

func TestServeAndStop(t *testing.T) {
	t.Parallel()
	s := supervise(t, "serve", options{Watchdog: 2 * time.Second})
	s.until(serving)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		s.signal(sig)
		s.until(sig.String())
	}
	s.signal(syscall.SIGTERM)
	s.until("bye")
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.never(again)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := supervise(t, "serve", options{})
	s.until(serving)
	s.signal(syscall.SIGINT)
	s.until("bye") // it got SIGTERM
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSomebodyElseStopsIt(t *testing.T) {
	t.Parallel()
	s := supervise(t, "serve", options{})
	if err := syscall.Kill(s.until(serving).PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.never(again)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for role, end := range map[string]string{
		"crash": "exit code 7",
		"leave": "exit code 0", // nobody asked it to
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := supervise(t, role, options{})
			s.until("ready")
			if e := s.until(again); e.End != end {
				t.Errorf("end: %s", e.End)
			}
			s.until("ready")
		})
	}
}

func TestExitCodesThatEndIt(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]int{"usage": 2, "permission": 5} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := supervise(t, role, options{})
			if code := s.ended(); code != want {
				t.Errorf("exit code %d", code)
			}
			s.until("the program ended, and starting it again would be in vain")
			s.never(again)
		})
	}
}

// Once it was ready, the supervisor waits for whoever broke it to mend it.
func TestExitCodesThatDoNotEndIt(t *testing.T) {
	t.Parallel()
	s := supervise(t, "late usage", options{})
	for range 3 {
		if e := s.until(again); e.End != "exit code 2" {
			t.Errorf("end: %s", e.End)
		}
	}
}

func TestQuickDeathsBackOff(t *testing.T) {
	t.Parallel()
	s := supervise(t, "die", options{})
	for _, want := range []string{"10ms", "20ms", "40ms", "80ms", "160ms"} {
		if e := s.until(again); e.In != want {
			t.Errorf("the next start is in %s, not in %s", e.In, want)
		}
		s.until("started")
	}
}

func TestStopWhileNothingRuns(t *testing.T) {
	t.Parallel()
	s := supervise(t, "die", options{RestartDelay: patience})
	s.until(again)
	s.signal(syscall.SIGTERM)
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	t.Parallel()
	s := supervise(t, "stubborn", options{StopTime: 100 * time.Millisecond})
	s.until("stubborn")
	s.signal(syscall.SIGTERM)
	s.until(killing)
	if e := s.until("the program ended, as asked"); e.End != "signal: killed" {
		t.Errorf("end: %s", e.End)
	}
	if code := s.ended(); code != 96 {
		t.Errorf("exit code %d", code)
	}
}

// A stopped process cannot handle SIGABRT.
func TestStoppedProcessIsKilled(t *testing.T) {
	t.Parallel()
	s := supervise(t, "stop itself", options{Watchdog: time.Second})
	s.until("ready")
	s.until(hangs)
	s.until(killing)
	if e := s.until(again); e.End != "signal: killed" || e.In != "0s" {
		t.Errorf("end: %s, next start in %s", e.End, e.In)
	}
	s.until("ready")
}

// One that runs but is silent says where it hangs.
func TestSilentProcessPrintsItsStacks(t *testing.T) {
	t.Parallel()
	s := supervise(t, "silent", options{Watchdog: time.Second})
	s.until(hangs)
	s.until("SIGABRT: abort")
	if e := s.until(again); e.In != "0s" {
		t.Errorf("next start in %s", e.In)
	}
	s.until("ready")
}

// One that hangs before it has ever been ready is started again too.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	s := supervise(t, "never ready", options{StartTime: time.Second})
	s.until("silent")
	s.until(hangs)
	s.until(again)
	s.until("ready")
}

func TestProcessThatKnowsItHangs(t *testing.T) {
	t.Parallel()
	s := supervise(t, "trigger", options{})
	if e := s.until(hangs); e.Error != "" {
		t.Error(e.Error)
	}
	s.until(again)
	s.until("ready")
}

// While the supervisor is stopped it reads no pings; that is not the program's
// fault.
func TestStoppedSupervisorAbortsNobody(t *testing.T) {
	t.Parallel()
	s := supervise(t, "serve", options{Watchdog: 2 * time.Second})
	s.until(serving)
	s.signal(syscall.SIGSTOP)
	time.Sleep(5 * time.Second)
	s.signal(syscall.SIGCONT)
	s.signal(syscall.SIGUSR1)
	s.until(syscall.SIGUSR1.String())
	s.signal(syscall.SIGTERM)
	s.until("bye")
	s.never(hangs)
}

func TestStoredDescriptorsComeBack(t *testing.T) {
	t.Parallel()
	s := supervise(t, "keep", options{})
	s.kill(s.until("kept"))
	if e := s.until(again); e.End != "signal: killed" {
		t.Errorf("end: %s", e.End)
	}
	s.until(`found "what was on its way", <nil>`)
}

func TestDescriptorsThatAreNotKept(t *testing.T) {
	t.Parallel()
	s := supervise(t, "forget", options{})
	s.until("found kept")
	if !slices.ContainsFunc(s.seen, func(e event) bool { return e.Error == "FDSTORE came with 2 descriptors, not with one" }) {
		t.Error("nothing was said about the two in one datagram")
	}
}

func TestDeadDescriptorIsClosed(t *testing.T) {
	t.Parallel()
	s := supervise(t, "lose", options{})
	first := s.until("started")
	if e := s.until("a stored descriptor is dead: closed"); e.Name != "lost" {
		t.Errorf("%s is dead", e.Name)
	}
	s.kill(first)
	s.until(serving + "1") // FDPOLL=0 keeps the other
}

func TestDescendantsAreBelieved(t *testing.T) {
	t.Parallel()
	s := supervise(t, "parent", options{})
	started := s.until("started")
	if e := s.until("ready"); e.PID != started.PID {
		t.Errorf("process %d is ready, not %d", e.PID, started.PID)
	}
}

// The successor is a child of the first, which leaves at once: its last words
// count before its end does.
func TestChildTakesOver(t *testing.T) {
	t.Parallel()
	s := supervise(t, "hand over", options{})
	first := s.until("started")
	var over, next event
	for range 2 { // in either order
		e := s.find("takeover and its successor", func(e event) bool { return e.is(takeover) || e.is(serving) })
		if e.is(takeover) {
			over = e
		} else {
			next = e
		}
	}
	if over.From != first.PID || over.PID == first.PID || over.PID != next.PID {
		t.Errorf("%d takes over from %d, %d serves", over.PID, over.From, next.PID)
	}
	s.signal(syscall.SIGHUP)
	s.until("hangup")
	s.gone(first.PID)
	s.never(again)
	s.kill(next)
	if e := s.until(again); e.End != "signal: killed" || e.PID != next.PID { // an orphan is our child
		t.Errorf("end of %d: %s", e.PID, e.End)
	}
	s.kill(s.until(serving))
	s.until(again)
	s.until(serving)
	s.signal(syscall.SIGTERM)
	s.until("bye")
	if code := s.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The successor was started by somebody else, and so is no child of the
// supervisor.
func TestForeignerTakesOver(t *testing.T) {
	t.Parallel()
	s := supervise(t, "name", options{})
	address, first := s.notifySocket()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), envRole+"=serve", "NOTIFY_SOCKET="+address, envDir+"="+s.dir)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Wait() }()
	defer func() { _ = other.Process.Kill() }()
	if e := s.until(ignored); e.PID != other.Process.Pid { // it is not yet who it will be
		t.Errorf("%d was ignored", e.PID)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "pid"), []byte(strconv.Itoa(other.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	if e := s.until(takeover); e.PID != other.Process.Pid || e.From != first {
		t.Errorf("%d takes over from %d", e.PID, e.From)
	}
	s.never(again)
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if e := s.until(again); e.PID != other.Process.Pid {
		t.Errorf("%d ended", e.PID)
	}
	s.until(serving)
}

// notifySocket returns the address that the program says, and its process.
func (s *trial) notifySocket() (address string, pid int) {
	s.t.Helper()
	const prefix = "NOTIFY_SOCKET="
	e := s.find(prefix, func(e event) bool { return strings.HasPrefix(e.Say, prefix) })
	return strings.TrimPrefix(e.Say, prefix), e.PID
}

func TestStrangersAreNotBelieved(t *testing.T) {
	t.Parallel()
	s := supervise(t, "name", options{})
	address, _ := s.notifySocket()
	if err := lies(address); err != nil { // we are no descendant, though of the same uid
		t.Fatal(err)
	}
	s.ignores(5, os.Getpid(), os.Getuid())
	if os.Getuid() == 0 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envRole+"=spoof", "NOTIFY_SOCKET="+address)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.ignores(5, cmd.Process.Pid, 65534)
	}
	s.signal(syscall.SIGUSR1) // names nobody, and ends
	if e := s.until(again); e.End != "exit code 1" {
		t.Errorf("end: %s", e.End)
	}
	s.until(serving) // without a descriptor
	for _, what := range []string{takeover, "stopping", hangs, "a descriptor is stored"} {
		s.never(what)
	}
}

// ignores waits until so many datagrams of a process were ignored.
func (s *trial) ignores(n, pid, uid int) {
	s.t.Helper()
	for range n {
		if e := s.until(ignored); e.PID != pid || e.UID != uid || e.Error != "the sender is not the program" {
			s.t.Errorf("ignored: process %d of uid %d: %s", e.PID, e.UID, e.Error)
		}
	}
}

// There is no PR_SET_PDEATHSIG.
func TestProgramOutlivesSupervisor(t *testing.T) {
	t.Parallel()
	s := supervise(t, "serve", options{})
	e := s.until(serving)
	s.signal(syscall.SIGKILL)
	s.ended()
	if err := syscall.Kill(e.PID, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.until(syscall.SIGUSR1.String())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{RestartDelay: 1},
		{Command: []string{"true"}},
		{Command: []string{"true"}, RestartDelay: -1},
		{Command: []string{"true"}, RestartDelay: 1, Watchdog: -1},
	} {
		o.Log = zap.NewNop()
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	self, uid := os.Getpid(), uint32(os.Getuid())
	for _, asker := range []uint32{uid, 0} {
		p, err := adopt(self, asker)
		if err != nil {
			t.Fatal(err)
		}
		if !p.isOf(self) || p.isOf(os.Getppid()) || p.isOf(0) {
			t.Error("who descends from whom?")
		}
		p.release()
	}
	if _, err := adopt(self, uid+1); err == nil || !strings.Contains(err.Error(), "belongs to") {
		t.Errorf("another's process: %v", err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := adopt(gone.Process.Pid, uid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("a process that has ended: %v", err)
	}
}
