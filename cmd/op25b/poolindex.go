// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"op25b/config"
)

// poolOf is the pool that a prefix belongs to. The name is empty if there is none.
type poolOf struct {
	name   string
	static bool
}

// poolPrefix is a prefix of a pool.
type poolPrefix struct {
	netip.Prefix
	pool poolOf
}

// poolIndex has the prefixes of all pools, sorted, so that those inside another come
// right behind it.
type poolIndex []poolPrefix

func indexPools(cfg *config.Config) poolIndex {
	var index poolIndex
	for _, p := range cfg.Policy.Pools {
		for _, prefix := range p.Prefixes {
			index = append(index, poolPrefix{prefix, poolOf{p.Name, p.Assignment == config.AssignmentStatic}})
		}
	}
	slices.SortFunc(index, func(a, b poolPrefix) int { return a.Compare(b.Prefix) })
	return index
}

// of returns the pool that has all of a prefix, or the names of those that have parts.
func (x poolIndex) of(p netip.Prefix) poolOf {
	for bits := p.Bits(); bits > 0; bits-- {
		around, err := p.Addr().Prefix(bits)
		if i, found := x.find(around); found && err == nil {
			return x[i].pool
		}
	}
	parts := map[string]bool{}
	static := true
	first, _ := x.find(p)
	for _, inside := range x[first:] {
		if !p.Overlaps(inside.Prefix) {
			break
		}
		parts[inside.pool.name] = true
		static = static && inside.pool.static
	}
	return poolOf{strings.Join(slices.Sorted(maps.Keys(parts)), ","), static && len(parts) > 0}
}

// find returns where a prefix is, or would be.
func (x poolIndex) find(p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(x, p, func(a poolPrefix, b netip.Prefix) int { return a.Compare(b) })
}
