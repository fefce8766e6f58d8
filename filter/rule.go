// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"net/netip"
	"slices"
)

// Mode says what a rule does with what it matches.
type Mode uint8

const (
	// Refuse refuses it, as a pool without rules does.
	Refuse Mode = iota
	// Monitor lets it pass, and counts it as [Monitored].
	Monitor
)

// Destinations is a named group of destinations that rules can be limited to. An
// address may be in several.
type Destinations struct {
	Name     string
	Prefixes []netip.Prefix
}

// Rule refuses, or monitors, a part of what would be refused to the subscribers of a
// scheduled pool. Where several match, one that refuses comes first.
type Rule struct {
	// Name is that of the phase or the brownout, for Explain.
	Name string
	Mode Mode
	// Destinations are names of Spec.Destinations. Empty means every destination.
	Destinations []string
	// Share is how many of the subscribers, in hundredths of a percent, from 1 to
	// [Everyone]: those whose [Place] is below it.
	Share uint16
}

// # What is softened
//
// A packet of a dynamic subscriber is judged as if everything were in force. What
// is not forwarded then, whatever the reason, is asked about once more: a rule that
// matches says refuse or monitor, and if none does it passes. So a subscriber whom
// no rule takes in is not held to the fragment guard either, and nothing at all is
// refused in monitor mode.
//
// A rule for some destinations goes by the destination in the header only if the
// TCP header was read, in no tunnel, and no routing header has more to visit. Of
// everything else nobody knows where it ends (a later fragment may bring a routing
// header, or be of a tunnel), so it is taken to be on its way to all destinations:
// else whoever is refused a group of them would reach it by another's address.

// scope says how far what a pool's subscribers are refused is in force.
type scope struct {
	bounded    bool   // only as far as rules match; else everywhere
	rules      []rule // those that refuse come first
	delegation int    // of IPv6, in bits
}

// rule is a compiled [Rule].
type rule struct {
	name         string
	mode         Mode
	share        uint16
	destinations []*table // nil: every destination
}

// soften returns what is in force of a verdict that does not forward v, a packet
// between a subscriber of a bounded pool and another.
func (s *scope) soften(v *packet, verdict Verdict, subscriber, other address) Verdict {
	v.rule = s.match(subscriber, other, v.read && !v.routed)
	switch {
	case v.rule == nil:
		return Verdict{Forward, ReasonNotInForce}
	case v.rule.mode == Monitor:
		return Verdict{Monitored, verdict.Reason}
	default:
		return verdict
	}
}

// match returns the first rule that takes in what is between a subscriber and
// another, or nil. Unless it is sure that the other is the other end, the rule's
// destinations do not matter.
func (s *scope) match(subscriber, other address, sure bool) *rule {
	at := place(s.holder(subscriber))
	for i := range s.rules {
		if r := &s.rules[i]; at < r.share && (!sure || r.covers(other)) {
			return r
		}
	}
	return nil
}

// covers reports whether a is one of the rule's destinations.
func (r *rule) covers(a address) bool {
	if r.destinations == nil {
		return true
	}
	for _, t := range r.destinations {
		if _, ok := t.lookup(a); ok {
			return true
		}
	}
	return false
}

// whole reports whether everything is refused, wherever it goes and whoever sends
// it.
func (s *scope) whole() bool {
	return !s.bounded || slices.ContainsFunc(s.rules, func(r rule) bool {
		return r.mode == Refuse && r.share == Everyone && r.destinations == nil
	})
}

// partly reports whether something is refused, and not everything.
func (s *scope) partly() bool { return !s.whole() && len(s.rules) > 0 && s.rules[0].mode == Refuse }

// equal reports whether the same is in force by both.
func (s *scope) equal(other *scope) bool {
	return s.bounded == other.bounded && s.delegation == other.delegation &&
		slices.EqualFunc(s.rules, other.rules, func(a, b rule) bool {
			return a.mode == b.mode && a.share == b.share &&
				slices.EqualFunc(a.destinations, b.destinations, func(a, b *table) bool {
					return slices.EqualFunc(a.prefixes, b.prefixes, func(a, b entry) bool { return a.prefix == b.prefix })
				})
		})
}

// groups are the compiled Destinations, by name.
type groups map[string]*table

func compileDestinations(all []Destinations) (groups, []error) {
	g := groups{}
	var errs []error
	for _, d := range all {
		if g[d.Name] != nil {
			errs = append(errs, fmt.Errorf("compile destinations %q: there is a group of this name already", d.Name))
		}
		t, err := compileTable("destinations", []string{d.Name}, [][]netip.Prefix{d.Prefixes})
		errs = append(errs, err)
		g[d.Name] = &t
	}
	return g, errs
}

// scope compiles what the pool says of rules.
func (p *Pool) scope(g groups) (scope, []error) {
	s := scope{bounded: p.Scheduled || p.Monitor, delegation: p.delegation()}
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("compile pool %q: "+format, append([]any{p.Name}, args...)...))
	}
	if s.delegation < minDelegation || s.delegation > maxDelegation {
		wrong("a delegation of /%d is not from /%d to /%d", p.Delegation, minDelegation, maxDelegation)
	}
	switch {
	case p.Static && (s.bounded || len(p.Rules) > 0):
		wrong("it is static, so that there is nothing to schedule or to monitor")
	case !p.Scheduled && len(p.Rules) > 0:
		wrong("it has rules, and is not scheduled")
	case !p.Scheduled && p.Monitor:
		s.rules = []rule{{mode: Monitor, share: Everyone}}
	}
	for _, one := range p.Rules {
		r := rule{name: one.Name, mode: one.Mode, share: one.Share}
		if one.Mode > Monitor {
			wrong("rule %q: no such mode: %d", one.Name, one.Mode)
		}
		if one.Share == 0 || one.Share > Everyone {
			wrong("rule %q: a share of %d is not from 1 to %d hundredths of a percent", one.Name, one.Share, Everyone)
		}
		for _, name := range one.Destinations {
			if g[name] == nil {
				wrong("rule %q: there are no destinations %q", one.Name, name)
			}
			r.destinations = append(r.destinations, g[name])
		}
		if p.Monitor {
			r.mode = Monitor
		}
		s.rules = append(s.rules, r)
	}
	slices.SortStableFunc(s.rules, func(a, b rule) int { return int(a.mode) - int(b.mode) })
	return s, errs
}
