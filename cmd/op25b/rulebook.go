// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"op25b/config"
	"op25b/exempt"
	"op25b/filter"
	"op25b/rollout"
)

// rulebook is what the operator wrote about who is refused what: the configuration and
// the exemptions that it names. What of it is in force is a matter of time. It is not
// changed once it is made.
type rulebook struct {
	cfg        *config.Config
	exemptions []exempt.Exemption
	schedule   rollout.Schedule
	texts      customerTexts // nil in rules of the past
}

// loadRulebook reads the configuration and the files that it names.
func loadRulebook(path string) (*rulebook, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	exemptions, err := exempt.Load(cfg.Policy.Exemptions...)
	if err != nil {
		return nil, &configError{err}
	}
	r := newRulebook(cfg, exemptions)
	if r.texts, err = loadTexts(cfg.Texts.Directory); err != nil {
		return nil, &configError{err}
	}
	return r, r.check()
}

func newRulebook(cfg *config.Config, exemptions []exempt.Exemption) *rulebook {
	r := &rulebook{cfg: cfg, exemptions: exemptions}
	for _, p := range cfg.Policy.Rollout.Phases {
		r.schedule.Phases = append(r.schedule.Phases, rollout.Phase{
			Name: p.Name, Start: p.Start.Time, Pools: p.Pools, Destinations: p.Destinations,
			Share: uint16(p.Share), Mode: rollout.Mode(p.Mode),
		})
	}
	for _, b := range cfg.Policy.Rollout.Brownouts {
		r.schedule.Brownouts = append(r.schedule.Brownouts, rollout.Brownout{
			Name: b.Name, From: b.From.Time, To: b.To.Time, Pools: b.Pools, Destinations: b.Destinations,
		})
	}
	for _, relay := range cfg.Policy.Relays {
		if !relay.Until.IsZero() {
			r.schedule.Ends = append(r.schedule.Ends, rollout.End{Time: relay.Until.Time, What: "relay " + relay.Name + " ends"})
		}
	}
	for _, e := range exemptions {
		r.schedule.Ends = append(r.schedule.Ends, rollout.End{Time: e.Until, What: "the exemption of " + e.Prefix.String() + " ends"})
	}
	return r
}

// check finds exemptions that exempt nobody.
func (r *rulebook) check() error {
	if len(r.exemptions) == 0 {
		return nil
	}
	pools := indexPools(r.cfg)
	var errs []error
	for _, e := range r.exemptions {
		if pools.of(e.Prefix).name == "" {
			errs = append(errs, fmt.Errorf("%s:%d: %s is in no pool: correct it, or add it to policy.pools in the configuration", e.File, e.Line, e.Prefix))
		}
	}
	if len(errs) > 0 {
		return &configError{errors.Join(errs...)}
	}
	return nil
}

// at compiles what is in force at a time.
func (r *rulebook) at(t time.Time) (*filter.Policy, error) {
	policy, err := filter.Compile(r.spec(t))
	if err != nil {
		return nil, fmt.Errorf("this configuration should have been refused: %w", err)
	}
	return policy, nil
}

// spec is what is in force at a time.
func (r *rulebook) spec(t time.Time) filter.Spec {
	c := r.cfg
	spec := filter.Spec{
		Ports:                  c.Policy.Ports,
		JudgeEstablished:       c.Policy.Established == config.EstablishedReset,
		BlockInboundSourcePort: c.Policy.InboundSourcePort == config.InboundSourcePortBlock,
		ValidateSource:         c.Forwarding.SourceValidation == config.SourceValidationStrict,
		Router:                 c.Tunnel.Addresses,
		InspectTunnels: filter.Tunnels{
			IPIP:      slices.Contains(c.Policy.InspectTunnels, config.EncapsulationIPIP),
			SixInFour: slices.Contains(c.Policy.InspectTunnels, config.Encapsulation6in4),
			GRE:       slices.Contains(c.Policy.InspectTunnels, config.EncapsulationGRE),
		},
	}
	for _, d := range c.Policy.Destinations {
		spec.Destinations = append(spec.Destinations, filter.Destinations{Name: d.Name, Prefixes: d.Prefixes})
	}
	for _, relay := range c.Policy.Relays {
		if relay.Until.IsZero() || t.Before(relay.Until.Time) {
			spec.Relays = append(spec.Relays, filter.Relay{Name: relay.Name, Prefixes: relay.Prefixes, Pools: relay.Pools})
		}
	}
	for _, p := range c.Policy.Pools {
		spec.Pools = append(spec.Pools, r.pool(&p, t))
	}
	for _, e := range exempt.Active(r.exemptions, t) {
		spec.Exemptions = append(spec.Exemptions, filter.Exemption{Prefix: e.Prefix})
	}
	return spec
}

func (r *rulebook) pool(p *config.Pool, t time.Time) filter.Pool {
	pool := filter.Pool{
		Name: p.Name, Prefixes: p.Prefixes,
		Static:     p.Assignment == config.AssignmentStatic,
		Response:   response(p.Response),
		Monitor:    p.Mode == config.ModeMonitor,
		Delegation: int(p.Delegation),
	}
	if pool.Static || !r.schedule.Scheduled(p.Name) {
		return pool
	}
	pool.Scheduled = true
	for _, a := range r.schedule.At(p.Name, t) {
		rule := filter.Rule{Name: a.Name, Destinations: a.Destinations, Share: a.Share}
		if a.Mode == rollout.Monitor {
			rule.Mode = filter.Monitor
		}
		pool.Rules = append(pool.Rules, rule)
	}
	return pool
}

func response(r config.Response) filter.Response {
	switch r {
	case config.ResponseProhibited:
		return filter.RespondProhibited
	case config.ResponseDrop:
		return filter.RespondDrop
	case config.ResponseNotice:
		return filter.RespondNotice
	default:
		return filter.RespondReset
	}
}
