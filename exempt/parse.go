// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
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

// byteOrderMark is what some editors put before the text.
const byteOrderMark = "\ufeff"

// parse reads the one YAML document in data. Prefixes are remembered in seen, so
// that one that is there already is found to be written twice.
func parse(file string, data []byte, seen map[netip.Prefix]Exemption) *document {
	d := &document{file: file, text: bytes.TrimPrefix(data, []byte(byteOrderMark))}
	if line, what, ok := strangeBytes(d.text); !ok {
		d.report(line, "", what, "save the file as plain UTF-8 text")
		return d
	}
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	var first, next yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) {
		return d
	}
	if err == nil {
		err = decoder.Decode(&next)
	}
	switch {
	case errors.Is(err, io.EOF):
		d.readRoot(first.Content[0])
		d.findTwice(seen)
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	case err != nil:
		line, what := syntaxError(d.text, err)
		d.report(line, "", "is not valid YAML: "+what, "check indentation, brackets and quotes here and just above; use spaces, not tabs")
	default:
		d.report(next.Line, "", "a second YAML document starts here", "keep one, and remove the line ---")
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

// strangeBytes finds what no YAML file may hold, since the library does not say
// where it is; and line breaks that only YAML takes for such, since then lines
// would have other numbers than in an editor.
func strangeBytes(text []byte) (line int, what string, ok bool) {
	for i, r := range string(text) {
		rest := text[i:]
		switch {
		case r == utf8.RuneError && !bytes.HasPrefix(rest, []byte("\uFFFD")):
			return lineAt(text, i), "has a byte that is not UTF-8", false
		case r == '\r' && !bytes.HasPrefix(rest, []byte("\r\n")):
			return lineAt(text, i), "has a carriage return inside the line", false
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r',
			r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff':
			return lineAt(text, i), "has a control character", false
		}
	}
	return 0, "", true
}

// lineAt returns the line of the byte at offset.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:max(offset, 0)], []byte("\n"))
}

// syntaxError takes the line out of the parser's message. The library counts from
// 1 in what its scanner finds, and from 0 in what its parser finds.
func syntaxError(text []byte, err error) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, as matched
		what = m[2]
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)' referenced`).FindStringSubmatch(what); m != nil {
		return lineAt(text, bytes.Index(text, []byte("*"+m[1]))), what
	}
	byParser := regexp.MustCompile(`^did not find expected (<|node content|key|'-' indicator|',' or)|^found (undefined tag handle|duplicate %|incompatible YAML)`)
	if line == 0 || byParser.MatchString(what) {
		line++
	}
	return line, what
}
