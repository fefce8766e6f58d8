// SPDX-License-Identifier: Apache-2.0

package config

import "os"

// origin knows where each value was written.
type origin struct {
	file      string
	lines     map[string]int    // path -> line in file
	variables map[string]string // path -> variable that is set, and so in force
}

func newOrigin(file string) origin {
	o := origin{file: file, lines: map[string]int{}, variables: map[string]string{}}
	for _, k := range keys() {
		if k.isList() {
			continue
		}
		if _, set := os.LookupEnv(k.variable()); set {
			o.variables[k.path] = k.variable()
		}
	}
	return o
}

// problem places a mistake. One about a key that was never written gets the
// line of the closest group around it.
func (o origin) problem(path, what, fix string) Problem {
	if variable, ok := o.variables[path]; ok {
		return Problem{File: environment, Path: variable, What: what, Fix: fix}
	}
	line := o.lines[path]
	for p, ok := parent(path); ok && line == 0; p, ok = parent(p) {
		line = o.lines[p]
	}
	return Problem{File: o.file, Line: line, Path: path, What: what, Fix: fix}
}
