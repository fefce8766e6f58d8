// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"op25b/config"
	"op25b/exempt"
	"op25b/filter"
	"op25b/rollout"
)

// This file plays a rollout of a month over 100,000 subscribers in 20 pools, with the
// gateway's own code and a clock that is not real. At each boundary, and just before it,
// what subscribers get is held against a model that knows nothing of policies: some of
// them, or with OP25B_MONTH_WHOLE all.

const (
	monthPools       = 20
	monthSubscribers = 100_000
	ofEachPool       = monthSubscribers / monthPools
)

// monthSubscriber returns the i-th one's address and pool.
func monthSubscriber(i int) (netip.Addr, string) {
	pool, n := i/ofEachPool, i%ofEachPool
	return netip.AddrFrom4([4]byte{100, byte(64 + pool), byte(n >> 8), byte(n)}), fmt.Sprintf("pool-%02d", pool)
}

// monthDestinations are one in each group, one in none, and a relay.
func monthDestinations() map[string]netip.Addr {
	return map[string]netip.Addr{
		"mobile": netip.MustParseAddr("198.51.100.1"), "webmail": netip.MustParseAddr("203.0.113.1"),
		"other": netip.MustParseAddr("192.0.2.1"), "relay": netip.MustParseAddr("192.0.2.40"),
	}
}

func configTime(t time.Time) config.Time { return config.Time{Time: t} }

// newMonth makes a rollout that begins on a day. Its last phase takes in everybody.
func newMonth(day time.Time, dice *rand.Rand) *rulebook {
	cfg := config.Default()
	at := func(days int) time.Time {
		return day.AddDate(0, 0, days).Add(time.Duration(dice.IntN(24*60)) * time.Minute)
	}
	var names []string
	for i := range monthPools {
		name := fmt.Sprintf("pool-%02d", i)
		names = append(names, name)
		p := config.Pool{
			Name: name, Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + i), 0, 0}), 16)},
			Assignment: config.AssignmentDynamic, Response: config.ResponseReset, Mode: config.ModeRefuse,
		}
		if i == monthPools-1 {
			p.Mode = config.ModeMonitor
		}
		cfg.Policy.Pools = append(cfg.Policy.Pools, p)
	}
	some := func() []string {
		picked := slices.Clone(names[:monthPools-2]) // one is in no phase by name, and always refused
		dice.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
		return picked[:1+dice.IntN(8)]
	}
	addresses := monthDestinations()
	group := func(name string) config.Destinations {
		return config.Destinations{Name: name, Prefixes: []netip.Prefix{netip.PrefixFrom(addresses[name], 24).Masked()}}
	}
	cfg.Policy.Destinations = []config.Destinations{group("mobile"), group("webmail")}
	groups := [][]string{nil, {"mobile"}, {"webmail"}, {"mobile", "webmail"}}
	cfg.Policy.Relays = []config.Relay{{
		Name: "reseller", Prefixes: []netip.Prefix{netip.PrefixFrom(addresses["relay"], 32)}, Pools: names[3:7], Until: configTime(at(20)),
	}}
	for i := range 24 {
		p := config.Phase{Name: fmt.Sprintf("phase-%02d", i), Start: configTime(at(i)), Pools: some(), Destinations: groups[dice.IntN(len(groups))], Share: config.Share(1 + dice.IntN(10000)), Mode: config.ModeRefuse}
		if dice.IntN(4) == 0 {
			p.Mode = config.ModeMonitor
		}
		cfg.Policy.Rollout.Phases = append(cfg.Policy.Rollout.Phases, p)
	}
	cfg.Policy.Rollout.Phases = append(cfg.Policy.Rollout.Phases,
		config.Phase{Name: "everybody", Start: configTime(at(30)), Pools: names[:monthPools-2], Share: config.Everyone, Mode: config.ModeRefuse})
	for i := range 10 {
		from := at(2 * i)
		cfg.Policy.Rollout.Brownouts = append(cfg.Policy.Rollout.Brownouts, config.Brownout{
			Name: fmt.Sprintf("brownout-%d", i), From: configTime(from), To: configTime(from.Add(time.Duration(1+dice.IntN(120)) * time.Minute)),
			Pools: some(), Destinations: groups[dice.IntN(len(groups))],
		})
	}
	var exemptions []exempt.Exemption
	for i := range 12 {
		addr, _ := monthSubscriber(dice.IntN(monthSubscribers))
		prefix, _ := addr.Prefix([]int{32, 32, 24, 20}[i%4])
		if slices.ContainsFunc(exemptions, func(e exempt.Exemption) bool { return e.Prefix == prefix }) {
			continue
		}
		exemptions = append(exemptions, exempt.Exemption{Prefix: prefix, Reason: "test", Until: at(2 + 2*i)})
	}
	return newRulebook(&cfg, exemptions)
}

// modelled is what a subscriber should get at a time, by what the operator wrote.
func modelled(r *rulebook, addr netip.Addr, pool, destination string, place uint16, t time.Time) filter.Verdict {
	p := &r.cfg.Policy
	for _, e := range r.exemptions {
		if e.Prefix.Contains(addr) && t.Before(e.Until) {
			return filter.Verdict{Action: filter.Forward, Reason: filter.ReasonExempt}
		}
	}
	if relay := p.Relays[0]; destination == "relay" && slices.Contains(relay.Pools, pool) && t.Before(relay.Until.Time) {
		return filter.Verdict{Action: filter.Forward, Reason: filter.ReasonRelay}
	}
	monitors := pool == fmt.Sprintf("pool-%02d", monthPools-1)
	named, refused, monitored := false, false, false
	for _, phase := range p.Rollout.Phases {
		in := slices.Contains(phase.Pools, pool)
		named = named || in
		if !in || t.Before(phase.Start.Time) || place >= uint16(phase.Share) ||
			len(phase.Destinations) > 0 && !slices.Contains(phase.Destinations, destination) {
			continue
		}
		refused = refused || phase.Mode == config.ModeRefuse
		monitored = monitored || phase.Mode == config.ModeMonitor
	}
	for _, b := range p.Rollout.Brownouts {
		if slices.Contains(b.Pools, pool) && !t.Before(b.From.Time) && t.Before(b.To.Time) &&
			(len(b.Destinations) == 0 || slices.Contains(b.Destinations, destination)) {
			refused = true
		}
	}
	switch {
	case !named && monitors:
		return filter.Verdict{Action: filter.Monitored, Reason: filter.ReasonBlockedPort}
	case !named || refused:
		return filter.Verdict{Action: filter.Reset, Reason: filter.ReasonBlockedPort}
	case monitored:
		return filter.Verdict{Action: filter.Monitored, Reason: filter.ReasonBlockedPort}
	default:
		return filter.Verdict{Action: filter.Forward, Reason: filter.ReasonNotInForce}
	}
}

func TestMonth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGateway(t)
		g.data = nil
		rules := newMonth(time.Now().AddDate(0, 0, 1), rand.New(rand.NewPCG(25, 587)))
		g.clock = rollout.NewClock(rollout.System(), time.Time{})
		u, err := rules.update(g.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.apply(u); err != nil {
			t.Fatal(err)
		}
		boundaries := rules.schedule.Boundaries(time.Now(), time.Now().AddDate(1, 0, 0))
		if len(boundaries) < 50 {
			t.Fatalf("%d boundaries", len(boundaries))
		}
		look := func(at time.Time, step int) {
			time.Sleep(time.Until(at))
			g.turn()
			synctest.Wait()
			compareMonth(t, g, rules, time.Now(), step)
		}
		step := 29 // of so many subscribers one, another one each time
		if os.Getenv("OP25B_MONTH_WHOLE") != "" {
			step = 1
		}
		for i, boundary := range boundaries {
			for near := boundary.Add(-time.Second); time.Now().Add(time.Hour).Before(near); { // it is looked at all the time
				time.Sleep(time.Hour)
				g.turn()
				synctest.Wait()
			}
			look(boundary.Add(-time.Second), 4*step)
			look(boundary, step)
			if i%10 == 0 {
				t.Logf("%s: generation %d", boundary, g.generation)
			}
		}
		if want := 1 + len(boundaries); g.generation != want {
			t.Errorf("%d generations, want one for the start and each boundary: %d", g.generation, want)
		}
	})
}

// compareMonth holds one of every step subscribers against the model.
func compareMonth(t *testing.T, g *gateway, rules *rulebook, now time.Time, step int) {
	t.Helper()
	wrong := 0
	for name, to := range monthDestinations() {
		for i := int(now.Unix()) % step; i < monthSubscribers; i += step {
			addr, pool := monthSubscriber(i)
			packet := filter.Probe(netip.AddrPortFrom(addr, sourcePort), netip.AddrPortFrom(to, 25))
			got := g.policy.Decide(filter.Outbound, packet, filter.ChecksumUnknown)
			want := modelled(rules, addr, pool, name, filter.Place(netip.PrefixFrom(addr, addr.BitLen())), now)
			if got != want {
				if wrong++; wrong <= 3 {
					t.Errorf("%s: %s of %s to %s: %s (%s), want %s (%s)", now, addr, pool, name, got.Action, got.Reason, want.Action, want.Reason)
				}
			}
		}
	}
}
