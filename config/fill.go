// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"

	"op25b/config/input"
)

// fill reads the lists that pools, relays and destinations name, and adds their prefixes to
// those in the configuration. Suspects are paths that have a problem already.
func (s *source) fill(c *Config, suspects map[string]bool) Problems {
	f := filler{source: s, suspects: suspects}
	for i := range c.Policy.Destinations {
		d := &c.Policy.Destinations[i]
		d.Prefixes = f.fill(fmt.Sprintf("policy.destinations[%d]", i), d.PrefixesFile, d.Prefixes)
	}
	for i := range c.Policy.Relays {
		r := &c.Policy.Relays[i]
		r.Prefixes = f.fill(fmt.Sprintf("policy.relays[%d]", i), r.PrefixesFile, r.Prefixes)
	}
	for i := range c.Policy.Pools {
		p := &c.Policy.Pools[i]
		p.Prefixes = f.fill(fmt.Sprintf("policy.pools[%d]", i), p.PrefixesFile, p.Prefixes)
	}
	return f.problems
}

type filler struct {
	*source
	suspects map[string]bool
	problems Problems // about the keys; those about a list's content are kept with it
}

// fill returns the prefixes of one of them with those of its list, if it has one.
func (f *filler) fill(path, name string, prefixes []netip.Prefix) []netip.Prefix {
	key := path + ".prefixes_file"
	if _, written := f.lines[key]; !written || f.suspects[key] {
		return prefixes
	}
	if !isPlainPath(name) {
		f.report(key, input.Quote(name)+" is not a plain path", "write one, as in residential.txt, or remove the line")
		return prefixes
	}
	name = f.resolve(name)
	file, err := input.Open(name, maxListSize)
	if err != nil {
		f.report(key, err.Error(), listFix(err))
		return prefixes
	}
	defer file.Close()
	l := &list{file: name, key: key}
	f.opened = append(f.opened, l)
	f.lists[path+".prefixes"] = l
	prefixes = slices.Grow(prefixes, room(file))
	if prefixes, err = l.read(file, prefixes); err != nil {
		f.report(key, err.Error(), listFix(err))
	}
	return prefixes
}

func (f *filler) report(path, what, fix string) {
	f.problems = append(f.problems, f.problem(path, what, fix))
}
