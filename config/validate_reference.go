// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"

	"op25b/config/input"
)

// group is what names can refer to: the pools, or the destinations.
type group struct {
	path    string         // policy.pools
	entries map[string]int // by name; the first of those that have it
	whole   bool           // each entry has a name, so that one that is not found is wrong
}

// groupOf collects the names of a group.
func groupOf[T any](v *validator, path string, entries []T, name func(T) string) group {
	g := group{path: path, entries: make(map[string]int, len(entries)), whole: !v.suspect(path)}
	for i, entry := range entries {
		switch _, twice := g.entries[name(entry)]; {
		case name(entry) == "":
			g.whole = false
		case !twice:
			g.entries[name(entry)] = i
		}
	}
	return g
}

// references checks a list of names of a group: each is known, and stands there
// once.
func (v *validator) references(path string, names []string, g group) {
	places := map[string]string{}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, ok := g.entries[name]; ok {
			seen(v, places, name, at, input.Quote(name))
		} else if g.whole {
			v.report(at, input.Quote(name)+" is not in "+g.path, g.suggest(name))
		}
	}
}

// suggest says what to write instead of a name that is not known.
func (g group) suggest(name string) string {
	const some = 1000 // among more, a search for each wrong name would take long
	if len(g.entries) <= some {
		if near := nearest(name, slices.Sorted(maps.Keys(g.entries))); near != "" {
			return "did you mean " + show(near) + "?"
		}
	}
	return "write the name of an entry there, or add one"
}
