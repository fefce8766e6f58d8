// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
)

// origin knows where each value was written.
type origin struct {
	file      string
	lines     map[string]int    // path -> line in file
	variables map[string]string // path -> variable that is set, and so in force
	lists     map[string]*list  // path of the prefixes that go on in a list -> that list
}

func newOrigin(file string) origin {
	o := origin{file: file, lines: map[string]int{}, variables: map[string]string{}, lists: map[string]*list{}}
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

// prefixAt says where the i-th prefix of a list of them was written; path is that of
// the list.
func (o origin) prefixAt(path string, i int) string {
	if l, ok := o.lists[path]; ok && i >= l.first {
		return fmt.Sprintf("%s:%d", l.file, l.lines[i-l.first])
	}
	return fmt.Sprintf("%s[%d]", path, i)
}
