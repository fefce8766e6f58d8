// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"op25b/config"
	"op25b/filter"
	"op25b/stack"
)

const (
	// stall is how long a worker may have something to do and not get on before
	// that is told, and the service manager hears nothing more.
	stall = 2 * time.Second
	// hang is when the gateway ends by itself: the kernel forwards then, with the
	// blocked ports shut, and a service manager starts it again.
	hang = 5 * time.Second
)

// probe is a packet whose verdict is known, to find out whether decisions are made.
type probe struct {
	packet []byte
	want   filter.Verdict
}

// newProbe makes a SYN from a dynamic pool to a blocked port.
func newProbe(cfg *config.Config, policy *filter.Policy) *probe {
	for _, pool := range cfg.Policy.Pools {
		if pool.Assignment != config.AssignmentDynamic || len(pool.Prefixes) == 0 {
			continue
		}
		from := pool.Prefixes[0].Addr()
		packet := filter.Probe(netip.AddrPortFrom(from, 40000), somewhere(from, cfg.Policy.Ports[0]))
		return &probe{packet, policy.Decide(filter.Outbound, packet, filter.ChecksumUnknown)}
	}
	return nil
}

// beatInterval is how often the gateway says that it is well: three times as often as
// the service manager wants to hear it, and once a second without one.
func beatInterval() time.Duration {
	wanted, err := daemon.SdWatchdogEnabled(false)
	if err != nil || wanted == 0 {
		return beat
	}
	const often = 3
	return min(beat, wanted/often)
}

// beat looks at the workers and has a packet decided, and tells the service manager
// that all is well. It returns an error when there is no use in going on.
func (g *gateway) beat(now time.Time) error {
	g.mu.Lock()
	d, policy, p := g.data, g.policy, g.probe
	g.mu.Unlock()
	if p != nil {
		if got := policy.Decide(filter.Outbound, p.packet, filter.ChecksumUnknown); got != p.want {
			return fmt.Errorf("a packet of our own got the verdict %s (%s) where it got %s (%s) before: memory may be damaged",
				got.Action, got.Reason, p.want.Action, p.want.Reason)
		}
	}
	var workers []stack.Progress
	if d != nil {
		workers = d.router.Progress(now)
	}
	var longest time.Duration
	for _, w := range workers {
		longest = max(longest, now.Sub(w.Moved))
	}
	g.setProgress(workers, longest > stall)
	switch {
	case longest > hang:
		return errors.New("a worker hangs: it has packets, and does not get on")
	case longest > stall:
		g.log.Error("a worker has packets and does not get on", zap.Duration("for", longest))
		return nil
	}
	notify(g.log, daemon.SdNotifyWatchdog)
	return nil
}

func (g *gateway) setProgress(workers []stack.Progress, stalled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.progress, g.stalled = workers, stalled
}
