// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
)

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
			v.report(fmt.Sprintf("%s[%d]", path, i), quote(name)+" is a static pool, which is refused nothing",
				"remove it, or write assignment: dynamic for that pool")
		}
	}
}
