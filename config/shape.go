// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"op25b/config/input"
)

// readRoot checks the tree against Config and keeps what fits. The recursion is
// as deep as Config, whatever the file holds.
func (s *source) readRoot(root *yaml.Node) {
	values, ok := s.read(root, reflect.TypeFor[Config](), "").(map[string]any)
	s.values, s.unreadable = values, !ok
}

// read returns the node as t wants it: a map for a group, a slice for a list,
// else the text. Nil: it does not fit, and a problem says so.
func (s *source) read(n *yaml.Node, t reflect.Type, path string) any {
	switch {
	case n.Kind == yaml.AliasNode:
		// No two places of this file may hold the same value anyway, and
		// without aliases it cannot grow beyond its size.
		return s.refuse(n, path, "uses the alias *"+show(n.Value), "write the value out")
	case isGroup(t):
		return s.readGroup(n, t, path)
	case isList(t):
		return s.readList(n, t, path)
	default:
		return s.readValue(n, t, path)
	}
}

func (s *source) readGroup(n *yaml.Node, t reflect.Type, path string) any {
	if n.ShortTag() == "!!null" {
		return map[string]any{} // a heading whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		return s.refuse(n, path, "is "+describe(n)+" where a group of keys belongs",
			"write its keys one per line, as in "+fields(t)[0].name+": …")
	}
	group := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		f, known := lookup(t, name)
		if !known {
			s.refuseKey(name, t, path)
			continue
		}
		at := join(path, f.name)
		if first, twice := s.lines[at]; twice {
			s.refuse(name, at, "is written twice, first on line "+strconv.Itoa(first), "keep one of the two")
			continue
		}
		s.lines[at] = name.Line
		if v := s.read(value, f.typ, at); v != nil {
			group[f.name] = v
		}
	}
	return group
}

func (s *source) readList(n *yaml.Node, t reflect.Type, path string) any {
	if n.ShortTag() == "!!null" {
		return s.refuse(n, path, "has no value", "write a list, [] for an empty one, or remove the line")
	}
	if n.Kind != yaml.SequenceNode {
		fix := "write each item on its own line after a dash"
		if n.Kind == yaml.ScalarNode {
			fix = "write [" + show(n.Value) + "]"
		}
		return s.refuse(n, path, "is "+describe(n)+" where a list belongs", fix)
	}
	list := make([]any, len(n.Content))
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		s.lines[at] = item.Line
		list[i] = s.read(item, t.Elem(), at) // nil keeps the place, so that later items keep their number
	}
	return list
}

// readValue checks text against number; what the text says is decode's.
func (s *source) readValue(n *yaml.Node, t reflect.Type, path string) any {
	if n.ShortTag() == "!!null" {
		return s.refuse(n, path, "has no value", "write "+example(t)+", or remove the line")
	}
	if n.Kind != yaml.ScalarNode {
		return s.refuse(n, path, "is "+describe(n)+" where one value belongs", "write "+example(t))
	}
	isText := n.ShortTag() == "!!str" || t == reflect.TypeFor[Time]() && n.ShortTag() == "!!timestamp"
	switch {
	case !isNumber(t) && isText, isNumber(t) && isDecimal(n), isAuto(t) && n.Value == auto:
		return n.Value
	case isNumber(t) && isText && isDecimal(&yaml.Node{Value: n.Value}):
		return s.refuse(n, path, input.Quote(n.Value)+" is text where a number belongs", "write "+show(n.Value)+", without quotes")
	case isNumber(t):
		return s.refuse(n, path, show(n.Value)+" is not a whole decimal number", "write "+example(t))
	case isClosed(t):
		return s.refuse(n, path, show(n.Value)+" is "+describe(n)+" where a word belongs", "write "+example(t))
	case t.Kind() == reflect.String:
		return s.refuse(n, path, show(n.Value)+" is "+describe(n)+" where text belongs", "write "+input.Quote(n.Value)+" if that is meant")
	default:
		return s.refuse(n, path, show(n.Value)+" is "+describe(n)+" where text belongs", "write "+example(t))
	}
}

func (s *source) refuse(n *yaml.Node, path, what, fix string) any {
	s.problems = append(s.problems, Problem{File: s.file, Line: n.Line, Path: path, What: what, Fix: fix})
	return nil
}

// refuseKey reports a key that does not exist, and what was probably meant.
func (s *source) refuseKey(name *yaml.Node, t reflect.Type, path string) {
	at := join(path, printable(name))
	var known []string
	for _, f := range fields(t) {
		known = append(known, f.name)
	}
	near := nearest(name.Value, known)
	if i := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(k, name.Value+"_") }); i >= 0 {
		near = known[i] // secret is secret_file, not socket
	}
	if near != "" {
		s.meant[join(path, near)] = true
		s.refuse(name, at, "unknown key", "did you mean "+near+"?")
		return
	}
	for _, k := range keys() {
		if strings.HasSuffix("."+k.path, "."+name.Value) {
			s.meant[k.path] = true
			fix := "write it at the left margin"
			if group, below := parent(k.path); below {
				fix = "write it indented below " + group + ":"
			}
			s.refuse(name, at, "unknown key here", fix)
			return
		}
	}
	s.refuse(name, at, "unknown key", "remove it; keys here are "+strings.Join(known, ", "))
}

// lookup finds a key, spelled exactly.
func lookup(t reflect.Type, name *yaml.Node) (field, bool) {
	for _, f := range fields(t) {
		if name.Kind == yaml.ScalarNode && f.name == name.Value {
			return f, true
		}
	}
	return field{}, false
}

// printable returns the key as it may stand in a path.
func printable(name *yaml.Node) string {
	if name.Kind != yaml.ScalarNode {
		return "(" + describe(name) + ")"
	}
	plain := func(r rune) bool {
		return r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if name.Value == "" || strings.ContainsFunc(name.Value, func(r rune) bool { return !plain(r) }) {
		return input.Quote(name.Value)
	}
	return name.Value
}

// describe names what a node is, for messages.
func describe(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!map":
		return "a group of keys"
	case "!!seq":
		return "a list"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a yes-or-no value"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "nothing"
	}
	return "a value tagged " + show(n.Tag)
}
