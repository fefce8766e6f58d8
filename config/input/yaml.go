// SPDX-License-Identifier: Apache-2.0

package input

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// byteOrderMark is what some editors put before the text.
const byteOrderMark = "\ufeff"

// Text returns a file's text without the mark that some editors put before it (U+FEFF).
// The lines stay the same.
func Text(file []byte) []byte { return bytes.TrimPrefix(file, []byte(byteOrderMark)) }

// YAML returns the root of the one document in a [Text]. It is nil where there is nothing
// but comments.
func YAML(text []byte) (root *yaml.Node, wrong *Mistake) {
	if wrong := Strange(text); wrong != nil {
		return nil, wrong
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, next yaml.Node
	err := decoder.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		err = decoder.Decode(&next)
	}
	switch {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, syntaxError(text, err)
	default:
		return nil, &Mistake{next.Line, "a second YAML document starts here", "keep one, and remove the line ---"}
	}
}

// Strange finds what no text file should hold: what YAML forbids, since the library does
// not say where that is; and line breaks that only YAML takes for such, since then lines
// would have other numbers than in an editor. It is nil where there is nothing of that.
func Strange(text []byte) *Mistake {
	for i, r := range string(text) {
		rest := text[i:]
		var what string
		switch {
		case r == utf8.RuneError && !bytes.HasPrefix(rest, []byte("\uFFFD")):
			what = "has a byte that is not UTF-8" // UTF-16 too, which an editor sets by accident
		case r == '\r' && !bytes.HasPrefix(rest, []byte("\r\n")):
			what = "has a carriage return inside the line"
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r',
			r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff':
			what = "has a control character"
		default:
			continue
		}
		return &Mistake{lineAt(text, i), what, "save the file as plain UTF-8 text"}
	}
	return nil
}

// lineAt returns the line of the byte at offset.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:max(offset, 0)], []byte("\n"))
}

// syntaxError takes the line out of the parser's message. The library counts from
// 1 in what its scanner finds, and from 0 in what its parser finds; it leaves a zero out.
func syntaxError(text []byte, err error) *Mistake {
	line, what := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, as matched
		what = m[2]
	}
	unknown := regexp.MustCompile(`^unknown anchor '(.*)' referenced`).FindStringSubmatch(what)
	byParser := regexp.MustCompile(`^did not find expected (<|node content|key|'-' indicator|',' or)|^found (undefined tag handle|duplicate %|incompatible YAML)`)
	switch {
	case unknown != nil:
		line = lineAt(text, bytes.Index(text, []byte("*"+unknown[1])))
	case line == 0 || byParser.MatchString(what):
		line++
	}
	return &Mistake{line, "is not valid YAML: " + what,
		"check indentation, brackets and quotes here and just above; use spaces, not tabs, and quote IPv6 prefixes inside [ ]"}
}
