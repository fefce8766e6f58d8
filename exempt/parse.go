// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v3"

	"op25b/config/input"
)

// document is a file that was read, with the places of what it says.
type document struct {
	file     string
	text     []byte     // without the mark that some editors put before it
	root     *yaml.Node // nil: there is nothing but comments
	list     *yaml.Node // nil: there is none, or no more than its heading
	entries  []entry    // the good ones
	problems Problems   // by line
}

// entry is one exemption and where it is written.
type entry struct {
	Exemption

	path  string // exemptions[0]
	node  *yaml.Node
	until *yaml.Node // value of the key
}

// parse reads the one YAML document in data. Prefixes are remembered in seen, so
// that one that is there already is found to be written twice.
func parse(file string, data []byte, seen map[netip.Prefix]Exemption) *document {
	d := &document{file: file, text: input.Text(data)}
	root, wrong := input.YAML(d.text)
	switch {
	case wrong != nil:
		d.report(wrong.Line, "", wrong.What, wrong.Fix)
	case root != nil:
		d.readRoot(root)
		d.findTwice(seen)
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	}
	return d
}

func (d *document) report(line int, path, what, fix string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: path, What: what, Fix: fix})
}

// findTwice reports prefixes that somebody has already, and remembers the others.
func (d *document) findTwice(seen map[netip.Prefix]Exemption) {
	for _, e := range d.entries {
		first, twice := seen[e.Prefix]
		if !twice {
			seen[e.Prefix] = e.Exemption
			continue
		}
		d.report(e.Line, e.path+".prefix", fmt.Sprintf("%s is exempt at %s:%d already", e.Prefix, first.File, first.Line), "keep one of the two")
	}
}

func (d *document) exemptions() []Exemption {
	all := make([]Exemption, len(d.entries))
	for i, e := range d.entries {
		all[i] = e.Exemption
	}
	return all
}
