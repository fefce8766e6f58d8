// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"op25b/config"
	"op25b/control"
	"op25b/filter"
	"op25b/tunnel"
)

// update is a configuration that is ready to be put in force.
type update struct {
	rules  *rulebook
	at     time.Time // as of when
	policy *filter.Policy
	size   filter.Size // of policy
	guard  tunnel.Guard
}

// hangup is a reload that nobody waits for.
func (g *gateway) hangup() {
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	_, _ = g.Reload(ctx, control.ReloadOptions{}) // the log has it
}

// Reload puts the policy that the file has now in force, all of it or, with an
// error, nothing. See [control.Gateway].
func (g *gateway) Reload(ctx context.Context, opts control.ReloadOptions) (control.ReloadResult, error) {
	g.changing.Lock()
	defer g.changing.Unlock()
	notify(g.log, "RELOADING=1\n"+daemon.SdNotifyMonotonicUsec())
	defer notify(g.log, daemon.SdNotifyReady)
	begun := time.Now()
	if opts.AcceptClock {
		g.acceptClock(ctx)
	}
	u, err := g.prepareWithin(ctx)
	var changes []string
	if err == nil {
		changes, err = g.weigh(u, opts.Force)
	}
	if err == nil {
		err = g.apply(u)
	}
	if err == nil {
		g.remember(u, g.loaded, changes)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reloaded = &control.ReloadStatus{Time: begun, OK: err == nil}
	if err != nil {
		g.reloaded.Error = err.Error()
		g.log.Error("reload refused: the old policy stays in force", zap.Strings("problems", problemsOf(err)), zap.Int("generation", g.generation))
		return control.ReloadResult{}, refusal(err)
	}
	g.level.SetLevel(zapLevel(u.rules.cfg.Log.Level))
	g.log.Info("reloaded", zap.Int("generation", g.generation), zap.Int("pools", len(u.rules.cfg.Policy.Pools)), zap.Strings("changes", changes))
	return control.ReloadResult{Generation: g.generation, Took: time.Since(begun).Seconds(), Changes: changes}, nil
}

// prepareWithin is prepare for as long as somebody waits. What hangs, on a file system
// that does not answer, is left alone: nothing has changed yet.
func (g *gateway) prepareWithin(ctx context.Context) (*update, error) {
	type prepared struct {
		update *update
		err    error
	}
	done := make(chan prepared, 1)
	go func(running *config.Config) {
		u, err := prepare(g.path, running, g.clock.Now())
		done <- prepared{u, err}
	}(g.rules.cfg)
	select {
	case p := <-done:
		return p.update, p.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", g.path, ctx.Err())
	}
}

// prepare reads the files and builds everything that could fail.
func prepare(path string, running *config.Config, now time.Time) (*update, error) {
	rules, err := loadRulebook(path)
	if err != nil {
		return nil, err
	}
	cfg := rules.cfg
	keys := running.RestartKeys(cfg)
	if running.Forwarding.Capture == config.CaptureSMTP && !slices.Equal(running.Policy.Ports, cfg.Policy.Ports) {
		keys = append(keys, "policy.ports") // there they are routing rules as well
	}
	if len(keys) > 0 {
		return nil, fmt.Errorf("%s cannot change while op25b runs: put the old value back, or restart op25b", strings.Join(keys, ", "))
	}
	return rules.update(now)
}

// weigh says what changes, and refuses what looks like a list that was cut off.
func (g *gateway) weigh(u *update, force bool) (changes []string, err error) {
	old, next := g.size, u.size
	const half = 2
	if !force && (next.Refused.IPv4 < old.Refused.IPv4/half || next.Refused.IPv6 < old.Refused.IPv6/half) {
		return nil, &control.Refusal{
			Problems: []string{fmt.Sprintf("less than half of the addresses that are refused port 25 would be left: "+
				"%.0f of %.0f IPv4 addresses, %.0f of %.0f IPv6 /64 networks", next.Refused.IPv4, old.Refused.IPv4, next.Refused.IPv6, old.Refused.IPv6)},
			Fix: "if that is what you want, type: op25b reload --force",
		}
	}
	return changesOf(filter.DiffPolicies(g.policy, u.policy)), nil
}

// apply puts an update in force. The guard comes first: it is the one that may fail.
func (g *gateway) apply(u *update) error {
	d := g.dataPath()
	if d != nil {
		if err := d.host.SetGuard(u.guard); err != nil {
			return err
		}
		d.router.SetPolicy(u.policy)
		d.router.SetNotice(u.rules.cfg.Texts.Notice)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold(u)
	g.generation++
	g.loaded = time.Now()
	return nil
}

// hold keeps what an update has. g.mu is held, or nobody else knows g yet.
func (g *gateway) hold(u *update) {
	g.rules, g.effective, g.behind = u.rules, u.at, nil
	g.next, _ = u.rules.schedule.Next(u.at)
	g.policy, g.size, g.probe = u.policy, u.size, newProbe(u.rules.cfg, u.policy)
}

// changesOf says in words what a new policy changes.
func changesOf(d filter.Diff) []string {
	var changes []string
	say := func(n int, one, many string) {
		switch {
		case n == 1:
			changes = append(changes, "1 "+one)
		case n > 1:
			changes = append(changes, fmt.Sprintf("%d %s", n, many))
		}
	}
	say(d.BecomeDynamic, "prefix becomes dynamic", "prefixes become dynamic")
	say(d.BecomeStatic, "prefix becomes static", "prefixes become static")
	say(d.AddedDynamic, "dynamic prefix is added", "dynamic prefixes are added")
	say(d.AddedStatic, "static prefix is added", "static prefixes are added")
	say(d.RemovedDynamic, "dynamic prefix is removed", "dynamic prefixes are removed")
	say(d.RemovedStatic, "static prefix is removed", "static prefixes are removed")
	say(d.Answered, "dynamic prefix gets another response", "dynamic prefixes get another response")
	say(d.Rescheduled, "dynamic prefix is refused by other phases", "dynamic prefixes are refused by other phases")
	say(d.AddedExempt, "prefix becomes exempt", "prefixes become exempt")
	say(d.RemovedExempt, "prefix is exempt no more", "prefixes are exempt no more")
	changes = append(changes, amounts(d.Refused, "can no longer reach blocked ports")...)
	changes = append(changes, amounts(d.Freed, "can reach blocked ports")...)
	say(d.AddedRelays, "relay prefix is added", "relay prefixes are added")
	say(d.RemovedRelays, "relay prefix is removed", "relay prefixes are removed")
	say(d.ChangedRelays, "relay prefix is for other pools", "relay prefixes are for other pools")
	for _, port := range d.AddedPorts {
		changes = append(changes, fmt.Sprintf("port %d becomes blocked", port))
	}
	for _, port := range d.RemovedPorts {
		changes = append(changes, fmt.Sprintf("port %d is no longer blocked", port))
	}
	return changes
}

// amounts says how many addresses something happens to.
func amounts(n filter.Amount, what string) []string {
	var said []string
	if n.IPv4 > 0 {
		said = append(said, fmt.Sprintf("IPv4 addresses that %s: %.0f", what, n.IPv4))
	}
	if n.IPv6 > 0 {
		said = append(said, fmt.Sprintf("IPv6 /64 networks that %s: %.6g", what, n.IPv6))
	}
	return said
}

// refusal is what a client of the control socket gets of an error.
func refusal(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, new(*control.Refusal)) {
		return err
	}
	return &control.Refusal{Problems: problemsOf(err)}
}

// problemsOf returns the lines of an error, each a mistake of its own.
func problemsOf(err error) []string {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return strings.Split(err.Error(), "\n")
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return lines
}
