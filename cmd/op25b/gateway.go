// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"op25b/control"
	"op25b/filter"
	"op25b/rollout"
	"op25b/selfcheck"
	"op25b/stack"
)

// gateway is a policy and what packets flow through, and changes of both. It is
// built by openGateway, kept going by serve, asked and steered by the control
// socket's goroutines, and ended by close.
type gateway struct {
	log     *zap.Logger
	level   zap.AtomicLevel
	path    string // of the configuration
	started time.Time
	probe   *probe
	clock   *rollout.Clock
	history *history
	tried   *counting
	page    *selfcheck.Server // nil: there is none
	recent  *recentLog

	// changing is held by whoever changes what runs: a reload, a data path that is
	// made anew, a succession. It is never taken while mu is held.
	changing sync.Mutex
	turning  atomic.Bool // somebody looks whether something is due
	ahead    *update     // what comes next, once it is near; guarded by changing

	mu         sync.Mutex // guards what follows, for moments only
	rules      *rulebook
	effective  time.Time // what of the rules is in force: as of then
	next       time.Time // when that changes; zero: it does not
	behind     error     // why what is due is not
	policy     *filter.Policy
	size       filter.Size // of policy, which takes a while to count
	generation int         // of the policy, from 1
	loaded     time.Time
	reloaded   *control.ReloadStatus
	data       *dataPath // nil while there is none
	lost       error     // why there is none
	past       tally     // of data paths that are no more
	since      map[string]time.Time
	stalled    bool
	progress   []stack.Progress
	state      control.State

	yielded chan struct{} // closed once a successor has everything
}

// tally is what earlier routers have counted.
type tally struct {
	stats  stack.Stats
	errors map[string]uint64
	healed uint64
	shed   uint64

	panics       uint64
	attemptsLost uint64
	notice       stack.NoticeStats // none of them open
}

// openGateway sets everything up. Packets flow when it returns without an error;
// with one, nothing is left behind but what on_exit asks for.
func openGateway(path string, rules *rulebook, log *zap.Logger, level zap.AtomicLevel, before *predecessor) (_ *gateway, err error) {
	g := &gateway{
		log: log, level: level, path: path, started: time.Now(), rules: rules,
		generation: 1, loaded: time.Now(), since: map[string]time.Time{}, state: control.StateStarting,
		yielded: make(chan struct{}),
	}
	cfg := rules.cfg
	if g.history, err = openHistory(cfg, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.history.close())
		}
	}()
	g.clock = rollout.NewClock(rollout.System(), g.history.floor())
	u, err := rules.update(g.clock.Now())
	if err != nil {
		return nil, err
	}
	g.hold(u)
	kept, err := before.queues(cfg, log)
	if err != nil {
		return nil, err
	}
	if g.data, err = openDataPath(cfg, g.policy, kept, before != nil, log); err != nil {
		return nil, err
	}
	if err = g.succeed(before); err != nil {
		_, released := g.data.release()
		return nil, errors.Join(err, released)
	}
	g.state = control.StateOK
	g.begin(u)
	g.servePage(g.data)
	return g, nil
}

// begin starts what a gateway does beside moving packets.
func (g *gateway) begin(u *update) {
	g.remember(u, g.loaded, []string{"op25b starts"})
	g.history.follow(g.rules.cfg.Leases)
	g.tried = startCounting(g)
}

// succeed has the predecessor let go, if there is one.
func (g *gateway) succeed(before *predecessor) error {
	if before == nil {
		return nil
	}
	handover, err := before.yield()
	if err != nil {
		return err
	}
	g.generation = handover.Generation + 1
	if handover.Clock.After(g.clock.Now()) {
		g.clock = rollout.NewClock(rollout.System(), handover.Clock)
	}
	if err := g.data.settle(handover.Restore); err != nil { // there is no way back
		g.log.Error("the machine is not as op25b needs it after the succession", zap.Error(err))
	}
	return nil
}

const (
	// reportEvery is how often refusals are summed up in the log, if there were any.
	reportEvery = 10 * time.Second
	// beat is how often the workers are looked at.
	beat = time.Second
	// retry is how long it takes, at first and at most, until a data path that is
	// lost is made anew.
	retryFirst, retryMost = 100 * time.Millisecond, 5 * time.Second
)

// serve keeps packets flowing until ctx ends, a successor has taken over, or there
// is no use in going on.
func (g *gateway) serve(ctx context.Context, signals <-chan os.Signal) error {
	reports, beats := time.NewTicker(reportEvery), time.NewTicker(beatInterval())
	defer reports.Stop()
	defer beats.Stop()
	again, boundary := make(<-chan time.Time), make(<-chan time.Time)
	wait := retryFirst
	var refused uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.yielded:
			return nil
		case s := <-signals:
			g.heed(s)
		case <-reports.C:
			refused = g.logRefused(refused)
		case now := <-beats.C:
			if err := g.beat(now); err != nil {
				return err
			}
			g.turn()
			if wait, planned := g.untilNext(g.clock.Now()); planned && 0 < wait && wait <= 2*beat {
				boundary = time.After(wait)
			}
		case <-boundary:
			g.turn()
		case err := <-g.ended():
			if !errors.Is(err, io.EOF) { // our own fault, which a new process may not have
				return err
			}
			g.lose(err)
			wait = retryFirst
			again = time.After(0)
		case <-again:
			if !g.regain() {
				again = time.After(wait)
				wait = min(2*wait, retryMost)
			}
		}
	}
}

// heed does what a signal asks for.
func (g *gateway) heed(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		go g.hangup()
	case syscall.SIGUSR2:
		go g.upgrade()
	}
}

// ended is where the router tells why it has ended by itself.
func (g *gateway) ended() <-chan error {
	if d := g.dataPath(); d != nil {
		return d.failed
	}
	return nil
}

func (g *gateway) dataPath() *dataPath {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.data
}

// lose takes the data path down after somebody has deleted one of its devices.
func (g *gateway) lose(why error) {
	g.log.Error("the packet path is gone; the kernel forwards by itself until it is there again", zap.Error(why))
	g.changing.Lock()
	defer g.changing.Unlock()
	d := g.dataPath()
	if err := d.close(); err != nil {
		g.log.Warn("what was left of the packet path could not be removed", zap.Error(err))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried.take(d.router, g.policy, time.Now())
	g.data, g.lost = nil, why
	g.past.add(d)
}

// regain makes the data path anew, and reports whether that went well.
func (g *gateway) regain() bool {
	notify(g.log, daemon.SdNotifyWatchdog) // it may take longer than a beat
	g.changing.Lock()
	defer g.changing.Unlock()
	g.mu.Lock()
	cfg, policy := g.rules.cfg, g.policy
	g.mu.Unlock()
	d, err := openDataPath(cfg, policy, nil, false, g.log)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		if g.lost == nil || g.lost.Error() != err.Error() { // it may last: said once
			g.log.Error("the packet path cannot be made anew yet", zap.Error(err))
		}
		g.lost = err
		return false
	}
	g.data, g.lost = d, nil
	g.servePage(d)
	g.log.Info("packets flow through op25b again")
	go storeQueues(g.log, d.ports[:]...)
	return true
}

// logRefused sums up the attempts since the last time; a refusal never gets a
// line of its own.
func (g *gateway) logRefused(before uint64) uint64 {
	stats := g.stats()
	now := stats.Refused()
	if now > before {
		g.log.Info("connections to blocked ports were refused",
			zap.Uint64("packets", now-before), zap.Duration("within", reportEvery), zap.Uint64("packets_total", now))
	}
	return now
}

// stats are those of all data paths together.
func (g *gateway) stats() stack.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counted().stats
}

// counted is what all data paths together have counted. g.mu is held.
func (g *gateway) counted() tally {
	h := g.past
	h.errors = maps.Clone(h.errors)
	if g.data != nil {
		h.add(g.data)
	}
	return h
}

// close undoes what is set up, unless a successor has it.
func (g *gateway) close() error {
	g.changing.Lock()
	defer g.changing.Unlock()
	g.mu.Lock()
	d := g.data
	g.state = control.StateStopping
	g.mu.Unlock()
	if d == nil {
		return nil
	}
	err := d.close()
	g.tried.take(d.router, g.policy, time.Now())
	return err
}

// end hands on what was counted, and closes the history.
func (g *gateway) end() error {
	g.tried.end()
	if g.page != nil {
		_ = g.page.Close()
	}
	return g.history.close()
}

// remains says in words what stays in the kernel once the gateway has ended.
func (g *gateway) remains() string {
	if d := g.dataPath(); d != nil {
		return d.host.Remains()
	}
	return "a successor goes on"
}

// Yield hands the interfaces to a successor, which reads their queues already, and
// ends this process. See [control.Gateway].
func (g *gateway) Yield(ctx context.Context, successor control.Peer) (control.Handover, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	d := g.dataPath()
	if d == nil {
		return control.Handover{}, errNoDataPath
	}
	if err := ctx.Err(); err != nil {
		return control.Handover{}, err
	}
	g.log.Info("a successor takes over", zap.Int("pid", successor.PID))
	restore, err := d.release()
	if err != nil { // it has everything all the same
		g.log.Warn("not everything could be let go", zap.Error(err))
	}
	notify(g.log, fmt.Sprintf("MAINPID=%d", successor.PID))
	stats := d.router.Stats()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried.take(d.router, g.policy, time.Now())
	g.past.add(d)
	g.data, g.state = nil, control.StateStopping
	close(g.yielded)
	return control.Handover{
		Version: control.HandoverVersion, PID: os.Getpid(), Generation: g.generation, Restore: restore, Clock: g.clock.Mark(),
		Packets:      packetCounts(&stats),
		NotifySocket: os.Getenv("NOTIFY_SOCKET"), WatchdogMicroseconds: os.Getenv("WATCHDOG_USEC"),
	}, nil
}

var errNoDataPath = errors.New("the interfaces are gone at the moment, and are being made anew: try again")

// Lend sends copies of the queues to a socket where a successor waits for them.
func (g *gateway) Lend(_ context.Context, address string) (control.LendResult, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	d := g.dataPath()
	if d == nil {
		return control.LendResult{}, errNoDataPath
	}
	sent, err := sendQueues(address, d.ports[:]...)
	return control.LendResult{Queues: sent}, err
}

func (h *tally) add(d *dataPath) {
	stats := d.router.Stats()
	h.stats.Add(&stats)
	if h.errors == nil {
		h.errors = map[string]uint64{}
	}
	for class, n := range d.router.Errors() {
		h.errors[class] += n
	}
	_, healed := d.host.Trouble()
	h.healed += healed
	h.shed += d.host.Shed()
	_, panics := d.router.Panics()
	h.panics += panics
	_, _, lost := d.router.AttemptsWaiting()
	h.attemptsLost += lost
	notice := d.router.Notice()
	h.notice.Greeted += notice.Greeted
	h.notice.FellBack += notice.FellBack
}
