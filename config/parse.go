// SPDX-License-Identifier: Apache-2.0

package config

import "op25b/config/input"

// source is a file after its shape was checked.
type source struct {
	origin
	values     map[string]any  // what was written, every value still as text
	meant      map[string]bool // keys that a misspelled or misplaced one was probably meant to be
	problems   Problems
	opened     []*list // the lists that were named and could be opened
	unreadable bool    // not YAML, or no group of keys: nothing else is known
}

// parse reads the one YAML document in data.
func parse(file string, data []byte) *source {
	s := &source{origin: newOrigin(file), values: map[string]any{}, meant: map[string]bool{}}
	root, wrong := input.YAML(input.Text(data))
	switch {
	case wrong != nil:
		s.unreadable = true
		s.problems = Problems{{File: file, Line: wrong.Line, What: wrong.What, Fix: wrong.Fix}}
	case root != nil: // otherwise everything is left to the defaults
		s.readRoot(root)
	}
	return s
}
