// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"op25b/config/input"
)

// maxSteps is how many phases, and how many brownouts, there can be. Each that is on
// is asked about for packets of its pools.
const maxSteps = 256

func (v *validator) destinations() {
	v.count("policy.destinations", len(v.Policy.Destinations))
	names := map[string]string{}
	set := newPrefixSet("policy.destinations", v.Policy.Destinations, func(d Destinations) []netip.Prefix { return d.Prefixes })
	set.apart = true
	for i, d := range v.Policy.Destinations {
		v.label(names, fmt.Sprintf("policy.destinations[%d].name", i), d.Name)
		v.prefixes(set, i, "a phase that names no destinations has all of it")
	}
}

func (v *validator) exemptions() {
	places := map[string]string{}
	for i, name := range v.Policy.Exemptions {
		v.filePath(places, fmt.Sprintf("policy.exemptions[%d]", i), name)
	}
}

// rollout checks phases and brownouts. They have their names in common: an
// explanation says only the name.
func (v *validator) rollout(pools, destinations group) {
	v.steps("policy.rollout.phases", len(v.Policy.Rollout.Phases))
	v.steps("policy.rollout.brownouts", len(v.Policy.Rollout.Brownouts))
	names := map[string]string{}
	for i, p := range v.Policy.Rollout.Phases {
		path := fmt.Sprintf("policy.rollout.phases[%d]", i)
		v.label(names, path+".name", p.Name)
		v.moment(path+".start", p.Start)
		v.dynamicPools(path+".pools", p.Pools, pools)
		v.references(path+".destinations", p.Destinations, destinations)
	}
	for i, b := range v.Policy.Rollout.Brownouts {
		path := fmt.Sprintf("policy.rollout.brownouts[%d]", i)
		v.label(names, path+".name", b.Name)
		v.moment(path+".from", b.From)
		v.moment(path+".to", b.To)
		if !b.From.IsZero() && !b.To.IsZero() && !b.To.After(b.From.Time) {
			v.report(path+".to", b.To.String()+" is not after "+b.From.String(), "write a later time")
		}
		v.dynamicPools(path+".pools", b.Pools, pools)
		v.references(path+".destinations", b.Destinations, destinations)
	}
	v.idle()
}

// idle finds pools that brownouts name in vain: what is in no phase is refused
// everything already.
func (v *validator) idle() {
	const phases = "policy.rollout.phases"
	if v.troubled(phases) {
		return // a phase may be meant to take them in
	}
	taken, all := map[string]bool{}, false
	for _, p := range v.Policy.Rollout.Phases {
		all = all || len(p.Pools) == 0
		for _, name := range p.Pools {
			taken[name] = true
		}
	}
	if all {
		return
	}
	for i, b := range v.Policy.Rollout.Brownouts {
		path := fmt.Sprintf("policy.rollout.brownouts[%d].pools", i)
		if len(b.Pools) == 0 && len(taken) == 0 {
			v.report(path, "every pool is in no phase, and so refused everything already", "add a phase, or remove the brownout")
		}
		for j, name := range b.Pools {
			at := fmt.Sprintf("%s[%d]", path, j)
			if !taken[name] && !v.troubled(at) {
				v.report(at, input.Quote(name)+" is in no phase, and so refused everything already", "add a phase for it, or remove it")
			}
		}
	}
}

// troubled tells whether there is a problem anywhere below path.
func (v *validator) troubled(path string) bool {
	for at, suspect := range v.suspects {
		if suspect && strings.HasPrefix(at, path) {
			return true
		}
	}
	return v.suspect(path) || slices.ContainsFunc(v.problems, func(p Problem) bool { return strings.HasPrefix(p.Path, path) })
}

func (v *validator) steps(path string, n int) {
	if n > maxSteps {
		v.report(path, fmt.Sprintf("has %d entries", n), fmt.Sprintf("write at most %d; remove those that others have overtaken", maxSteps))
	}
}

func (v *validator) moment(path string, t Time) {
	if t.IsZero() {
		v.report(path, "is missing", timeFix)
	}
}

// dynamicPools checks the names of pools that something is refused to.
func (v *validator) dynamicPools(path string, names []string, pools group) {
	v.references(path, names, pools)
	for i, name := range names {
		entry, ok := pools.entries[name]
		if ok && v.Policy.Pools[entry].Assignment == AssignmentStatic {
			v.report(fmt.Sprintf("%s[%d]", path, i), input.Quote(name)+" is a static pool, which is refused nothing",
				"remove it, or write assignment: dynamic for that pool")
		}
	}
}
