// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// stopTime is how long a program that was told to end, or said that it is
// stopping, has for it.
const stopTime = 10 * time.Second

// startTime is how long a program may take until it is ready. One that hangs before
// that would otherwise never be started again.
const startTime = 60 * time.Second

// Options are what [New] needs to know.
type Options struct {
	// Command is a program, searched in PATH, and its arguments. Its output goes
	// where ours goes.
	Command []string
	// Watchdog is the longest silence of a program that is ready; zero: any.
	Watchdog time.Duration
	// RestartDelay is before the first new start of a series; more than zero.
	RestartDelay time.Duration
	// Final are exit codes that say that starting again is in vain. They count
	// while the program has never been ready.
	Final []int
	Log   *zap.Logger
}

// ExitError is a program that ended with an exit code which ought to be ours.
type ExitError struct{ Code int }

// Error implements error.
func (e *ExitError) Error() string {
	return "the program ended with exit code " + strconv.Itoa(e.Code)
}

// Supervisor keeps one program running. It is used by one goroutine.
type Supervisor struct {
	opts                Options
	log                 *zap.Logger
	doubtful            *zap.Logger // for what others can make us say: a line a second at most
	socket              *socket
	signals             *signals
	store               store
	watchdog            watchdog
	delay               backoff
	stopTime, startTime time.Duration

	main     *process  // nil while none runs
	start    time.Time // when the next does, while none runs
	wasReady bool      // in any of its lives
	stopping bool      // we were told to end
	ignored  int       // datagrams
}

// New makes a supervisor; nothing happens before Run.
func New(opts Options) (*Supervisor, error) {
	switch {
	case len(opts.Command) == 0:
		return nil, errors.New("there is no command to supervise")
	case opts.Watchdog < 0:
		return nil, fmt.Errorf("the watchdog's interval is %v, less than nothing", opts.Watchdog)
	case opts.RestartDelay <= 0:
		return nil, fmt.Errorf("the restart delay is %v, and has to be more than nothing", opts.RestartDelay)
	}
	return &Supervisor{
		opts: opts,
		log:  opts.Log,
		doubtful: opts.Log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(c, time.Second, 1, 0)
		})),
		watchdog: watchdog(opts.Watchdog),
		delay:    backoff{first: opts.RestartDelay},
		stopTime: stopTime, startTime: startTime,
	}, nil
}

// Run starts the program and returns when it has ended and is not to be started
// again: without an error if it ended well, with an *ExitError if its exit code
// ought to be ours. The end of ctx tells the program to end; SIGHUP, SIGUSR1 and
// SIGUSR2 are passed on to it.
func (s *Supervisor) Run(ctx context.Context) (err error) {
	// The children of a process that hands over and leaves become ours, and not
	// init's: so we see how a successor ends.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	if s.socket, err = listen(); err != nil {
		return err
	}
	defer s.socket.close()
	if s.signals, err = catch(ctx); err != nil {
		return err
	}
	defer s.signals.close()
	defer s.store.close()
	if s.main, err = s.spawn(); err != nil {
		return err
	}
	for {
		ended, err := s.wait()
		if err != nil {
			return err
		}
		if done, err := s.pass(ended); done || err != nil {
			return err
		}
	}
}

// wait sleeps until something happens, and returns the main process if it has
// ended.
func (s *Supervisor) wait() (ended *process, err error) {
	pidfd := -1
	if s.main != nil {
		pidfd = s.main.pidfd
	}
	polled := s.store.pollFds([]unix.PollFd{
		{Fd: int32(pidfd), Events: unix.POLLIN},
		{Fd: int32(s.socket.fd), Events: unix.POLLIN},
		{Fd: int32(s.signals.fd), Events: unix.POLLIN},
	})
	_, err = unix.Poll(polled, s.timeout(time.Now()))
	switch {
	case errors.Is(err, unix.EINTR): // Go's own signals; what poll found is unknown
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("wait for what happens: %w", err)
	}
	for _, name := range s.store.expel(polled[3:]) {
		s.log.Warn("a stored descriptor is dead: closed", zap.String("name", name))
	}
	if polled[0].Revents != 0 {
		return s.main, nil
	}
	return nil, nil
}

// timeout returns the time until the next deadline in milliseconds, rounded up;
// -1: there is none.
func (s *Supervisor) timeout(now time.Time) int {
	deadlines := []time.Time{s.start}
	if s.main != nil {
		deadlines = []time.Time{s.main.begin, s.main.ping, s.main.kill}
	}
	least := -1
	for _, t := range deadlines {
		if t.IsZero() {
			continue
		}
		ms := int(min(max(0, (t.Sub(now)+time.Millisecond-1)/time.Millisecond), math.MaxInt32))
		if least < 0 || ms < least {
			least = ms
		}
	}
	return least
}

// pass does what there is to do:
//
//  1. what was said, up to what the main process said before it ended;
//  2. signals, ours and the ends of children;
//  3. the end of the main process, if it still is the main one after 1;
//  4. what is due.
func (s *Supervisor) pass(ended *process) (done bool, err error) {
	if err := s.hear(); err != nil {
		return true, err
	}
	for _, sig := range s.signals.read() {
		s.obey(sig)
	}
	reap(s.reaped)
	if ended != nil && ended == s.main {
		if done, err := s.bury(); done {
			return true, err
		}
	}
	if s.main == nil && s.stopping {
		return true, nil
	}
	s.due(time.Now())
	return false, nil
}

// hear reads what was sent to the notify socket.
func (s *Supervisor) hear() error {
	for range burst {
		d, ok, err := s.socket.receive()
		if err != nil || !ok {
			return err
		}
		if err := s.heed(&d); err != nil {
			s.ignored++
			s.doubtful.Warn("datagrams were ignored", zap.Error(err), zap.Int32("pid", d.sender.Pid),
				zap.Uint32("uid", d.sender.Uid), zap.Int("datagrams_total", s.ignored))
		}
		// All but what was stored. The sender of BARRIER=1 waits for just this.
		d.closeDescriptors()
	}
	return nil
}

// heed does what a datagram says, or returns why not.
func (s *Supervisor) heed(d *datagram) error {
	if s.main == nil || !s.main.isOf(int(d.sender.Pid)) {
		return errors.New("the sender is not the program")
	}
	if d.broken != nil {
		return d.broken
	}
	m, err := parse(d.text, len(d.descriptors))
	if err != nil {
		return err
	}
	now := time.Now()
	if m.mainPID != 0 && m.mainPID != s.main.pid {
		if err := s.takeOver(m.mainPID, d.sender.Uid, now); err != nil {
			return err
		}
		m.stopping = false // the one who hands over means itself
	}
	switch {
	case m.store:
		if err := s.store.put(stored{name: m.name, fd: d.descriptors[0], polled: !m.unpolled}); err != nil {
			return err
		}
		d.descriptors = nil
		s.log.Info("a descriptor is stored", zap.String("name", m.name), zap.Int("stored", len(s.store)))
	case m.remove:
		s.store.remove(m.name)
		s.log.Info("a descriptor is no longer stored", zap.String("name", m.name), zap.Int("stored", len(s.store)))
	}
	s.note(m, now)
	return nil
}

// note changes the main process's state.
func (s *Supervisor) note(m message, now time.Time) {
	p := s.main
	if m.ready && p.ready.IsZero() {
		p.ready, p.begin, s.wasReady = now, time.Time{}, true
		s.watchdog.alive(p, now)
		s.log.Info("ready", zap.Int("pid", p.pid))
	}
	if m.alive {
		s.watchdog.alive(p, now)
	}
	if m.reloading {
		s.log.Info("reloading", zap.Int("pid", p.pid))
	}
	if m.stopping && !p.stopping {
		p.stopping, p.begin, p.ping = true, time.Time{}, time.Time{}
		if p.kill.IsZero() {
			p.kill = now.Add(s.stopTime)
		}
		s.log.Info("stopping", zap.Int("pid", p.pid))
	}
	if m.hung && !p.ready.IsZero() {
		s.abort(now, "it says so itself")
	}
}

// takeOver makes another process the main one. What becomes of the one before is
// its own affair.
func (s *Supervisor) takeOver(pid int, uid uint32, now time.Time) error {
	if pid == os.Getpid() {
		return errors.New("MAINPID is the supervisor")
	}
	next, err := adopt(pid, uid)
	if err != nil {
		return err
	}
	s.log.Info("another process takes over", zap.Int("pid", pid), zap.Int("from", s.main.pid))
	next.ready = s.main.ready // the service is ready, whoever serves
	s.main.release()
	s.main = next
	s.watchdog.alive(next, now)
	if s.stopping {
		s.terminate(now)
	}
	return nil
}

// obey acts on a signal to us.
func (s *Supervisor) obey(sig unix.Signal) {
	switch {
	case sig == unix.SIGCHLD: // reap is called anyway
	case sig == unix.SIGTERM:
		s.stopping = true
		if s.main != nil {
			s.terminate(time.Now())
		}
	case s.main != nil:
		s.send(sig)
	default:
		s.log.Warn("a signal finds no program", zap.Stringer("signal", sig))
	}
}

// terminate asks the main process to end.
func (s *Supervisor) terminate(now time.Time) {
	s.log.Info("ending the program", zap.Int("pid", s.main.pid))
	s.main.ping = time.Time{}
	if s.main.kill.IsZero() {
		s.main.kill = now.Add(s.stopTime)
	}
	s.main.stopping = true
	s.send(unix.SIGTERM)
}

func (s *Supervisor) send(sig unix.Signal) {
	if err := s.main.signal(sig); err != nil {
		s.log.Error("the program got no signal", zap.Error(err))
	}
}

// abort ends a main process that hangs.
func (s *Supervisor) abort(now time.Time, why string) {
	p := s.main
	if p.hung || p.stopping {
		return
	}
	s.log.Error("the program hangs: aborting it", zap.Int("pid", p.pid), zap.String("why", why))
	p.hung, p.begin, p.ping, p.kill = true, time.Time{}, time.Time{}, now.Add(abortTime)
	s.send(unix.SIGABRT)
}

func (s *Supervisor) reaped(pid int, status unix.WaitStatus) {
	if s.main != nil && pid == s.main.pid {
		s.main.status = &status
	}
}

// bury decides what follows the end of the main process.
func (s *Supervisor) bury() (done bool, err error) {
	p, now := s.main, time.Now()
	s.main = nil
	p.release()
	code := p.exitCode()
	log := s.log.With(zap.Int("pid", p.pid), zap.String("end", p.end()))
	switch {
	case s.stopping:
		log.Info("the program ended, as asked")
		return true, p.failure()
	case p.stopping && code == 0: // somebody else asked
		log.Info("the program ended well")
		return true, nil
	case !s.wasReady && !p.hung && code > 0 && slices.Contains(s.opts.Final, code): // what we abort is not its own word
		log.Error("the program ended, and starting it again would be in vain")
		return true, &ExitError{code}
	}
	delay := time.Duration(0) // a hang comes after an interval of silence: no loop is tight
	if !p.hung {
		delay = s.delay.after(p.readyFor(now))
	}
	s.start = now.Add(delay)
	log.Error("the program ended: starting it again", zap.Duration("ready_for", p.readyFor(now)), zap.Duration("in", delay))
	return false, nil
}

// due does what its time has come for.
func (s *Supervisor) due(now time.Time) {
	p := s.main
	switch {
	case p == nil && !now.Before(s.start):
		s.startAgain(now)
	case p == nil:
	case !p.kill.IsZero() && !now.Before(p.kill):
		s.log.Error("the program does not end: killing it", zap.Int("pid", p.pid))
		p.kill = time.Time{}
		s.send(unix.SIGKILL)
	case !p.begin.IsZero() && !now.Before(p.begin):
		s.abort(now, fmt.Sprintf("not ready for %v", s.startTime))
	case s.watchdog.silent(p, now):
		s.abort(now, fmt.Sprintf("no sign of life for %v", s.opts.Watchdog))
	}
}

// startAgain tries later where the program cannot be started now: it may be in
// the middle of being replaced.
func (s *Supervisor) startAgain(now time.Time) {
	p, err := s.spawn()
	if err != nil {
		delay := s.delay.after(0)
		s.start = now.Add(delay)
		s.log.Error("the program could not be started: trying again", zap.Error(err), zap.Duration("in", delay))
		return
	}
	s.main = p
}

func (s *Supervisor) spawn() (*process, error) {
	p, err := spawn(s.opts.Command, s.environment(), s.store)
	if err == nil {
		p.begin = time.Now().Add(s.startTime)
		s.log.Info("started", zap.Int("pid", p.pid), zap.Strings("command", s.opts.Command), zap.Int("descriptors", len(s.store)))
	}
	return p, err
}

// environment is ours, with what a service manager says in place of what one may
// have said to us. LISTEN_PID and WATCHDOG_PID are not there: only the child
// could know the number, and after MAINPID it would be wrong.
func (s *Supervisor) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		switch key {
		case "NOTIFY_SOCKET", "FDSTORE", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID":
			return true
		}
		return false
	})
	env = append(env, "NOTIFY_SOCKET="+s.socket.address, "FDSTORE="+strconv.Itoa(mostStored))
	if s.watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(s.opts.Watchdog.Microseconds(), 10))
	}
	if len(s.store) > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(len(s.store)), "LISTEN_FDNAMES="+s.store.names())
	}
	return env
}
