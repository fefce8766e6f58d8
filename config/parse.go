// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

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
	if line, what, ok := strangeBytes(data); !ok {
		return s.fail(line, what, "save the file as plain UTF-8 text")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, next yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return s // nothing but comments: everything is left to the defaults
	}
	if err != nil {
		return s.failSyntax(data, err)
	}
	switch err := decoder.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return s.failSyntax(data, err)
	default:
		return s.fail(next.Line, "a second YAML document starts here", "keep one, and remove the line ---")
	}
	s.readRoot(document.Content[0])
	return s
}

func (s *source) fail(line int, what, fix string) *source {
	s.unreadable = true
	s.problems = Problems{{File: s.file, Line: line, What: what, Fix: fix}}
	return s
}

func (s *source) failSyntax(data []byte, err error) *source {
	line, what := syntaxError(data, err)
	return s.fail(line, "is not valid YAML: "+what,
		"check indentation, brackets and quotes here and just above; use spaces, not tabs, and quote IPv6 prefixes inside [ ]")
}

// syntaxError takes the line out of the parser's message. The library counts
// from 1 in what its scanner finds, and from 0 in what its parser finds; it
// leaves a zero out.
func syntaxError(data []byte, err error) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, as matched
		what = m[2]
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)' referenced`).FindStringSubmatch(what); m != nil {
		return lineAt(data, bytes.Index(data, []byte("*"+m[1]))), what
	}
	byParser := regexp.MustCompile(`^did not find expected (<|node content|key|'-' indicator|',' or)|^found (undefined tag handle|duplicate %|incompatible YAML)`)
	if line == 0 || byParser.MatchString(what) {
		line++
	}
	return line, what
}

// strangeBytes finds what no YAML file may hold. The library refuses it too,
// but does not say where; and it reads UTF-16, which an editor sets by accident.
func strangeBytes(data []byte) (line int, what string, ok bool) {
	for i, r := range string(data) {
		if r == utf8.RuneError && !bytes.HasPrefix(data[i:], []byte("\uFFFD")) {
			return lineAt(data, i), "has a byte that is not UTF-8", false
		}
		if r == 0x7f || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return lineAt(data, i), "has a control character", false
		}
	}
	return 0, "", true
}

// lineAt returns the line of the byte at offset.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:max(offset, 0)], []byte("\n"))
}
