// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
	"strings"
)

// strayVariables finds variables that look like ours and set nothing. Other
// OP25B_ names are left alone: scripts and orchestrators make up their own.
func strayVariables(environ []string) Problems {
	var known, lists []string
	for _, k := range keys() {
		if k.isList() {
			lists = append(lists, k.variable())
			continue
		}
		known = append(known, k.variable())
	}
	var out Problems
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) {
			continue
		}
		p := Problem{File: environment, Path: name, What: "unknown variable"}
		near := nearest(name, known)
		switch {
		case slices.Contains(lists, name):
			p.What, p.Fix = "a list cannot come from the environment", "write it in the file"
		case near != "":
			p.Fix = "did you mean " + near + "?"
		case inSection(name):
			p.Fix = "unset it; the keys are in docs/config.md"
		default:
			continue
		}
		out = append(out, p)
	}
	// The environment has no order of its own.
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// inSection tells names that start as those of a section's keys do.
func inSection(variable string) bool {
	return slices.ContainsFunc(fields(reflect.TypeFor[Config]()), func(f field) bool {
		return strings.HasPrefix(variable, envPrefix+strings.ToUpper(f.name)+"_")
	})
}
