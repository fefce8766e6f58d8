// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"op25b/config/input"
)

// heading is the one key of the file.
const heading = "exemptions"

// readRoot reads the whole tree. Its depth is that of the format, whatever the
// file holds.
func (d *document) readRoot(root *yaml.Node) {
	d.root = root
	if isNothing(root) {
		d.root = nil
		return
	}
	list, written := d.readGroup(root, "", heading)[heading]
	switch {
	case !written || isNothing(list): // a heading whose entries are all commented out
	case !d.isPlain(list, heading):
	case list.Kind != yaml.SequenceNode:
		d.report(list.Line, heading, "is "+describe(list)+" where a list belongs", "write each exemption after a dash, or [] for none")
	default:
		d.list = list
		for i, item := range list.Content {
			d.readEntry(item, heading+"["+strconv.Itoa(i)+"]")
		}
	}
}

// readEntry reads one exemption and keeps it if nothing is wrong with it.
func (d *document) readEntry(n *yaml.Node, path string) {
	known := len(d.problems)
	values := d.readGroup(n, path, "prefix", "reason", "ticket", "by", "added", "until")
	if values == nil {
		return
	}
	e := entry{path: path, node: n, until: values["until"]}
	e.File, e.Line = d.file, n.Line
	need := func(key, example string) {
		if values[key] == nil {
			d.report(n.Line, path, key+" is missing", "write "+key+": "+example)
		}
	}
	need("prefix", "192.0.2.1")
	need("reason", "mail server that moves to a static line")
	need("until", "2027-03-31 00:00 Asia/Tokyo")
	read(d, values, path, "prefix", ParsePrefix, &e.Prefix)
	read(d, values, path, "reason", parseText, &e.Reason)
	read(d, values, path, "ticket", parseText, &e.Ticket)
	read(d, values, path, "by", parseText, &e.By)
	read(d, values, path, "added", ParseTime, &e.Added)
	read(d, values, path, "until", ParseTime, &e.Until)
	if len(d.problems) == known {
		d.entries = append(d.entries, e)
	}
}

// read reads the value of a key, if it was written.
func read[T any](d *document, values map[string]*yaml.Node, path, key string, parse func(string) (T, error), into *T) {
	n := values[key]
	if n == nil {
		return
	}
	path += "." + key
	switch {
	case !d.isPlain(n, path):
		return
	case n.ShortTag() == "!!null":
		d.report(n.Line, path, "has no value", "write one, or remove the line")
		return
	case n.Kind != yaml.ScalarNode:
		d.report(n.Line, path, "is "+describe(n)+" where one value belongs", "write one value")
		return
	}
	// As it is written, whatever YAML takes it for; > and | add the last line's end.
	value, err := parse(strings.TrimRight(n.Value, "\n"))
	if m, ok := errors.AsType[*mistake](err); ok {
		d.report(n.Line, path, m.what, m.fix)
	}
	*into = value
}

// readGroup returns the values of a group by key, and reports keys that are not
// known or written twice. Nil: it is no group.
func (d *document) readGroup(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	if !d.isPlain(n, path) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, path, "is "+describe(n)+" where a group of keys belongs", "write its keys one per line, as in "+known[0]+": …")
		return nil
	}
	values, lines := map[string]*yaml.Node{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case !d.isPlain(key, path):
		case key.Kind != yaml.ScalarNode:
			d.report(key.Line, path, "has "+describe(key)+" for a key", "remove it; keys here are "+strings.Join(known, ", "))
		case !slices.Contains(known, key.Value):
			d.report(key.Line, path, "unknown key "+input.Quote(key.Value), "remove it; keys here are "+strings.Join(known, ", "))
		case lines[key.Value] > 0:
			d.report(key.Line, at, fmt.Sprintf("is written twice, first on line %d", lines[key.Value]), "keep one of the two")
		default:
			values[key.Value], lines[key.Value] = value, key.Line
		}
	}
	return values
}

// isPlain refuses what could make one place of the file depend on another, or a
// value something else than what is written.
func (d *document) isPlain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.report(n.Line, path, "uses the alias *"+n.Value, "write the value out")
	case n.Anchor != "":
		d.report(n.Line, path, "has the anchor &"+n.Anchor, "remove it")
	case n.Style&yaml.TaggedStyle != 0:
		d.report(n.Line, path, "has the tag "+input.Quote(n.Tag), "remove it")
	default:
		return true
	}
	return false
}

// isNothing tells a value that was left out from one that says null.
func isNothing(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" && n.Anchor == "" && n.Style == 0
}

// parseText takes what a table can show in a line.
func parseText(text string) (string, error) {
	switch strange := input.Strange([]byte(text)); {
	case strange != nil:
		return "", &mistake{strange.What, "write plain text"}
	case strings.ContainsAny(text, "\n\t"):
		return "", &mistake{"has several lines, or a tab", "write one line; after > it may be folded"}
	case strings.TrimSpace(text) == "":
		return "", &mistake{"is empty", "write some text"}
	}
	return text, nil
}

// describe names what a node is, for messages.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a group of keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return "one value"
}
