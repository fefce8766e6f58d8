// SPDX-License-Identifier: Apache-2.0

package config

import "net/netip"

// Destinations is a group of destinations to which phases and brownouts can be
// limited, as the mail servers of the mobile carriers are.
type Destinations struct {
	// Name is unique among destinations; it shows up in explanations and logs.
	Name string `mapstructure:"name"`
	// Prefixes are masked, none twice; those of other groups may overlap or equal
	// them. [Load] adds those of PrefixesFile to them.
	Prefixes []netip.Prefix `mapstructure:"prefixes"`
	// PrefixesFile is the path of a list of prefixes, as it was written. Empty:
	// there is none.
	PrefixesFile string `mapstructure:"prefixes_file"`
}

// Rollout says from when on dynamic pools are refused. A pool that it does not
// name is refused at once and for good; without phases and brownouts every pool is.
type Rollout struct {
	// Phases are in any order, and each lasts for good. Empty: there is none.
	Phases []Phase `mapstructure:"phases"`
	// Brownouts are in any order. Empty: there is none.
	Brownouts []Brownout `mapstructure:"brownouts"`
}

// Phase is a step of the rollout: from Start on, a part of what pools send is
// refused.
type Phase struct {
	// Name is unique among phases and brownouts; it shows up in explanations and
	// logs.
	Name string `mapstructure:"name"`
	// Start is when the phase begins, in the past too. Zero is refused.
	Start Time `mapstructure:"start"`
	// Pools are the names of dynamic pools, each once. Empty: every dynamic pool.
	Pools []string `mapstructure:"pools"`
	// Destinations are names of [Policy.Destinations], each once. Empty: every
	// destination.
	Destinations []string `mapstructure:"destinations"`
	// Share of the subscribers that the phase takes in. A phase that has none gets
	// all of them from [Load].
	Share Share `mapstructure:"share"`
	// Mode says whether the phase refuses or only counts. A phase that has none
	// gets [ModeRefuse] from [Load].
	Mode Mode `mapstructure:"mode"`
}

// Brownout refuses for a while, as a rehearsal that was announced.
type Brownout struct {
	// Name is unique among phases and brownouts; it shows up in explanations and
	// logs.
	Name string `mapstructure:"name"`
	// From is its first moment, To the first one after it. Zero is refused.
	From Time `mapstructure:"from"`
	To   Time `mapstructure:"to"`
	// Pools are the names of dynamic pools, each once. Empty: every dynamic pool.
	Pools []string `mapstructure:"pools"`
	// Destinations are names of [Policy.Destinations], each once. Empty: every
	// destination.
	Destinations []string `mapstructure:"destinations"`
}

// complete fills in the defaults of phases.
func (r *Rollout) complete() {
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Share == 0 {
			p.Share = Everyone
		}
		if p.Mode == "" {
			p.Mode = ModeRefuse
		}
	}
}
